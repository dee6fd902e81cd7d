"""Sans-I/O scheduler: commands in, one step planned at a time, its results committed as events.

The caller carries steps out (engines/loop.py does, and so does any test or simulator): `plan`
names the next model call, `commit` or `fail` takes its outcome. Time is an argument.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import nsmallest

import numpy as np

from engines.backends.base import Backend, SynthResult, SynthWindow, TokenStarted, Voice
from engines.contract import AudioChunk, FinishReason, Samples, SpokenSegment
from engines.rates import STOP_TOKEN
from engines.scheduler.chunking import ChunkSchedule
from engines.scheduler.costs import StepCosts
from engines.scheduler.policy import Candidate, DeadlinePolicy, StepKind
from engines.scheduler.rows import synth_window, token_lane, token_row, token_start
from engines.scheduler.slots import SlotPool
from engines.scheduler.step import (
    ChunkReady,
    DecodeStep,
    Event,
    LaneKey,
    PrefillStep,
    SlotReleased,
    Step,
    UtteranceEnded,
    WindowStep,
)
from engines.scheduler.utterance import SegmentLanes, TokenPhase, Utterance

_NO_SAMPLES: Samples = np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds the scheduler: places, batch sizes, and how far lanes may run ahead."""

    max_utterances: int
    max_token_rows: int
    max_prefill_rows: int
    max_window_rows: int
    max_segment_tokens: int
    max_unspoken_tokens: int  # a token lane this far ahead of its audio is not stepped
    max_unread_samples: int  # nor an audio lane this far ahead of its reader
    min_reserve_ns: int

    @classmethod
    def of(
        cls,
        backend: Backend,
        max_utterances: int,
        max_unspoken_tokens: int,
        max_unread_samples: int,
        min_reserve_ns: int,
    ) -> "Limits":
        return cls(
            max_utterances,
            backend.max_token_rows,
            backend.max_prefill_rows,
            backend.max_window_rows,
            backend.max_segment_tokens,
            max_unspoken_tokens,
            max_unread_samples,
            min_reserve_ns,
        )


@dataclass(frozen=True, slots=True)
class Occupancy:
    """How full the scheduler is; all zero when nothing is left behind."""

    utterances: int
    slots_in_use: int
    waiting_segments: int


