import pytest

from benchmarks.metrics import (
    METRICS,
    audio_s,
    e2e_ms,
    gaps_ms,
    in_flight,
    jitter_ms,
    leading_silence_ms,
    overhead_ms,
    rtf,
    scheduling_lag_ms,
    setup_ms,
    stall_ms,
    ttfa_ms,
    ttfb_ms,
    xrt,
)
from benchmarks.record import Outcome, Reception
from tests.benchmarks.made import MS, deliveries, ended, record


def test_scheduling_lag_is_started_less_scheduled() -> None:
    assert scheduling_lag_ms(record(scheduled_ns=4 * MS, started_ns=9 * MS), 0) == [5]


def test_setup_is_dispatched_less_started() -> None:
    assert setup_ms(record(), 0) == [2]


def test_ttfb_is_first_byte_less_dispatched() -> None:
    assert ttfb_ms(record(), 0) == [17]


def test_ttfa_is_the_arrival_plus_the_silence_before_the_onset() -> None:
    # Arrival at 20 ms, 10 ms of silence, dispatched at 3 ms.
    assert ttfa_ms(record(first_audible_sample=80), 0) == [27]


def test_ttfa_of_an_onset_in_a_later_delivery_counts_what_plays_before_it() -> None:
    early = deliveries((20, 0, 160), (21, 160, 160))
    assert ttfa_ms(record(deliveries=early, first_audible_sample=240), 0) == [20 + 30 - 3]


def test_ttfa_of_a_late_delivery_counts_its_stall() -> None:
    late = deliveries((20, 0, 160), (90, 160, 160))
    assert ttfa_ms(record(deliveries=late, first_audible_sample=168), 0) == [90 + 1 - 3]


def test_ttfa_takes_no_account_of_the_jitter_buffer() -> None:
    assert ttfa_ms(record(), 60 * MS) == ttfa_ms(record(), 0)


def test_leading_silence_is_told_by_itself() -> None:
    assert leading_silence_ms(record(first_audible_sample=80), 0) == [10]


def test_silence_alone_has_no_ttfa() -> None:
    assert ttfa_ms(record(first_audible_sample=None), 0) == []
    assert leading_silence_ms(record(first_audible_sample=None), 0) == []


def test_gaps_are_between_arrivals_in_their_order() -> None:
    reordered = deliveries((20, 0, 160), (70, 160, 160), (60, 320, 160))
    assert gaps_ms(record(deliveries=reordered), 0) == [40, 10]


def test_the_longest_stall_is_told_and_zero_is_a_value() -> None:
    late = deliveries((20, 0, 160), (50, 160, 160), (75, 320, 160))
    assert stall_ms(record(deliveries=late), 0) == [10]
    assert stall_ms(record(deliveries=late), 15 * MS) == [0]


def test_jitter_is_that_of_the_reception() -> None:
    assert jitter_ms(record(reception=Reception(3, 0, 0, 0, 0, 1.5)), 0) == [1.5]
    assert jitter_ms(record(), 0) == []


def test_rtf_is_time_since_dispatch_over_audio_and_xrt_its_inverse() -> None:
    assert e2e_ms(record(), 0) == [60]
    assert audio_s(record()) == pytest.approx(0.06)
    assert rtf(record(), 0) == [pytest.approx(1)]
    fast = record(finished_ns=18 * MS)
    assert rtf(fast, 0) == [pytest.approx(0.25)]
    assert xrt(fast, 0) == [pytest.approx(4)]


def test_overhead_is_first_speech_less_the_engines_part() -> None:
    assert overhead_ms(record(first_speech_ns=33 * MS, engine_ms=12.5), 0) == [17.5]
    assert overhead_ms(record(engine_ms=None), 0) == []


def test_a_request_without_audio_has_no_latency() -> None:
    nothing = ended(Outcome.FAILED, "cut", dispatched_ns=None)
    told = {metric.name for metric in METRICS if metric.values(nothing, 0)}
    assert told == {"scheduling_lag_ms"}


def test_in_flight_goes_up_at_the_start_and_down_at_the_end() -> None:
    records = [
        record(started_ns=0, finished_ns=30),
        record(started_ns=10, finished_ns=20),
        record(started_ns=20, finished_ns=40),
    ]
    assert in_flight(records) == [(0, 1), (10, 2), (20, 2), (30, 1), (40, 0)]
