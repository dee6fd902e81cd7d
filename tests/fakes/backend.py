"""A scripted backend: its audio is a known function of (text, seed, token position), its faults are chosen.

It checks what it is given as a real one could not: that a slot is free when a row starts in it,
that each row goes on from the token before, and that windows follow each other without a gap.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any
from zlib import crc32

import numpy as np

from engines.backends.base import (
    Backend,
    SynthResult,
    SynthWindow,
    TokenRow,
    TokenStart,
    TokenStarted,
    Voice,
)
from engines.contract import DEFAULT_VOICE, Samples
from engines.rates import LOOKAHEAD_TOKENS, SPEECH_CODES, STOP_TOKEN, TOKEN_SAMPLES
from engines.scheduler.policy import StepKind
from engines.scheduler.rows import segment_seed

VOICE = Voice(DEFAULT_VOICE, "a fake", -20.0, None)
FAULT_POSITION = 5
"""Where in a segment a fault of its tokens shows."""


class Fault(Enum):
    PREFILL_RAISES = auto()
    DECODE_RAISES = auto()
    WINDOW_RAISES = auto()
    BAD_FIRST_TOKEN = auto()
    BAD_TOKEN = auto()
    NEVER_STOPS = auto()
    NAN_AUDIO = auto()
    LONG_AUDIO = auto()
    SHORT_AUDIO = auto()


def code(text: str, seed: int, position: int) -> int:
    """The speech token that the fake speaks at ``position``."""
    return crc32(f"{text}|{seed}|{position}".encode()) % SPEECH_CODES


def audio_of(text: str, seed: int = 0, tokens: int | None = None, segment: int = 0) -> Samples:
    """What a whole segment must sound like; the fake speaks one token a character."""
    count = len(text) if tokens is None else tokens
    return _sound([code(text, segment_seed(seed, segment), position) for position in range(count)])


def _sound(codes: Sequence[int]) -> Samples:
    levels = np.array(codes, np.float32) / SPEECH_CODES
    return np.repeat(levels, TOKEN_SAMPLES)


@dataclass(frozen=True, slots=True)
class State:
    """The token state of one segment."""

    text: str
    seed: int


@dataclass(slots=True)
class FakeModel:
    """Both halves of the fake: TokenModel and Synthesizer."""

    faults: Mapping[str, Fault] = field(default_factory=dict)  # by text
    row_shortage: StepKind | None = None  # batches of this kind come back one row short
    before_step: Callable[[StepKind], None] = lambda kind: None  # may wait, count or raise
    held: dict[int, State] = field(default_factory=dict)  # by slot
    stops: int = 0

    def start(self, rows: Sequence[TokenStart]) -> list[TokenStarted]:
        self.before_step(StepKind.PREFILL)
        self._raise_for(Fault.PREFILL_RAISES, [row.text for row in rows])
        for row in rows:
            state = State(row.text, row.seed)
            # The same row may be started again, alone, after its batch went wrong.
            assert self.held.get(row.slot, state) == state, f"slot {row.slot} is started while it is held"
            self.held[row.slot] = state
        started = [TokenStarted(self.held[row.slot], self._token(self.held[row.slot], 0)) for row in rows]
        return self._all_rows(StepKind.PREFILL, started)

    def step(self, rows: Sequence[TokenRow]) -> list[int]:
        self.before_step(StepKind.DECODE)
        self._raise_for(
            Fault.DECODE_RAISES, [row.state.text for row in rows if row.position >= FAULT_POSITION]
        )
        for row in rows:
            assert self.held[row.slot] == row.state, f"slot {row.slot} holds another row"
            assert row.token == self._token(row.state, row.position - 1), "a row does not follow its token"
        return self._all_rows(StepKind.DECODE, [self._token(row.state, row.position) for row in rows])

    def stop(self, slot: int, state: Any) -> None:
        assert state is None or self.held[slot] == state, f"slot {slot} is stopped for another row"
        self.held.pop(slot, None)
        self.stops += 1

    def synthesize(self, windows: Sequence[SynthWindow]) -> list[SynthResult]:
        self.before_step(StepKind.WINDOW)
        self._raise_for(Fault.WINDOW_RAISES, [window.token_state.text for window in windows])
        return self._all_rows(StepKind.WINDOW, [self._speak(window) for window in windows])

    def _token(self, state: State, position: int) -> int:
        fault = self.faults.get(state.text)
        if fault is Fault.BAD_FIRST_TOKEN or (fault is Fault.BAD_TOKEN and position == FAULT_POSITION):
            return STOP_TOKEN + 1
        if position >= len(state.text) and fault is not Fault.NEVER_STOPS:
            return STOP_TOKEN
        return code(state.text, state.seed, position)

    def _speak(self, window: SynthWindow) -> SynthResult:
        state: State = window.token_state
        positions = range(window.first_token, window.first_token + len(window.tokens))
        assert window.tokens == tuple(code(state.text, state.seed, each) for each in positions)
        new = window.tokens[window.left_context_tokens :][: window.new_tokens]
        spoken = window.first_token + window.left_context_tokens
        assert spoken == (window.carry or 0), "a window does not follow the one before"
        samples = _sound(new)
        fault = self.faults.get(state.text)
        if fault is Fault.NAN_AUDIO:
            samples[-1] = np.nan
        if fault is Fault.LONG_AUDIO:
            samples = np.append(samples, samples[:1])
        if fault is Fault.SHORT_AUDIO:
            samples = samples[:-1]
        return SynthResult(samples, spoken + len(new))

    def _raise_for(self, fault: Fault, texts: Sequence[str]) -> None:
        for text in texts:
            if self.faults.get(text) is fault:
                raise RuntimeError(f"{fault.name} for {text}")

    def _all_rows(self, kind: StepKind, results: list[Any]) -> list[Any]:
        return results[:-1] if kind is self.row_shortage and len(results) > 1 else results


def fake_backend(
    model: FakeModel | None = None,
    max_token_rows: int = 512,
    max_prefill_rows: int = 4,
    max_window_rows: int = 8,
    left_context_tokens: int = 2,
    lookahead_tokens: int = LOOKAHEAD_TOKENS,
    max_segment_tokens: int = 1_000,
) -> Backend:
    model = model or FakeModel()
    return Backend(
        name="fake",
        tokens=model,
        synthesizer=model,
        voices={DEFAULT_VOICE: VOICE},
        max_token_rows=max_token_rows,
        max_prefill_rows=max_prefill_rows,
        max_window_rows=max_window_rows,
        left_context_tokens=left_context_tokens,
        lookahead_tokens=lookahead_tokens,
        max_segment_tokens=max_segment_tokens,
    )