class Scheduler:
    """Holds every utterance; plans the most urgent step and fills it with compatible rows."""

    def __init__(self, limits: Limits, schedule: ChunkSchedule, policy: DeadlinePolicy) -> None:
        self._limits = limits
        self._schedule = schedule
        self._policy = policy
        self._utterances: dict[int, Utterance] = {}
        self._orphans: dict[LaneKey, SegmentLanes] = {}  # ended with a step in flight
        self._slots = SlotPool(limits.max_token_rows)
        self._steps_planned = 0
        self._costs = StepCosts(limits.min_reserve_ns)

    # Commands

    def admit(self, utterance_id: int, voice: Voice, seed: int, now_ns: int) -> bool:
        """Take an utterance in; False when there is no room."""
        assert utterance_id not in self._utterances, f"utterance {utterance_id} is admitted twice"
        if len(self._utterances) >= self._limits.max_utterances:
            return False
        self._utterances[utterance_id] = Utterance(utterance_id, voice, seed, now_ns)
        return True

    def add_segments(self, utterance_id: int, segments: Iterable[SpokenSegment]) -> None:
        """More text of an utterance. One that has ended takes none."""
        if utterance := self._utterances.get(utterance_id):
            utterance.segments.extend(SegmentLanes(segment) for segment in segments)

    def end_text(self, utterance_id: int) -> list[Event]:
        """No more text follows: the utterance ends with its last segment."""
        utterance = self._utterances.get(utterance_id)
        if utterance is None:
            return []
        utterance.text_ended = True
        return self._end_if_complete(utterance)

    def consumed(self, utterance_id: int, samples: int) -> None:
        """The reader took audio out of the stream, so its lane may run on."""
        if utterance := self._utterances.get(utterance_id):
            utterance.consumed_samples += samples

    def cancel(self, utterance_id: int, reason: FinishReason = FinishReason.CANCELLED) -> list[Event]:
        """End an utterance at whatever stage it is; one already ended is left alone."""
        utterance = self._utterances.get(utterance_id)
        return [] if utterance is None else self._end(utterance, reason)

    @property
    def occupancy(self) -> Occupancy:
        waiting = sum(
            lanes.token_phase is TokenPhase.WAITING
            for utterance in self._utterances.values()
            for lanes in utterance.segments
        )
        return Occupancy(len(self._utterances), self._slots.in_use, waiting)

    # Planning

    def plan(self, now_ns: int) -> Step | None:
        """The most urgent step with as many compatible rows as fit, or None: nothing to do."""
        candidates = [
            candidate for utterance in self._utterances.values() for candidate in self._candidates(utterance)
        ]
        if not candidates:
            return None

        def rank(work: Candidate) -> tuple[int, int, int, int]:
            return self._policy.rank(work, now_ns)

        kind = min(candidates, key=rank).kind
        compatible = [work for work in candidates if work.kind is kind]
        chosen = nsmallest(self._max_rows(kind), compatible, key=rank)
        self._steps_planned += 1
        utterances = [self._utterances[work.utterance_id] for work in chosen]
        for utterance in utterances:
            utterance.last_served = self._steps_planned
        return self._step(kind, utterances)

    def _max_rows(self, kind: StepKind) -> int:
        if kind is StepKind.DECODE:
            return self._limits.max_token_rows
        if kind is StepKind.WINDOW:
            return self._limits.max_window_rows
        return min(self._limits.max_prefill_rows, self._slots.places - self._slots.in_use)

    def _candidates(self, utterance: Utterance) -> Iterable[Candidate]:
        if self._window_wanted(utterance):
            yield self._candidate(StepKind.WINDOW, utterance, missing_tokens=0)
        lanes = utterance.token_lane
        if lanes is None or lanes.token_step_in_flight:
            return
        if utterance.unspoken_tokens >= self._limits.max_unspoken_tokens:
            return
        missing_tokens = lanes.missing_tokens(self._schedule)
        if lanes.token_phase is TokenPhase.DECODING:
            yield self._candidate(StepKind.DECODE, utterance, missing_tokens)
        elif self._slots.in_use < self._slots.places:
            yield self._candidate(StepKind.PREFILL, utterance, missing_tokens)

    def _candidate(self, kind: StepKind, utterance: Utterance, missing_tokens: int) -> Candidate:
        return Candidate(
            kind,
            utterance.utterance_id,
            utterance.arrived_ns,
            utterance.runs_dry_ns,
            utterance.last_served,
            self._costs.reserve_ns(kind, missing_tokens),
        )

    def _window_wanted(self, utterance: Utterance) -> bool:
        if not utterance.segments or utterance.unread_samples >= self._limits.max_unread_samples:
            return False
        lanes = utterance.segments[0]
        return not lanes.window_in_flight and lanes.next_window(self._schedule) is not None

    def _step(self, kind: StepKind, utterances: Sequence[Utterance]) -> Step:
        if kind is StepKind.WINDOW:
            windows = [synth_window(utterance, self._schedule) for utterance in utterances]
            keys = [_key(utterance, utterance.segments[0]) for utterance in utterances]
            return WindowStep(tuple(keys), tuple(windows))
        keys = [_key(utterance, token_lane(utterance)) for utterance in utterances]
        if kind is StepKind.DECODE:
            return DecodeStep(tuple(keys), tuple(token_row(utterance) for utterance in utterances))
        slots = [self._slots.take() for _ in utterances]
        starts = [
            token_start(utterance, slot)
            for utterance, slot in zip(utterances, slots, strict=True)
            if slot is not None
        ]
        assert len(starts) == len(keys), "a prefill is planned only for free slots"
        return PrefillStep(tuple(keys), tuple(starts))

    # Results

    def record_cost(self, step: Step, cost_ns: int) -> None:
        """How long a step took; deadlines keep a reserve by it."""
        self._costs.record(step.kind, cost_ns)

    def commit_prefill(self, step: PrefillStep, results: Sequence[TokenStarted]) -> list[Event]:
        """First tokens. A result for an utterance that ended meanwhile is dropped."""
        events: list[Event] = []
        for key, started in zip(step.keys, results, strict=True):
            utterance, lanes = self._lanes(key)
            lanes.token_state = started.state
            if utterance is None:
                events += self._release_slot(lanes)
                lanes.enter(TokenPhase.ENDED)
            else:
                lanes.enter(TokenPhase.DECODING)
                events += self._take_token(utterance, lanes, started.token)
            self._forget_orphan(key)
        return events

    def commit_decode(self, step: DecodeStep, results: Sequence[int]) -> list[Event]:
        """One token a row."""
        events: list[Event] = []
        for key, token in zip(step.keys, results, strict=True):
            utterance, lanes = self._lanes(key)
            lanes.decode_in_flight = False
            if utterance is None:
                events += self._release_slot(lanes)
            else:
                events += self._take_token(utterance, lanes, token)
            self._forget_orphan(key)
        return events

    def commit_windows(self, step: WindowStep, results: Sequence[SynthResult], now_ns: int) -> list[Event]:
        """Audio of each window."""
        events: list[Event] = []
        for key, window, result in zip(step.keys, step.rows, results, strict=True):
            utterance, lanes = self._lanes(key)
            lanes.window_in_flight = False
            if utterance is not None:
                events += self._take_audio(utterance, lanes, window, result, now_ns)
            self._forget_orphan(key)
        return events

    def fail(self, step: Step, error: str) -> list[Event]:
        """The step raised: every utterance in it ends as failed, all others go on."""
        events: list[Event] = []
        for key in step.keys:
            utterance, lanes = self._lanes(key)
            if isinstance(step, WindowStep):
                lanes.window_in_flight = False
            elif isinstance(step, DecodeStep):
                lanes.decode_in_flight = False
            else:
                lanes.enter(TokenPhase.ENDED)
            if utterance is None:
                events += self._release_slot(lanes)
            else:
                events += self._end(utterance, FinishReason.FAILED, error)
            self._forget_orphan(key)
        return events

    def _lanes(self, key: LaneKey) -> tuple[Utterance | None, SegmentLanes]:
        """The lane a result belongs to, with its utterance unless that has ended."""
        if orphan := self._orphans.get(key):
            return None, orphan
        utterance = self._utterances[key.utterance_id]
        return utterance, utterance.find(key.segment_index)

    def _take_token(self, utterance: Utterance, lanes: SegmentLanes, token: int) -> list[Event]:
        if not 0 <= token <= STOP_TOKEN:
            return self._end(utterance, FinishReason.FAILED, f"speech token {token} is out of range")
        lanes.take_token(token)
        if token != STOP_TOKEN and lanes.decoded < self._limits.max_segment_tokens:
            return []
        lanes.enter(TokenPhase.ENDED)
        return self._release_slot(lanes) + self._end_spoken_segments(utterance)

    def _take_audio(
        self,
        utterance: Utterance,
        lanes: SegmentLanes,
        window: SynthWindow,
        result: SynthResult,
        now_ns: int,
    ) -> list[Event]:
        if not np.isfinite(result.samples).all():
            return self._end(
                utterance, FinishReason.FAILED, "the synthesiser returned samples that are not finite"
            )
        lanes.carry = result.carry
        lanes.emitted_tokens += window.new_tokens
        lanes.windows += 1
        first_sample = utterance.publish(len(result.samples), now_ns)
        segment = lanes.segment
        chunk = AudioChunk(result.samples, first_sample, segment.index, segment.span, window.final)
        events: list[Event] = [ChunkReady(utterance.utterance_id, chunk)]
        if window.final:
            utterance.segments.popleft()
            events += self._end_spoken_segments(utterance)
        return events

    def _end_spoken_segments(self, utterance: Utterance) -> list[Event]:
        """Drop segments at the head that have nothing left to speak; their end is a chunk of no samples."""
        events: list[Event] = []
        while utterance.segments and utterance.segments[0].spoken:
            segment = utterance.segments.popleft().segment
            chunk = AudioChunk(_NO_SAMPLES, utterance.published_samples, segment.index, segment.span, True)
            events.append(ChunkReady(utterance.utterance_id, chunk))
        return events + self._end_if_complete(utterance)

    # Endings

    def _end_if_complete(self, utterance: Utterance) -> list[Event]:
        return self._end(utterance, FinishReason.COMPLETED) if utterance.complete else []

    def _end(self, utterance: Utterance, reason: FinishReason, error: str = "") -> list[Event]:
        del self._utterances[utterance.utterance_id]
        events: list[Event] = []
        for lanes in utterance.segments:
            if lanes.in_flight:
                self._orphans[_key(utterance, lanes)] = lanes
            if not lanes.token_step_in_flight:
                events += self._release_slot(lanes)
        events.append(UtteranceEnded(utterance.utterance_id, reason, error))
        return events

    def _forget_orphan(self, key: LaneKey) -> None:
        orphan = self._orphans.get(key)
        if orphan is not None and not orphan.in_flight:
            del self._orphans[key]

    def _release_slot(self, lanes: SegmentLanes) -> list[Event]:
        if lanes.slot is None:
            return []
        slot, lanes.slot = lanes.slot, None
        self._slots.give_back(slot)
        return [SlotReleased(slot, lanes.token_state)]


def _key(utterance: Utterance, lanes: SegmentLanes) -> LaneKey:
    return LaneKey(utterance.utterance_id, lanes.segment.index)
