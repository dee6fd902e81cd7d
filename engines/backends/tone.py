"""A test tone instead of a voice: 1004 Hz for as long as the text would take to say.

Telephone engineers send this tone to measure a line. Here it also stands in for the engine where
everything but the engine is measured: it walks the same lanes and costs next to nothing.
"""

from collections.abc import Sequence
from typing import Any

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
from engines.config import EngineConfig
from engines.contract import DEFAULT_VOICE, Samples
from engines.rates import SAMPLE_RATE_HZ, STOP_TOKEN, TOKEN_HZ, TOKEN_SAMPLES

TONE_HZ = 1_004
"""North America's test lines use it: near 1 kHz, and no divisor of 8000, so the codes do not repeat soon."""

LEVEL_DBOV = -20.0
_CHARS_PER_S = 15
_TONE = 0
"""The one speech code there is."""

# 251 periods of 1004 Hz are 6000 samples exactly: any position in the tone is a position in this table.
_TABLE_SAMPLES = 6_000
_PHASE = 2 * np.pi * TONE_HZ / SAMPLE_RATE_HZ * np.arange(_TABLE_SAMPLES + TOKEN_SAMPLES)
_TABLE: Samples = (np.sqrt(2) * 10 ** (LEVEL_DBOV / 20) * np.sin(_PHASE)).astype(np.float32)


def open_backend(config: EngineConfig | None = None) -> Backend:
    """Always there."""
    voice = Voice(DEFAULT_VOICE, f"{TONE_HZ} Hz test tone", LEVEL_DBOV, None)
    return Backend(
        name="tone",
        tokens=ToneTokens(),
        synthesizer=ToneSynthesizer(),
        voices={voice.name: voice},
        max_token_rows=512,
        max_prefill_rows=64,
        max_window_rows=64,
    )


class ToneTokens:
    """As many tokens as the text would take to say; a row's state is their number."""

    def start(self, rows: Sequence[TokenStart]) -> list[TokenStarted]:
        return [TokenStarted(max(1, len(row.text) * TOKEN_HZ // _CHARS_PER_S), _TONE) for row in rows]

    def step(self, rows: Sequence[TokenRow]) -> list[int]:
        return [_TONE if row.position < row.state else STOP_TOKEN for row in rows]

    def stop(self, slot: int, state: Any) -> None:
        """Nothing to give back."""


class ToneSynthesizer:
    """The tone at a window's place in its segment."""

    def synthesize(self, windows: Sequence[SynthWindow]) -> list[SynthResult]:
        return [SynthResult(_tone(window), None) for window in windows]


def _tone(window: SynthWindow) -> Samples:
    first_token = window.first_token + window.left_context_tokens
    starts = (np.arange(first_token, first_token + window.new_tokens) * TOKEN_SAMPLES) % _TABLE_SAMPLES
    if not len(starts):
        return _TABLE[:0]
    return np.concatenate([_TABLE[start : start + TOKEN_SAMPLES] for start in starts])
