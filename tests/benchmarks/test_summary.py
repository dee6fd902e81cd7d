import pytest

from benchmarks.record import Outcome, Reception
from benchmarks.summary import summarize
from tests.benchmarks.made import MS, deliveries, ended, record


def test_outcomes_and_reasons_are_counted_behind_the_warm_up() -> None:
    summary = summarize(
        [
            ended(Outcome.FAILED, "cut", measured=False),
            record(index=1),
            ended(Outcome.REFUSED, "full", index=2),
            ended(Outcome.REFUSED, "full", index=3),
            ended(Outcome.FAILED, "cut", index=4),
        ],
        0,
    )
    assert (summary.requests, summary.completed, summary.refused, summary.failed) == (4, 1, 2, 1)
    assert summary.reasons == {"full": 2, "cut": 1}
    assert (summary.warmup_requests, summary.warmup_failed) == (1, 1)


def test_a_failure_in_the_warm_up_is_a_failure_and_a_refusal_is_none() -> None:
    assert summarize([ended(Outcome.FAILED, "cut", measured=False)], 0).any_failed
    assert not summarize([ended(Outcome.REFUSED, "full"), record()], 0).any_failed


def test_latencies_are_of_completed_requests_behind_the_warm_up() -> None:
    slow = record(first_byte_ns=900 * MS)
    records = [record(), record(measured=False, first_byte_ns=800 * MS), ended(Outcome.FAILED, "cut")]
    assert summarize(records, 0).distributions["ttfb_ms"].max == 17
    assert summarize([*records, slow], 0).distributions["ttfb_ms"].max == 897


def test_continuity_is_the_share_without_a_stall_so_long() -> None:
    def stalling(late_ms: int) -> object:
        return record(deliveries=deliveries((20, 0, 160), (40 + late_ms, 160, 160)))

    records = [stalling(0), stalling(50), stalling(120), stalling(500)]
    assert summarize(records, 0).continuity == {"C50": 0.25, "C100": 0.5, "C200": 0.75}  # type: ignore[arg-type]


def test_packets_are_summed_and_late_ones_counted_against_the_jitter_buffer() -> None:
    late = deliveries((20, 0, 160), (130, 160, 160))
    records = [
        record(reception=Reception(10, 1, 2, 3, 0, 0.5)),
        record(reception=Reception(20, 0, 0, 0, 0, 0.5), deliveries=late),
    ]
    packets = summarize(records, 60).packets
    assert packets is not None
    assert (packets.received, packets.lost, packets.reordered, packets.duplicates) == (30, 1, 2, 3)
    assert packets.late == 1
    assert summarize([record()], 60).packets is None


def test_rates_are_over_the_time_from_first_scheduled_to_last_finished() -> None:
    summary = summarize([record(scheduled_ns=0), record(scheduled_ns=100 * MS, finished_ns=500 * MS)], 0)
    assert summary.span_s == pytest.approx(0.5)
    assert summary.completed_hz == pytest.approx(4)
    assert summary.audio_per_s == pytest.approx(0.24)


def test_nothing_at_all_has_a_summary() -> None:
    summary = summarize([], 0)
    assert summary.requests == 0
    assert summary.completed_hz == summary.audio_per_s == 0
