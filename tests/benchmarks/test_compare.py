from dataclasses import replace

from benchmarks.arrivals import Load
from benchmarks.compare import Row, compare_runs, format_comparison
from benchmarks.results import Texts
from tests.benchmarks.made import MACHINE, MS, record, run

SLOW = [record(index=k, first_byte_ns=37 * MS) for k in range(3)]
FAST = [record(index=k, first_byte_ns=20 * MS) for k in range(3)]


def test_runs_of_one_kind_have_no_warnings() -> None:
    assert compare_runs(run(SLOW), run(FAST)).warnings == ()


def test_another_commit_is_what_is_compared_and_no_warning() -> None:
    assert compare_runs(run(SLOW), run(FAST, machine=replace(MACHINE, commit="other"))).warnings == ()


def test_every_other_difference_is_a_warning() -> None:
    other = run(
        FAST,
        machine=replace(MACHINE, cpu="faster"),
        protocol="rtp",
        sample_rate=16_000,
        jitter_buffer_ms=0,
        load=Load(20.0, 2.0, seed=2, warmup_s=1.0),
        texts=Texts(1, "short", "x"),
        server={"config": "y"},
        load_average=3.0,
    )
    warnings = " ".join(compare_runs(run(SLOW), other).warnings)
    for name in (
        *("machine.cpu", "protocol", "sample_rate", "jitter_buffer_ms", "load.rate_hz", "load.seed"),
        *("texts.text_set", "texts.digest", "server", "busy"),
    ):
        assert name in warnings


def test_ratios_are_second_over_first() -> None:
    rows = {row.title: row for row in compare_runs(run(SLOW), run(FAST)).rows}
    ttfb = rows["TTFB p50"]
    assert (ttfb.first, ttfb.second, ttfb.ratio) == (34, 17, 0.5)
    assert ttfb.tone == "better"
    assert rows["completed"].ratio == 1


def test_better_is_lower_but_for_rates() -> None:
    assert Row("ttfa_ms", "", 10, 20).tone == "worse"
    assert Row("xrt", "", 10, 20).tone == "better"
    assert Row("failed", "", 10, 20).tone == "worse"
    assert Row("requests", "", 10, 20).tone == ""


def test_a_small_difference_has_no_tone_and_a_zero_no_ratio() -> None:
    assert Row("ttfa_ms", "", 100, 104).tone == ""
    assert Row("ttfa_ms", "", 0, 104).ratio is None


def test_metrics_that_one_run_lacks_are_left_out() -> None:
    timed = run([record(engine_ms=5.0)])
    titles = [row.title for row in compare_runs(run(SLOW), timed).rows]
    assert not [title for title in titles if title.startswith(("RTP jitter", "Server overhead"))]


def test_the_text_table_has_warnings_first_and_aligned_columns() -> None:
    lines = format_comparison(compare_runs(run(SLOW), run(FAST, protocol="rtp"))).splitlines()
    assert lines[0] == "warning: protocol differs: ws and rtp"
    assert {len(line) for line in lines[1:]} == {67}
    (row,) = [line.split() for line in lines if line.startswith("TTFB p50")]
    assert row == ["TTFB", "p50", "34.0", "17.0", "0.50×"]
