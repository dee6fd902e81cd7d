"""Who could do what now, kept up as utterances change: one with nothing to do costs a plan nothing."""

from collections.abc import Iterator
from typing import NamedTuple

from engines.scheduler.policy import StepKind
from engines.scheduler.utterance import SegmentLanes, TokenPhase, Utterance


class Work(NamedTuple):
    """What one lane could do."""

    kind: StepKind
    utterance: Utterance
    lanes: SegmentLanes


class Agenda:
    """The work of every utterance, looked at anew only where something has changed."""

    def __init__(self, max_unspoken_tokens: int, max_unread_samples: int) -> None:
        self._max_unspoken_tokens = max_unspoken_tokens
        self._max_unread_samples = max_unread_samples
        self._touched: dict[int, Utterance] = {}
        self._ready: dict[int, tuple[Work, ...]] = {}  # absent: nothing to do

    def touch(self, utterance: Utterance) -> None:
        """The utterance changes; what it could do is looked at when next asked."""
        self._touched[utterance.utterance_id] = utterance

    def drop(self, utterance_id: int) -> None:
        """The utterance has ended."""
        self._touched.pop(utterance_id, None)
        self._ready.pop(utterance_id, None)

    def works(self) -> Iterator[Work]:
        """All there is to do; a prefill too when no slot is free for it."""
        for utterance in self._touched.values():
            self._review(utterance)
        self._touched.clear()
        for works in self._ready.values():
            yield from works

    def _review(self, utterance: Utterance) -> None:
        if works := tuple(self._work(utterance)):
            self._ready[utterance.utterance_id] = works
        else:
            self._ready.pop(utterance.utterance_id, None)

    def _work(self, utterance: Utterance) -> Iterator[Work]:
        if self._window_wanted(utterance):
            yield Work(StepKind.WINDOW, utterance, utterance.segments[0])
        lanes = utterance.token_lane
        if lanes is None or lanes.token_step_in_flight:
            return
        if utterance.unspoken_tokens >= self._max_unspoken_tokens:
            return
        decoding = lanes.token_phase is TokenPhase.DECODING
        yield Work(StepKind.DECODE if decoding else StepKind.PREFILL, utterance, lanes)

    def _window_wanted(self, utterance: Utterance) -> bool:
        if not utterance.segments or utterance.unread_samples >= self._max_unread_samples:
            return False
        return utterance.segments[0].window_ready
