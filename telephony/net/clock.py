"""The one ticker of all calls: absolute deadlines, spread over phases, every lateness counted.

A sleep of one ptime per call drifts and sends all calls in step; here instants are start + n * slot, each
slot serves one phase, and a call keeps its phase, so its packets are one ptime apart for ever.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from telephony.format import PTIME_MS

logger = logging.getLogger(__name__)

PHASES = 20
SOON_PHASES = 2
"""Among how many phases one in a hurry chooses: little wait, and still some spread."""
CATCH_UP_TICKS = 5
LATE_NS = 5_000_000
"""A tick later than this is counted as late: a quarter of the usual ptime."""

_NS_PER_MS = 1_000_000


class TickSubscriber(Protocol):
    """What the ticker drives; `now_ns` is the deadline that the tick stands for, not the moment it runs."""

    def tick(self, now_ns: int) -> None: ...


class Timer(Protocol):
    """A pending wake."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """Monotonic time and one-shot wakes."""

    def now_ns(self) -> int: ...

    def call_at(self, deadline_ns: int, wake: Callable[[], None]) -> Timer: ...


class LoopClock:
    """The clock of the running asyncio (or uvloop) loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def call_at(self, deadline_ns: int, wake: Callable[[], None]) -> Timer:
        # Relative, because uvloop's own time is cached per iteration; in whole milliseconds rounded up, as
        # epoll sleeps anyway, because uvloop rounds 0.4 ms to none and would spin until the deadline.
        left_ms = -((time.monotonic_ns() - deadline_ns) // _NS_PER_MS)
        return self._loop.call_later(max(0, left_ms) / 1000, wake)


@dataclass(frozen=True, slots=True)
class Slot:
    """One phase's turn."""

    phase: int
    deadline_ns: int


class TickSchedule:
    """Pure arithmetic of deadlines: slot k is due at start + k * slot, and serves phase k modulo phases.

    Catch-up: slots missed by at most `catch_up_ticks` periods are all given at once, oldest first, which
    keeps RTP timestamps in pace. Beyond that (a suspended machine) none of them is given: the schedule goes
    on with the next slot of the same grid.
    """

    def __init__(
        self, start_ns: int, period_ns: int, phases: int = PHASES, catch_up_ticks: int = CATCH_UP_TICKS
    ) -> None:
        assert period_ns % phases == 0, "phases divide the period into whole nanoseconds"
        self.period_ns = period_ns
        self.phases = phases
        self.restarts = 0
        self._start_ns = start_ns
        self._slot_ns = period_ns // phases
        self._catch_up_slots = catch_up_ticks * phases
        self._next = 0

    def take_due(self, now_ns: int) -> list[Slot]:
        """Slots whose deadline has come and that were not given before."""
        last = (now_ns - self._start_ns) // self._slot_ns
        first, self._next = self._next, max(self._next, last + 1)
        if last - first >= self._catch_up_slots:
            self.restarts += 1
            return []
        return [Slot(k % self.phases, self._start_ns + k * self._slot_ns) for k in range(first, last + 1)]

    def next_deadline_ns(self, occupied: Callable[[int], bool]) -> int | None:
        """Deadline of the next slot whose phase is occupied; None if no phase is."""
        for k in range(self._next, self._next + self.phases):
            if occupied(k % self.phases):
                return self._start_ns + k * self._slot_ns
        return None

    def phases_after(self, now_ns: int, count: int) -> Sequence[int]:
        """Phases of the next `count` slots to come, soonest first."""
        first = max(self._next, (now_ns - self._start_ns) // self._slot_ns + 1)
        return [k % self.phases for k in range(first, first + count)]

    def pass_empty(self, now_ns: int, occupied: Callable[[int], bool]) -> None:
        """Pass over due slots that nobody waits for, so that a newcomer gets no instant of the past."""
        last = (now_ns - self._start_ns) // self._slot_ns
        for k in range(self._next, min(last + 1, self._next + self.phases)):
            if occupied(k % self.phases):
                self._next = k
                return
        self._next = max(self._next, last + 1)


class LatenessHistogram:
    """Counts of lateness in buckets a quarter of an octave wide from 1 us to 64 s: bounded memory."""

    _BUCKETS_PER_OCTAVE = 4
    _OCTAVES = 26

    def __init__(self) -> None:
        self.count = 0
        self.max_ns = 0
        self._buckets = [0] * (self._BUCKETS_PER_OCTAVE * self._OCTAVES)

    def record(self, late_ns: int) -> None:
        self.count += 1
        self.max_ns = max(self.max_ns, late_ns)
        # In units of 250 ns the octave is the bit length, the quarter the two bits below the top one.
        units = max(4, late_ns // 250)
        octave = units.bit_length() - 3
        quarter = units >> octave & 3
        self._buckets[min(octave * 4 + quarter, len(self._buckets) - 1)] += 1

    def quantile_ns(self, fraction: float) -> int:
        """Upper edge of the bucket that holds this quantile, never above the largest seen; 0 when empty."""
        rest = self.count * fraction
        for index, counted in enumerate(self._buckets):
            rest -= counted
            if counted and rest <= 0:
                return min((5 + index % 4 << index // 4) * 250, self.max_ns)
        return self.max_ns


@dataclass(frozen=True, slots=True)
class TickerStats:
    """What a ticker has done since it was made."""

    wakes: int
    ticks: int
    late_ticks: int
    restarts: int
    failures: int
    late_p50_ns: int
    late_p99_ns: int
    late_max_ns: int


class Ticker:
    """Drives all subscribers of one ptime from one timer. Belongs to one event loop."""

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        ptime_ms: int = PTIME_MS,
        phases: int = PHASES,
        late_ns: int = LATE_NS,
    ) -> None:
        """Without a clock: that of the running loop."""
        self.ptime_ms = ptime_ms
        self._clock = clock or LoopClock()
        self._schedule = TickSchedule(self._clock.now_ns(), ptime_ms * _NS_PER_MS, phases)
        self._late_ns = late_ns
        self._phase_of: dict[TickSubscriber, int] = {}
        # Tuples, replaced and never changed: a tick may subscribe and unsubscribe.
        self._members: list[tuple[TickSubscriber, ...]] = [()] * phases
        self._timer: Timer | None = None
        self._armed_ns = 0
        self._lateness = LatenessHistogram()
        self._wakes = self._ticks = self._late_ticks = self._failures = 0

    def subscribe(self, subscriber: TickSubscriber, *, soon: bool = False) -> None:
        """Tick it from its phase's next instant on. It joins the phase with the fewest members.

        With `soon`, of the next few phases: for one who has something to say now, and whose wait for a
        distant phase would be heard.
        """
        assert subscriber not in self._phase_of, "subscribed twice"
        now_ns = self._clock.now_ns()
        self._schedule.pass_empty(now_ns, self._occupied)
        every = range(self._schedule.phases)
        phases = self._schedule.phases_after(now_ns, SOON_PHASES) if soon else every
        phase = min(phases, key=lambda each: len(self._members[each]))
        self._phase_of[subscriber] = phase
        self._members[phase] += (subscriber,)
        self._arm()

    def unsubscribe(self, subscriber: TickSubscriber) -> None:
        """No tick comes after this returns. Unknown subscribers are ignored."""
        phase = self._phase_of.pop(subscriber, None)
        if phase is None:
            return
        self._members[phase] = tuple(each for each in self._members[phase] if each is not subscriber)
        if not self._phase_of:
            self.stop()

    def serves(self, subscriber: TickSubscriber) -> bool:
        """Whether it is subscribed: false again once it has failed."""
        return subscriber in self._phase_of

    def __len__(self) -> int:
        return len(self._phase_of)

    @property
    def stats(self) -> TickerStats:
        late = self._lateness
        return TickerStats(
            self._wakes,
            self._ticks,
            self._late_ticks,
            self._schedule.restarts,
            self._failures,
            late.quantile_ns(0.5),
            late.quantile_ns(0.99),
            late.max_ns,
        )

    def stop(self) -> None:
        """Cancel the pending wake; the next subscribe starts again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _occupied(self, phase: int) -> bool:
        return bool(self._members[phase])

    def _arm(self) -> None:
        """Wake at the next occupied slot; a wake that is armed for it or earlier is left alone.

        Re-arming a wake already due would let a burst of joining calls put it off for as long as they come.
        """
        deadline_ns = self._schedule.next_deadline_ns(self._occupied)
        if deadline_ns is None or (self._timer is not None and self._armed_ns <= deadline_ns):
            return
        self.stop()
        self._armed_ns = deadline_ns
        self._timer = self._clock.call_at(deadline_ns, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._wakes += 1
        for slot in self._schedule.take_due(self._clock.now_ns()):
            members = self._members[slot.phase]
            if members:
                self._serve(members, slot.deadline_ns)
        self._arm()

    def _serve(self, members: tuple[TickSubscriber, ...], deadline_ns: int) -> None:
        for subscriber in members:
            if subscriber not in self._phase_of:
                continue
            try:
                subscriber.tick(deadline_ns)
            except Exception:
                logger.exception("tick failed, call=%r", subscriber)
                self._failures += 1
                self.unsubscribe(subscriber)
        # After the last of them, so that the work of the slot itself counts as lateness.
        late_ns = self._clock.now_ns() - deadline_ns
        self._lateness.record(late_ns)
        self._ticks += len(members)
        self._late_ticks += len(members) * (late_ns > self._late_ns)
