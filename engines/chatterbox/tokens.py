"""The token lane: T3 on a runner, from texts to speech codes.

A row's place in the sequence is told by its state and position alone, and what a step learns is
written where it belongs however often: a call that raised can be made again, row by row.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engines.backends.base import TokenRow, TokenStart, TokenStarted
from engines.backends.runner import Runner
from engines.chatterbox.arena import KvArena
from engines.chatterbox.prefixes import MAX_PREFIXES, VoicePrefixes
from engines.chatterbox.runon import budget_tokens, run_on
from engines.chatterbox.t3_graph import T3Graph, T3Result
from engines.errors import SpeechFailed
from engines.model import ENDING_SILENCE_TOKENS, ModelConfig
from engines.rates import STOP_TOKEN
from engines.sampling import Logits, Sampling, choose, uniform_at
from engines.text.tokenizer import prepare

log = logging.getLogger("talkspurt.tokens")

MAX_TOKENS = 1_000
"""The reference samples no more: 40 s of speech."""


class Tokenizer(Protocol):
    """engines.text.tokenizer.TextTokenizer, or one like it."""

    @property
    def tags(self) -> AbstractSet[int]: ...

    def encode(self, text: str) -> list[int]: ...


@dataclass(slots=True)
class RowState:
    """One row's course: where its codes began, and those it has said."""

    first_place: int  # of the sequence, where the first speech code lies
    budget: int  # speech codes it may say before the ending's silence
    heard: NDArray[np.bool_] = field(repr=False)  # by the model's code: whether it was said
    codes: list[int] = field(default_factory=list)
    ended_at: int | None = None  # codes said before the ending's silence

    def hear(self, token: int, position: int) -> None:
        """``token`` is the ``position``-th code; to hear it again changes nothing."""
        assert len(self.codes) >= position - 1, f"code {position} follows code {len(self.codes)}"
        self.codes[position - 1 :] = [token]
        self.heard[token] = True


