"""Sans-I/O scheduler: commands in, one step planned at a time, its results committed as events.

The caller carries steps out (engines/loop.py does, and so does any test or simulator): `plan`
names the next model call, `commit` or `fail` takes its outcome. Time is an argument.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from typing import NamedTuple

import numpy as np

from engines.backends.base import Backend, SynthResult, SynthWindow, TokenStarted, Voice
from engines.contract import AudioChunk, FinishReason, Samples, SpokenSegment
from engines.rates import STOP_TOKEN
from engines.scheduler.agenda import Agenda, Work
from engines.scheduler.chunking import ChunkSchedule
from engines.scheduler.costs import StepCosts
from engines.scheduler.policy import Candidate, DeadlinePolicy, Rank, StepKind
from engines.scheduler.rows import audio_fault, synth_window, token_row, token_start
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
    orphaned_lanes: int  # of ended utterances, until the step in flight lands


class _Ranked(NamedTuple):
    """No two ranks are equal, so that comparing never reaches the work."""

    rank: Rank
    work: Work


class Scheduler:
    """Holds every utterance; plans the most urgent step and fills it with compatible rows."""

    def __init__(self, limits: Limits, schedule: ChunkSchedule, policy: DeadlinePolicy) -> None:
        longest = max(schedule.new_tokens) + schedule.lookahead_tokens
        fits = limits.max_unspoken_tokens >= longest
        assert fits, (
            f"a token lane stops at {limits.max_unspoken_tokens}, short of the {longest} tokens of a window"
        )
        self._limits = limits
        self._schedule = schedule
        self._policy = policy
        self._utterances: dict[int, Utterance] = {}
        self._agenda = Agenda(limits.max_unspoken_tokens, limits.max_unread_samples)
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
        if utterance := self._touch(utterance_id):
            needed_tokens = self._schedule.needed(window_index=0)
            utterance.segments.extend(SegmentLanes(segment, needed_tokens) for segment in segments)

    def end_text(self, utterance_id: int) -> list[Event]:
        """No more text follows: the utterance ends with its last segment."""
        utterance = self._touch(utterance_id)
        if utterance is None:
            return []
        utterance.text_ended = True
        return self._end_if_complete(utterance)

    def consumed(self, utterance_id: int, samples: int) -> None:
        """The reader took audio out of the stream, so its lane may run on."""
        if utterance := self._touch(utterance_id):
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
        return Occupancy(len(self._utterances), self._slots.in_use, waiting, len(self._orphans))

    def _touch(self, utterance_id: int) -> Utterance | None:
        """An utterance about to change, for every change begins here; None when it has ended."""
        utterance = self._utterances.get(utterance_id)
        if utterance is not None:
            self._agenda.touch(utterance)
        return utterance

    # Planning

    def plan(self, now_ns: int) -> Step | None:
        """The most urgent step with as many compatible rows as fit, or None: nothing to do."""
        ready = [
            _Ranked(self._policy.rank(self._candidate(work), now_ns), work)
            for work in self._agenda.works()
            if work.kind is not StepKind.PREFILL or self._slots.free
        ]
        if not ready:
            return None
        kind = min(ready).work.kind
        ready = [each for each in ready if each.work.kind is kind]
        if len(ready) > self._max_rows(kind):
            ready = nsmallest(self._max_rows(kind), ready)
        return self._step(kind, [each.work for each in ready])

    def _candidate(self, work: Work) -> Candidate:
        missing_tokens = 0 if work.kind is StepKind.WINDOW else work.lanes.missing_tokens
        return Candidate(
            work.kind,
            work.utterance.utterance_id,
            work.utterance.arrived_ns,
            work.utterance.runs_dry_ns,
            work.utterance.last_served,
            self._costs.reserve_ns(work.kind, missing_tokens),
        )

    def _max_rows(self, kind: StepKind) -> int:
        if kind is StepKind.DECODE:
            return self._limits.max_token_rows
        if kind is StepKind.WINDOW:
            return self._limits.max_window_rows
        return min(self._limits.max_prefill_rows, self._slots.free)

    def _step(self, kind: StepKind, works: Sequence[Work]) -> Step:
        self._steps_planned += 1
        for work in works:
            self._agenda.touch(work.utterance)
            work.utterance.last_served = self._steps_planned
        keys = tuple(_key(work.utterance, work.lanes) for work in works)
        if kind is StepKind.WINDOW:
            windows = (synth_window(work.utterance, work.lanes, self._schedule) for work in works)
            return WindowStep(keys, tuple(windows))
        if kind is StepKind.DECODE:
            return DecodeStep(keys, tuple(token_row(work.utterance, work.lanes) for work in works))
        starts = (token_start(work.utterance, work.lanes, self._slots.take()) for work in works)
        return PrefillStep(keys, tuple(starts))

    # Results

    def record_cost(self, step: Step, cost_ns: int) -> None:
        """How long a step took; deadlines keep a reserve by it."""
        self._costs.record(step.kind, cost_ns)

    def commit_prefill(self, step: PrefillStep, results: Sequence[TokenStarted]) -> list[Event]:
        """First tokens. A result for an utterance that ended meanwhile is dropped."""
        events: list[Event] = []
        for key, started in zip(step.keys, results, strict=True):
            utterance, lanes = self._land(key, step.kind)
            lanes.token_state = started.state
            if utterance is None:
                events += self._release_slot(lanes)
            else:
                events += self._take_token(utterance, lanes, started.token)
        return events

    def commit_decode(self, step: DecodeStep, results: Sequence[int]) -> list[Event]:
        """One token a row."""
        events: list[Event] = []
        for key, token in zip(step.keys, results, strict=True):
            utterance, lanes = self._land(key, step.kind)
            if utterance is None:
                events += self._release_slot(lanes)
            else:
                events += self._take_token(utterance, lanes, token)
        return events

    def commit_windows(self, step: WindowStep, results: Sequence[SynthResult], now_ns: int) -> list[Event]:
        """Audio of each window."""
        events: list[Event] = []
        for key, window, result in zip(step.keys, step.rows, results, strict=True):
            utterance, lanes = self._land(key, step.kind)
            if utterance is not None:
                events += self._take_audio(utterance, lanes, window, result, now_ns)
        return events

    def fail(self, step: Step, error: str) -> list[Event]:
        """The step raised: every utterance in it ends as failed, all others go on."""
        events: list[Event] = []
        for key in step.keys:
            utterance, lanes = self._land(key, step.kind)
            if utterance is None:
                events += self._release_slot(lanes)
            else:
                events += self._end(utterance, FinishReason.FAILED, error)
        return events

    def _land(self, key: LaneKey, kind: StepKind) -> tuple[Utterance | None, SegmentLanes]:
        """The lane a result belongs to, with its utterance unless that has ended meanwhile."""
        if orphan := self._orphans.get(key):
            orphan.land(kind)
            if not orphan.in_flight:
                del self._orphans[key]
            return None, orphan
        utterance = self._touch(key.utterance_id)
        assert utterance is not None, "a step in flight belongs to an utterance or an orphan"
        lanes = utterance.find(key.segment_index)
        lanes.land(kind)
        return utterance, lanes

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
        if fault := audio_fault(window, result.samples):
            return self._end(utterance, FinishReason.FAILED, fault)
        lanes.take_audio(window.new_tokens, result.carry, self._schedule)
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
        self._agenda.drop(utterance.utterance_id)
        events: list[Event] = []
        for lanes in utterance.segments:
            if lanes.in_flight:
                self._orphans[_key(utterance, lanes)] = lanes
            events += self._release_slot(lanes)
        events.append(UtteranceEnded(utterance.utterance_id, reason, error))
        return events

    def _release_slot(self, lanes: SegmentLanes) -> list[Event]:
        """Give a lane's place back; with a token step in flight, that is left to its landing."""
        if lanes.slot is None or lanes.token_step_in_flight:
            return []
        slot, lanes.slot = lanes.slot, None
        self._slots.give_back(slot)
        return [SlotReleased(slot, lanes.token_state)]


def _key(utterance: Utterance, lanes: SegmentLanes) -> LaneKey:
    return LaneKey(utterance.utterance_id, lanes.segment.index)
