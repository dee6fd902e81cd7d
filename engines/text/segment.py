"""Incremental segmenter: an LLM's deltas in, segments of about a sentence out, as early as is certain.

Each character is stepped over in order and a decision at one looks at nothing after it, so the
segments depend on the text alone and never on how it was cut.

A short segment ("Sure.") is not joined with its successor, although T3 is least steady on very
short texts: no bounded lookahead knows the next sentence, so joining would hold back exactly the
openers that are heard while the language model is still writing.
"""

from dataclasses import dataclass

from engines.text.stops import CLOSERS, FOREIGN_STOPS, STOPS, TAIL_CHARS, Verdict, ends_in_stop, judge_gap

_HEAD_CHARS = 8
_SEPARATORS = (("; ", ": ", " - ", " – ", "— ", "\n"), (", ",))
"""Where to cut a segment that grows too long, best first; then at any space."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Text spoken as one unit: characters [start_char, end_char) of the source since the last flush."""

    index: int
    text: str
    start_char: int
    end_char: int


class Segmenter:
    """Cuts English text into segments of at most ``max_chars`` characters, whole sentences if it can.

    ``first_max_chars`` bounds the first segment after a flush: a listener waits for it. Emoji,
    punctuation and space alone make no segment.
    """

    def __init__(self, max_chars: int = 300, first_max_chars: int = 120) -> None:
        assert min(max_chars, first_max_chars) > 0, "a segment holds at least one character"
        self._max_chars = max_chars
        self._first_max_chars = min(first_max_chars, max_chars)
        self.clear()

    def clear(self) -> None:
        """Forget the text held back; offsets and indices start again at 0."""
        self._held = ""  # source text not yet given up, from _base on
        self._base = 0  # offset of _held[0] in the source
        self._at = 0  # next character of _held to step over
        self._index = 0
        self._gap = 0  # end of the text before the gap under judgement
        self._next_word = 0  # end of that gap
        self._newlines = 0  # in that gap
        self._begin(0)

    def push(self, delta: str) -> list[Segment]:
        """Segments that are certain now. ``delta`` may be cut anywhere."""
        self._held += delta
        segments = self._run()
        self._give_up_text()
        return segments

    def flush(self) -> list[Segment]:
        """Segments of all text that is left; offsets and indices then start again at 0."""
        segments: list[Segment] = []
        while self._in_gap:
            segments += self._settle(self._judge(len(self._held), ended=True))
            segments += self._run()
        segments += self._cut(len(self._held))
        self.clear()
        return segments

    def _begin(self, at: int) -> None:
        """The next segment begins at ``_held[at]``, or where the first character that is not space is."""
        self._start = at
        self._at = at
        self._in_gap = False
        self._after_foreign_stop = False

    def _give_up_text(self) -> None:
        given_up = self._start
        self._held = self._held[given_up:]
        self._base += given_up
        self._start = 0
        self._at -= given_up
        self._gap -= given_up
        self._next_word -= given_up

    def _run(self) -> list[Segment]:
        segments: list[Segment] = []
        while self._at < len(self._held):
            segments += self._step(self._held[self._at])
        return segments

    def _step(self, char: str) -> list[Segment]:
        """Move over one character, or back to a cut or a judged gap; amortised constant time."""
        if self._at == self._start and char.isspace():
            self._start = self._at = self._at + 1
            return []
        if self._at - self._start >= self._limit_chars:
            return self._cut(self._overflow_end())
        if self._in_gap:
            return self._step_in_gap(char)
        if self._after_foreign_stop and char not in STOPS and char not in CLOSERS:
            return self._cut(self._at)
        if char.isspace():
            self._enter_gap()
            return self._step_in_gap(char)
        self._after_foreign_stop = self._after_foreign_stop or char in FOREIGN_STOPS
        self._at += 1
        return []

    def _enter_gap(self) -> None:
        self._in_gap = True
        self._gap = self._next_word = self._at
        self._newlines = 0

    def _step_in_gap(self, char: str) -> list[Segment]:
        self._at += 1
        if char.isspace() and self._next_word == self._at - 1:
            self._next_word = self._at
            self._newlines += char == "\n"
            if char != "\n":
                return []
        return self._settle(self._judge(self._at, ended=False))

    def _judge(self, known: int, *, ended: bool) -> Verdict:
        """Judge the gap by the text up to ``known``."""
        head = self._held[self._start : min(self._gap, self._start + _HEAD_CHARS)]
        ahead = self._held[self._next_word : known]
        return judge_gap(head, self._tail(), self._newlines, ahead, ended)

    def _tail(self) -> str:
        return self._held[max(self._start, self._gap - TAIL_CHARS) : self._gap]

    def _settle(self, verdict: Verdict) -> list[Segment]:
        if verdict is Verdict.BREAK:
            return self._cut(self._gap)
        if verdict is Verdict.JOIN:
            self._in_gap = False
            self._at = self._next_word  # what was looked at ahead is now stepped over
        return []

    @property
    def _limit_chars(self) -> int:
        return self._max_chars if self._index else self._first_max_chars

    def _overflow_end(self) -> int:
        """Where a segment that grows too long is cut best: at a stop, a clause, a comma, a space."""
        if self._in_gap and ends_in_stop(self._tail()):
            return self._gap
        window = self._held[self._start : self._start + self._limit_chars + 1]
        for separators in _SEPARATORS:
            end = max(window.rfind(each) + len(each) - 1 for each in separators)
            if end >= self._limit_chars // 3:
                return self._start + end
        if window[-1].isspace():
            return self._start + len(window) - 1
        words = window.rsplit(None, 1)
        return self._start + (len(words[0]) if len(words) == 2 else self._limit_chars)

    def _cut(self, end: int) -> list[Segment]:
        """Give up the text before ``end`` and begin anew there; a segment if it holds a letter or digit."""
        text = self._held[self._start : end].rstrip()
        first = self._base + self._start
        self._begin(end)
        if not any(map(str.isalnum, text)):
            return []
        segment = Segment(self._index, text, first, first + len(text))
        self._index += 1
        return [segment]