class ChatterboxTokens:
    """TokenModel on T3's graph; one thread calls it.

    START, which the reference may sample and then leaves out, is never sampled here. A segment ends
    as the reference ends an utterance: three codes of silence in STOP's stead, then STOP.

    Both are the model's own codes inside (`T3Config`); the caller hears of one, as STOP_TOKEN.
    """

    def __init__(
        self,
        runner: Runner,
        model: ModelConfig,
        tokenizer: Tokenizer,
        sampling: Sampling | None = None,
        max_rows: int = 16,
        max_prefixes: int = MAX_PREFIXES,
        max_tokens: int = MAX_TOKENS,
        row_by_row: bool = False,
    ) -> None:
        """``row_by_row``: for graphs whose rows hear of each other, as those with one 8-bit scale for all."""
        self._t3, self._tokenizer, self._silence_code = model.t3, tokenizer, model.silence_code
        self._rows_a_run = 1 if row_by_row else max_rows
        self._sampling = sampling or Sampling()
        self._max_tokens = max_tokens - ENDING_SILENCE_TOKENS
        self._graph = T3Graph(runner, model)
        self.prefixes = VoicePrefixes(self._graph, model.t3, max_prefixes)
        self.arena = KvArena(
            model.t3.layers, model.t3.heads, model.t3.head_width, max_rows, dtype=runner.compute_dtype
        )
        self.endings: Counter[str] = Counter()
        """How rows have ended: by "stop", or by a guard: "silence", "repetition", "budget"."""

    def start(self, rows: Sequence[TokenStart]) -> list[TokenStarted]:
        """Prefill: each voice's prefix is copied, and all texts are read in one run."""
        texts = [self._read(row) for row in rows]
        prefixes = [self.prefixes.of(row.voice.conditioning) for row in rows]
        states = [self._state(text, prefix.shape[3]) for text, prefix in zip(texts, prefixes, strict=True)]
        try:
            first = self._claim([row.slot for row in rows])
            for place, prefix in enumerate(prefixes, first):
                self.arena.write(place, 0, prefix)
            logits = [
                each
                for at in range(0, len(texts), self._rows_a_run)
                for each in self._prefill(texts[at : at + self._rows_a_run], first + at)
            ]
        except BaseException:  # these slots are tried again, and what never started is never stopped
            for row in rows:
                self.arena.release(row.slot)
            raise
        return [
            TokenStarted(state, self._sample(state, each, row.seed, 0))
            for row, state, each in zip(rows, states, logits, strict=True)
        ]

    def step(self, rows: Sequence[TokenRow]) -> list[int]:
        """Decode: one run over the rows that still speak, from the first of them to the last."""
        for row in rows:
            row.state.hear(row.token, row.position)
            self._guard(row)
        speaking = [row for row in rows if row.state.ended_at is None]
        logits: dict[int, Logits] = {}
        for at in range(0, len(speaking), self._rows_a_run):
            logits |= self._decode(speaking[at : at + self._rows_a_run])
        return [
            self._sample(row.state, logits[row.slot], row.seed, row.position)
            if row.slot in logits
            else self._ending(row.state, row.position)
            for row in rows
        ]

    def stop(self, slot: int, state: RowState | None) -> None:
        """Give the place of ``slot`` back; one that has none is left alone."""
        self.arena.release(slot)

    def _read(self, row: TokenStart) -> NDArray[np.int64]:
        """The ids of a row's text and START. Raises SpeechFailed for a text that cannot be read."""
        text = np.array(self._tokenizer.encode(prepare(row.text)), np.int64)
        if not len(text):
            raise SpeechFailed("there is no text to speak")
        if not 0 <= text.min() <= text.max() < self._t3.text_codes:
            raise SpeechFailed(f"text id {text.max()} is not of this model's {self._t3.text_codes}")
        return np.append(text, self._t3.first_speech_id + self._t3.start_code)

    def _state(self, text: NDArray[np.int64], prefix_places: int) -> RowState:
        first_place = prefix_places + len(text)
        room = self._t3.positions - first_place
        if room < 1:
            raise SpeechFailed(f"the text has {len(text) - 1} ids and does not fit the model's positions")
        tags = sum(int(each) in self._tokenizer.tags for each in text)
        budget = min(budget_tokens(len(text) - 1, tags), self._max_tokens, room)
        return RowState(first_place, budget, np.zeros(self._t3.speech_codes, np.bool_))

    def _claim(self, slots: Sequence[int]) -> int:
        """Rows for ``slots``, one behind another; the first."""
        for slot in slots:
            self.arena.release(slot)
        first = self.arena.rows
        for slot in slots:
            self.arena.claim(slot)
        return first

    def _prefill(self, texts: Sequence[NDArray[np.int64]], first: int) -> Logits:
        """All ``texts`` after the prefixes in the rows from ``first`` on, which learn them."""
        end = first + len(texts)
        ids_length = np.array([len(text) for text in texts])
        past_length = self.arena.lengths[first:end]
        ids = np.zeros((len(texts), ids_length.max()), np.int64)
        for index, text in enumerate(texts):
            ids[index, : len(text)] = text
        result = self._graph.step(ids, ids_length, past_length, self.arena.view(first, end))
        self._commit(result, range(len(texts)), ids_length, first, past_length)
        return result.logits

    def _decode(self, rows: Sequence[TokenRow]) -> dict[int, Logits]:
        """Each row's last code after its past; logits by slot. Rows between them are run for nothing."""
        places = [self.arena.row(row.slot) for row in rows]
        first, end = min(places), max(places) + 1
        ids = np.full((end - first, 1), self._t3.first_speech_id, np.int64)
        ids_length = np.ones(end - first, np.int64)
        past_length = np.zeros(end - first, np.int64)
        asked = [place - first for place in places]
        for index, row in zip(asked, rows, strict=True):
            assert 0 <= row.token < self._t3.start_code, f"{row.token} is not a speech code"
            ids[index] += row.token
            past_length[index] = row.state.first_place + row.position - 1
        result = self._graph.step(ids, ids_length, past_length, self.arena.view(first, end))
        self._commit(result, asked, ids_length, first, past_length)
        return {row.slot: result.logits[index] for index, row in zip(asked, rows, strict=True)}

    def _commit(
        self,
        result: T3Result,
        asked: Sequence[int],
        ids_length: NDArray[np.int64],
        first: int,
        past_length: NDArray[np.int64],
    ) -> None:
        """Store what the ``asked`` rows of a run learnt: of all or, when one is spoilt, of none."""
        if not all(result.is_finite(index, int(ids_length[index])) for index in asked):
            raise SpeechFailed("T3 gave numbers that are not finite")
        for index in asked:
            new_kv = result.new_kv[:, :, index, :, : ids_length[index]]
            self.arena.write(first + index, int(past_length[index]), new_kv)

    def _sample(self, state: RowState, logits: Logits, seed: int, position: int) -> int:
        """The code at ``position``, or the first of the ending's silence."""
        allowed = logits.copy()
        allowed[self._t3.start_code] = -np.inf
        code = choose(allowed, state.heard, self._sampling, uniform_at(seed, position))
        if code != self._t3.stop_code:
            return code
        self._end(state, position, "stop")
        return self._ending(state, position)

    def _guard(self, row: TokenRow) -> None:
        """End a row that has run on."""
        state: RowState = row.state
        if state.ended_at is not None:
            return
        ran_out = row.position >= state.budget
        reason = "budget" if ran_out else run_on(state.codes, self._silence_code)
        if reason:
            log.warning("speech ran on", extra={"reason": reason, "slot": row.slot, "tokens": row.position})
            self._end(state, row.position, reason)

    def _end(self, state: RowState, position: int, reason: str) -> None:
        state.ended_at = position
        self.endings[reason] += 1

    def _ending(self, state: RowState, position: int) -> int:
        assert state.ended_at is not None, "a row that has not ended has no ending"
        return self._silence_code if position - state.ended_at < ENDING_SILENCE_TOKENS else STOP_TOKEN
