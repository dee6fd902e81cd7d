"""Which of an utterance's text has been spoken at a position in its audio. Pure."""

from dataclasses import dataclass

from engines import AudioChunk
from engines.contract import TextSpan

_SAMPLES_PER_CHAR = 1_600
"""15 characters a second at 24 kHz: the first guess for a sentence whose end is not synthesised yet."""


@dataclass(slots=True)
class _SegmentExtent:
    """Where one segment lies in the text and, as far as it is known, in the audio."""

    span: TextSpan
    first_sample: int
    end_sample: int
    ended: bool

    def char_at(self, sample: int, samples_per_char: float) -> int:
        """The character reached at ``sample``; exact at both ends, proportional between."""
        chars = self.span.end_char - self.span.start_char
        samples = self.end_sample - self.first_sample
        if not self.ended:
            samples = max(samples, round(chars * samples_per_char))
        if sample >= self.first_sample + samples:
            return self.span.end_char
        return self.span.start_char + chars * max(0, sample - self.first_sample) // max(1, samples)


class SpokenText:
    """An utterance's source text beside its audio."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self.chars = 0
        self._extents: list[_SegmentExtent] = []

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def add_text(self, delta: str) -> None:
        self._pieces.append(delta)
        self.chars += len(delta)

    def add_audio(self, chunk: AudioChunk) -> None:
        """A chunk in order, as the engine published it."""
        end_sample = chunk.first_sample + len(chunk.samples)
        if not self._extents or self._extents[-1].span != chunk.span:
            self._extents.append(_SegmentExtent(chunk.span, chunk.first_sample, end_sample, False))
        self._extents[-1].end_sample = end_sample
        self._extents[-1].ended = chunk.ends_segment

    def split(self, played_samples: int) -> tuple[str, str]:
        """(spoken, not spoken) once ``played_samples`` at 24 kHz have been played; cut between words."""
        text = self.text
        cut = self._char_at(played_samples)
        if cut < len(text):
            cut = _word_start(text, cut)
        while 0 < cut < len(text) and text[cut].isspace():
            cut += 1
        return text[:cut], text[cut:]

    def _char_at(self, played_samples: int) -> int:
        spoken = 0
        for extent in self._extents:
            if played_samples <= extent.first_sample:
                break
            spoken = extent.char_at(played_samples, self._samples_per_char)
        return spoken

    @property
    def _samples_per_char(self) -> float:
        ended = [extent for extent in self._extents if extent.ended]
        chars = sum(extent.span.end_char - extent.span.start_char for extent in ended)
        samples = sum(extent.end_sample - extent.first_sample for extent in ended)
        return samples / chars if chars else _SAMPLES_PER_CHAR


def _word_start(text: str, position: int) -> int:
    """Where the word that holds ``position`` begins; between two words, the position itself."""
    while position and not (text[position].isspace() or text[position - 1].isspace()):
        position -= 1
    return position
