"""One model call: frozen values that the scheduler plans and the loop carries out."""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from engines.backends.base import SynthWindow, TokenRow, TokenStart
from engines.contract import AudioChunk, FinishReason
from engines.scheduler.policy import StepKind


class LaneKey(NamedTuple):
    """One segment of one utterance; results find their way back by it."""

    utterance_id: int
    segment_index: int


@dataclass(frozen=True, slots=True)
class PrefillStep:
    kind: ClassVar = StepKind.PREFILL
    keys: tuple[LaneKey, ...]
    rows: tuple[TokenStart, ...]


@dataclass(frozen=True, slots=True)
class DecodeStep:
    kind: ClassVar = StepKind.DECODE
    keys: tuple[LaneKey, ...]
    rows: tuple[TokenRow, ...]


@dataclass(frozen=True, slots=True)
class WindowStep:
    kind: ClassVar = StepKind.WINDOW
    keys: tuple[LaneKey, ...]
    rows: tuple[SynthWindow, ...]


Step = PrefillStep | DecodeStep | WindowStep


def split(step: Step) -> list[Step]:
    """The same work one row a step: finds the row that spoils a batch."""
    if isinstance(step, PrefillStep):
        return [PrefillStep((key,), (row,)) for key, row in zip(step.keys, step.rows, strict=True)]
    if isinstance(step, DecodeStep):
        return [DecodeStep((key,), (row,)) for key, row in zip(step.keys, step.rows, strict=True)]
    return [WindowStep((key,), (row,)) for key, row in zip(step.keys, step.rows, strict=True)]


@dataclass(frozen=True, slots=True)
class ChunkReady:
    """Audio for the caller."""

    utterance_id: int
    chunk: AudioChunk


@dataclass(frozen=True, slots=True)
class SlotReleased:
    """The token model may reuse this place."""

    slot: int
    state: Any


@dataclass(frozen=True, slots=True)
class UtteranceEnded:
    """Nothing follows for this utterance."""

    utterance_id: int
    reason: FinishReason
    error: str = ""


Event = ChunkReady | SlotReleased | UtteranceEnded
