"""Frozen values that cross the engine's layers. No behaviour beyond derived numbers."""

from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from engines.rates import SAMPLE_RATE_HZ

Samples = NDArray[np.float32]
"""Mono audio at 24 kHz, -1..1."""

DEFAULT_VOICE = "default"


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """How to speak one utterance; its text follows, at once or in pieces.

    The same request and text give the same audio, whoever shares the batch: randomness is
    addressed by (seed, position).
    """

    voice: str = DEFAULT_VOICE
    seed: int = 0


@dataclass(frozen=True, slots=True)
class TextSpan:
    """Characters [start_char, end_char) of an utterance's source text, spoken as one segment."""

    start_char: int
    end_char: int


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """One synthesiser output: a run of 24 kHz samples inside one segment of an utterance."""

    samples: Samples = field(repr=False)  # (n,)
    first_sample: int  # position of samples[0] in the utterance
    segment_index: int
    span: TextSpan
    ends_segment: bool

    @property
    def duration_s(self) -> float:
        return len(self.samples) / SAMPLE_RATE_HZ


class FinishReason(str, Enum):
    """Why an utterance ended."""

    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SpokenSegment:
    """What the scheduler speaks as one unit: normalised text and where it came from."""

    index: int
    spoken: str
    span: TextSpan


@dataclass(frozen=True, slots=True)
class StepRecord:
    """What one step was and cost, for metrics."""

    kind: str
    rows: int
    seconds: float
