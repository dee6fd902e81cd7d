"""The ticker's deadlines, phases, catch-up and isolation, decided on a clock that stands still."""

import asyncio
import logging
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.net.clock import SOON_PHASES, LatenessHistogram, Slot, Ticker, TickSchedule
from tests.fakes.clock import FakeClock

MS = 1_000_000
PTIME_NS = 20 * MS


class Ticked:
    """Keeps the deadlines it was ticked for, and does `act` at each."""

    def __init__(self, act: Callable[[], None] | None = None) -> None:
        self.deadlines_ns: list[int] = []
        self._act = act

    def tick(self, now_ns: int) -> None:
        self.deadlines_ns.append(now_ns)
        if self._act:
            self._act()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(now_ns=5 * MS)


@pytest.fixture
def ticker(clock: FakeClock) -> Ticker:
    return Ticker(clock)


def test_deadlines_are_multiples_of_the_slot_after_the_start() -> None:
    schedule = TickSchedule(1000, period_ns=20, phases=4)
    assert schedule.take_due(999) == []
    assert schedule.take_due(1000) == [Slot(0, 1000)]
    assert schedule.take_due(1004) == []
    assert schedule.take_due(1011) == [Slot(1, 1005), Slot(2, 1010)]
    assert schedule.take_due(1011) == []


