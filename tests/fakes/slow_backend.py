"""A backend that speaks a tone and misbehaves as told: slow, stuck, failing in a given step, or never ending.

Install it by :func:`install`, then run a server or an engine with the backend named ``slow``.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from engines.backends.base import (
    Backend,
    SynthResult,
    SynthWindow,
    TokenRow,
    TokenStart,
    TokenStarted,
    Voice,
)
from engines.config import EngineConfig
from engines.contract import Samples
from engines.engine import BACKENDS
from engines.rates import SAMPLE_RATE_HZ, STOP_TOKEN, TOKEN_SAMPLES

BROKEN = "broken"
"""The segments that fail: those whose text holds this word."""

_CHARS_PER_TOKEN = 2
_TONE_HZ = 200
_AMPLITUDE = 0.14  # -20 dBov


@dataclass
class Script:
    """What goes wrong, and when. Change it while the engine runs."""

    fails_in: str = ""
    """prefill, decode or window: a step with a BROKEN segment in it raises there."""
    fails_from_token: int = 0
    """A window fails once it begins at this token of its segment or later."""
    endless: bool = False
    """No segment ends before the engine's own limit of tokens."""
    window_s: float = 0.0
    """How long each synthesizer step takes."""
    open_windows: int = 1 << 30
    """Windows given away while the gate is shut; those after them wait for it."""
    gate: threading.Event = field(default_factory=threading.Event)
    windows: int = 0
    """Synthesized so far."""
    stopped_slots: list[int] = field(default_factory=list)


_script = Script()


@contextmanager
def install(patch: pytest.MonkeyPatch, **told: Any) -> Iterator[Script]:
    """Register the backend under the name ``slow``. On leaving, whoever waits at the gate goes on."""
    script = Script(**told)
    patch.setitem(BACKENDS, "slow", f"{__name__}:open_backend")
    patch.setattr(f"{__name__}._script", script)
    try:
        yield script
    finally:
        script.gate.set()


def open_backend(config: EngineConfig | None = None) -> Backend:
    """The opener that the engine calls."""
    return Backend(
        name="slow",
        tokens=_Tokens(_script),
        synthesizer=_Synthesizer(_script),
        voices={"default": Voice("default", "A tone", -20.0, None)},
        max_token_rows=64,
        max_prefill_rows=8,
        max_window_rows=1,  # a step is one window, so that windows can be counted
    )


class _Tokens:
    """Speech tokens in number half the characters; the state is the text."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def start(self, rows: Sequence[TokenStart]) -> list[TokenStarted]:
        self._fail("prefill", [row.text for row in rows])
        return [TokenStarted(row.text, 1 if row.text else STOP_TOKEN) for row in rows]

    def step(self, rows: Sequence[TokenRow]) -> list[int]:
        self._fail("decode", [row.state for row in rows])
        return [self._token(row.state, row.position) for row in rows]

    def stop(self, slot: int, state: Any) -> None:
        self._script.stopped_slots.append(slot)

    def _token(self, text: str, position: int) -> int:
        return 1 if self._script.endless or position * _CHARS_PER_TOKEN < len(text) else STOP_TOKEN

    def _fail(self, step: str, texts: list[str]) -> None:
        if self._script.fails_in == step and any(BROKEN in text for text in texts):
            raise RuntimeError(f"{step} was told to fail")


class _Synthesizer:
    """A tone that runs through all windows of a segment."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def synthesize(self, windows: Sequence[SynthWindow]) -> list[SynthResult]:
        return [SynthResult(self._window(window), None) for window in windows]

    def _window(self, window: SynthWindow) -> Samples:
        script = self._script
        first = window.first_token + window.left_context_tokens
        if script.fails_in == "window" and BROKEN in window.token_state and first >= script.fails_from_token:
            raise RuntimeError("window was told to fail")
        if script.windows >= script.open_windows:
            assert script.gate.wait(30), "the test left its gate shut"
        script.windows += 1
        time.sleep(script.window_s)
        at = np.arange(first * TOKEN_SAMPLES, (first + window.new_tokens) * TOKEN_SAMPLES)
        tone: Samples = (_AMPLITUDE * np.sin(2 * np.pi * _TONE_HZ / SAMPLE_RATE_HZ * at)).astype(np.float32)
        return tone