@given(st.lists(st.integers(0, 4 * 20), max_size=60))
def test_no_wakes_within_the_catch_up_ever_lose_or_repeat_a_slot(steps_ns: list[int]) -> None:
    schedule = TickSchedule(0, period_ns=20, phases=4, catch_up_ticks=5)
    now_ns, taken = 0, schedule.take_due(0)
    for step_ns in steps_ns:
        now_ns += step_ns
        taken += schedule.take_due(now_ns)
    assert taken == [Slot(k % 4, 5 * k) for k in range(now_ns // 5 + 1)]
    assert schedule.restarts == 0


def test_a_suspension_beyond_the_catch_up_restarts_on_the_same_grid_without_a_burst() -> None:
    schedule = TickSchedule(0, period_ns=20, phases=4, catch_up_ticks=5)
    schedule.take_due(0)
    assert schedule.take_due(10_003) == []
    assert schedule.restarts == 1
    assert schedule.take_due(10_005) == [Slot(1, 10_005)]


def test_wakes_are_armed_only_for_occupied_phases() -> None:
    schedule = TickSchedule(0, period_ns=20, phases=4)
    assert schedule.next_deadline_ns(lambda phase: phase == 3) == 15
    assert schedule.next_deadline_ns(lambda phase: False) is None


def test_a_call_is_ticked_once_per_ptime_for_its_own_deadlines(clock: FakeClock, ticker: Ticker) -> None:
    call = Ticked()
    ticker.subscribe(call)
    clock.advance(100 * MS)
    first_ns = call.deadlines_ns[0]
    assert call.deadlines_ns == [first_ns + n * PTIME_NS for n in range(5)]


def test_work_in_a_tick_never_moves_later_deadlines(clock: FakeClock, ticker: Ticker) -> None:
    call = Ticked(act=lambda: clock.spend(7 * MS))
    ticker.subscribe(call)
    clock.advance(1000 * MS)
    first_ns = call.deadlines_ns[0]
    assert call.deadlines_ns == [first_ns + n * PTIME_NS for n in range(50)]


def test_calls_are_spread_evenly_over_the_phases(clock: FakeClock, ticker: Ticker) -> None:
    calls = [Ticked() for _ in range(40)]
    for call in calls:
        ticker.subscribe(call)
    clock.advance(PTIME_NS)
    instants = [call.deadlines_ns[0] for call in calls]
    assert sorted(instants) == sorted(2 * [min(instants) + n * MS for n in range(20)])


def test_the_place_of_a_leaver_goes_to_the_next_call(clock: FakeClock, ticker: Ticker) -> None:
    calls = [Ticked() for _ in range(20)]
    for call in calls:
        ticker.subscribe(call)
    clock.advance(PTIME_NS)
    ticker.unsubscribe(calls[7])
    newcomer = Ticked()
    ticker.subscribe(newcomer)
    clock.advance(PTIME_NS)
    assert newcomer.deadlines_ns == [calls[7].deadlines_ns[0] + PTIME_NS]


def test_a_newcomer_gets_no_instant_of_the_past(clock: FakeClock, ticker: Ticker) -> None:
    early = Ticked()
    ticker.subscribe(early)
    clock.advance(PTIME_NS)
    clock.spend(10 * MS + 1)
    late = Ticked()
    joined_ns = clock.now_ns()
    ticker.subscribe(late)
    clock.advance(PTIME_NS)
    assert min(late.deadlines_ns) > joined_ns


def test_calls_that_join_never_put_off_a_wake_that_is_due(clock: FakeClock, ticker: Ticker) -> None:
    first = Ticked()
    ticker.subscribe(first)
    clock.spend(30 * MS)
    due = clock.next_timer
    for _ in range(40):
        ticker.subscribe(Ticked())
    assert clock.next_timer is due
    assert not due.cancelled


def test_a_late_wake_gives_each_missed_tick_once_and_then_keeps_pace(
    clock: FakeClock, ticker: Ticker
) -> None:
    call = Ticked()
    ticker.subscribe(call)
    clock.advance(PTIME_NS)
    clock.spend(3 * PTIME_NS)
    clock.advance(0)
    assert len(call.deadlines_ns) == 4
    clock.advance(PTIME_NS)
    assert [b - a for a, b in pairwise(call.deadlines_ns)] == 4 * [PTIME_NS]
    assert ticker.stats.late_ticks == 2
    assert ticker.stats.restarts == 0


def test_after_a_suspension_no_burst_is_sent(clock: FakeClock, ticker: Ticker) -> None:
    call = Ticked()
    ticker.subscribe(call)
    clock.advance(PTIME_NS)
    clock.spend(60_000 * MS)
    clock.advance(PTIME_NS)
    before_ns, after_ns = call.deadlines_ns
    assert (after_ns - before_ns) % PTIME_NS == 0
    assert ticker.stats.restarts == 1


def test_lateness_is_measured_after_the_work_of_the_slot(clock: FakeClock, ticker: Ticker) -> None:
    ticker.subscribe(Ticked(act=lambda: clock.spend(6 * MS)))
    clock.advance(PTIME_NS)
    stats = ticker.stats
    assert (stats.ticks, stats.late_ticks, stats.late_max_ns) == (1, 1, 6 * MS)


def test_a_failing_call_is_logged_once_removed_and_hurts_nobody(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("broken callback")

    ticker = Ticker(clock, phases=1)
    before, broken, after = Ticked(), Ticked(fail), Ticked()
    for call in (before, broken, after):
        ticker.subscribe(call)
    with caplog.at_level(logging.ERROR):
        clock.advance(5 * PTIME_NS)
    assert [len(call.deadlines_ns) for call in (before, broken, after)] == [5, 1, 5]
    assert [record.message.split(",")[0] for record in caplog.records] == ["tick failed"]
    assert not ticker.serves(broken)
    assert (len(ticker), ticker.stats.failures) == (2, 1)


def test_a_call_unsubscribed_by_another_in_the_same_slot_gets_no_tick(clock: FakeClock) -> None:
    ticker = Ticker(clock, phases=1)
    second = Ticked()
    ticker.subscribe(Ticked(act=lambda: ticker.unsubscribe(second)))
    ticker.subscribe(second)
    clock.advance(3 * PTIME_NS)
    assert second.deadlines_ns == []


def test_the_last_to_leave_disarms_the_timer(clock: FakeClock, ticker: Ticker) -> None:
    call = Ticked()
    ticker.subscribe(call)
    clock.advance(50 * MS)
    assert clock.pending == 1
    ticker.unsubscribe(call)
    ticker.unsubscribe(call)
    assert (clock.pending, len(ticker)) == (0, 0)


def test_an_hour_with_no_calls_costs_no_ticks(clock: FakeClock, ticker: Ticker) -> None:
    clock.spend(3_600_000 * MS)
    call = Ticked()
    ticker.subscribe(call)
    clock.advance(PTIME_NS)
    assert len(call.deadlines_ns) == 1
    assert ticker.stats.restarts == 0


@given(
    st.lists(st.integers(1_000, 60 * 1_000_000_000), min_size=1, max_size=200),
    st.sampled_from((0.5, 0.9, 0.99)),
)
def test_quantiles_are_right_to_a_quarter_octave(lateness_ns: list[int], fraction: float) -> None:
    histogram = LatenessHistogram()
    for late_ns in lateness_ns:
        histogram.record(late_ns)
    rank = next(n for n in range(1, len(lateness_ns) + 1) if n >= len(lateness_ns) * fraction)
    exact_ns = sorted(lateness_ns)[rank - 1]
    assert exact_ns <= histogram.quantile_ns(fraction) <= exact_ns * 1.25 + 250


def test_an_empty_histogram_and_an_early_wake_are_zero() -> None:
    histogram = LatenessHistogram()
    assert histogram.quantile_ns(0.99) == 0
    histogram.record(-5)
    assert histogram.quantile_ns(0.99) == 0


async def test_on_a_real_loop_ticks_stay_on_the_grid_however_busy_the_machine() -> None:
    ticker = Ticker()
    call = Ticked()
    ticker.subscribe(call)
    await asyncio.sleep(0.2)
    ticker.unsubscribe(call)
    assert len(call.deadlines_ns) >= 2
    steps_ns = [b - a for a, b in pairwise(call.deadlines_ns)]
    assert min(steps_ns) >= PTIME_NS
    assert all(step_ns % PTIME_NS == 0 for step_ns in steps_ns)


def test_one_in_a_hurry_joins_one_of_the_next_few_phases(clock: FakeClock, ticker: Ticker) -> None:
    for _ in range(15):
        clock.advance(7 * MS + 300_000)
        call, asked_ns = Ticked(), clock.now_ns()
        ticker.subscribe(call, soon=True)
        clock.advance(PTIME_NS)
        assert 0 < call.deadlines_ns[0] - asked_ns <= SOON_PHASES * MS


def test_those_in_a_hurry_together_are_spread_over_the_next_few_phases(
    clock: FakeClock, ticker: Ticker
) -> None:
    calls = [Ticked() for _ in range(2 * SOON_PHASES)]
    for call in calls:
        ticker.subscribe(call, soon=True)
    clock.advance(PTIME_NS)
    instants = [call.deadlines_ns[0] for call in calls]
    assert sorted(instants) == sorted(2 * [min(instants) + n * MS for n in range(SOON_PHASES)])
