from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.errors import LineFailed, SchemaError
from benchmarks.line import LinePoint, LineRun, analyse, format_line, measure_line
from benchmarks.line_report import LINE_SCHEMA, LINE_VERSION, read_line_run, write_line
from benchmarks.targets.capture import PACKET
from tests.benchmarks.made import MACHINE, MS

WORK: dict[str, Any] = {
    "starts": [(1, 1000 * MS)],
    "from_ns": 1000 * MS,
    "to_ns": 1100 * MS,
    "cpu_s": 0.05,
    "underruns": 0,
    "dropped": 0,
    "skipped": 0,
    "ticker_late_p99_ms": 1.0,
    "loop": "uvloop",
}
HEARD = {"dropped": 0, "cpu_s": 0.1}


def packets(*rows: tuple[float, int, int, int, bool]) -> NDArray[Any]:
    """(arrival in ms, SSRC, timestamp, sequence number, marker) of each."""
    made = [(int(at * MS), ssrc, ts % 2**32, seq % 65_536, marker) for at, ssrc, ts, seq, marker in rows]
    return np.array(made, PACKET)


def call(late_ms: list[float], ssrc: int = 1, start_ms: int = 1000, first: int = 2**32 - 300) -> NDArray[Any]:
    """A call whose k-th packet is so late; its timestamps and sequence numbers wrap."""
    return packets(
        *(
            (start_ms + 20 * k + late, ssrc, first + 160 * k, 65_534 + k, k == 0)
            for k, late in enumerate(late_ms)
        )
    )


def point(**changed: Any) -> LinePoint:
    made = analyse(call([0.5, 0.5, 0.5]), WORK, HEARD)
    return LinePoint(**{name: getattr(made, name) for name in made.__slots__} | changed)


def test_lateness_is_against_the_deadline_of_the_call_over_both_wraps() -> None:
    found = analyse(call([0.5, 3.0, 0.25, 7.0, 1.0]), WORK, HEARD)
    assert found.packets == 5
    assert found.late_p50_ms == 1.0
    assert found.late_p99_ms == found.late_max_ms == 7.0
    assert found.lost == found.reordered == 0


def test_a_constant_delay_is_lateness_too() -> None:
    assert analyse(call([8.0] * 5), WORK, HEARD).late_p50_ms == 8.0


def test_each_call_has_its_own_deadlines() -> None:
    work = WORK | {"starts": [(1, 1000 * MS), (2, 1007 * MS)]}
    both = np.concatenate((call([1.0] * 4), call([1.0] * 4, ssrc=2, start_ms=1007, first=17)))
    both.sort(order="at_ns")
    found = analyse(both, work, HEARD)
    assert (found.calls, found.packets, found.late_max_ms) == (2, 8, 1.0)
    assert found.gap_max_ms == 20.0


def test_packets_due_outside_the_window_do_not_count() -> None:
    work = WORK | {"from_ns": 1040 * MS, "to_ns": 1080 * MS}
    found = analyse(call([90.0, 0.0, 1.0, 2.0, 90.0]), work, HEARD)
    assert (found.packets, found.late_max_ms) == (2, 2.0)


def test_silence_before_the_marked_packet_is_no_reference() -> None:
    early = packets((990, 1, 2**32 - 460, 65_533, False))
    found = analyse(np.concatenate((early, call([1.0] * 3))), WORK, HEARD)
    assert (found.packets, found.late_max_ms) == (3, 1.0)


def test_packets_before_the_marked_one_have_their_deadlines_too() -> None:
    early = packets((990, 1, 2**32 - 460, 65_533, False))
    found = analyse(np.concatenate((early, call([1.0] * 3))), WORK | {"from_ns": 970 * MS}, HEARD)
    assert (found.packets, found.late_max_ms) == (4, 10.0)


def test_a_missing_sequence_number_is_a_lost_packet() -> None:
    found = analyse(np.delete(call([0.0] * 5), 2), WORK, HEARD)
    assert found.lost == 1
    assert not found.holds


def test_what_the_receiver_dropped_is_not_the_senders_loss() -> None:
    found = analyse(np.delete(call([0.0] * 5), 2), WORK, HEARD | {"dropped": 1})
    assert (found.lost, found.receiver_dropped) == (0, 1)


def test_reordered_packets_are_counted() -> None:
    found = analyse(call([0.0, 25.0, 0.0, 0.0])[[0, 2, 1, 3]], WORK, HEARD)
    assert (found.lost, found.reordered) == (0, 1)


def test_a_call_that_never_came_is_silent() -> None:
    found = analyse(call([0.0] * 3), WORK | {"starts": [(1, 1000 * MS), (9, 1000 * MS)]}, HEARD)
    assert found.silent_calls == 1
    assert not found.holds


def test_strangers_are_left_out() -> None:
    both = np.concatenate((call([0.0] * 3), call([50.0] * 3, ssrc=77)))
    assert analyse(both, WORK, HEARD).late_max_ms == 0


def test_nothing_at_all_is_analysed() -> None:
    found = analyse(packets(), WORK, HEARD)
    assert (found.packets, found.silent_calls, found.holds) == (0, 1, False)


def test_cores_are_cpu_seconds_a_second() -> None:
    assert analyse(call([0.0]), WORK, HEARD).sender_cores == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("changed", "holds"),
    [
        ({}, True),
        ({"late_p99_ms": 5.0}, True),
        ({"late_p99_ms": 5.1}, False),
        ({"underruns": 1}, False),
        ({"skipped": 1}, False),
        ({"sender_dropped": 1}, False),
        ({"receiver_dropped": 1}, True),
    ],
)
def test_a_line_holds_while_nobody_would_hear_anything(changed: dict[str, Any], holds: bool) -> None:
    assert point(**changed).holds is holds


def test_a_sweep_comes_back_as_it_was_written(tmp_path: Any) -> None:
    made = LineRun(LINE_SCHEMA, LINE_VERSION, "now", MACHINE, 0.5, (point(), point(calls=2)))
    write_line(tmp_path, made)
    assert read_line_run(tmp_path) == made
    (tmp_path / "line.json").write_text('{"schema": "talkspurt.bench.line", "version": 2}')
    with pytest.raises(SchemaError, match=r"found talkspurt\.bench\.line 2"):
        read_line_run(tmp_path)


def test_the_table_has_a_row_for_each_point() -> None:
    lines = format_line([point(), point(calls=2000, late_p99_ms=30.0)]).splitlines()
    assert len(lines) == 3
    assert lines[1].endswith("yes")
    assert lines[2].endswith("no")


def test_a_busy_machine_is_a_doubt() -> None:
    quiet = LineRun(LINE_SCHEMA, LINE_VERSION, "now", MACHINE, 0.9, ())
    assert quiet.doubts == ()
    assert "load average 1.10" in replace(quiet, load_average=1.1).doubts[0]


@pytest.mark.parametrize(("calls", "seconds"), [(0, 1), (10**6, 1), (1, 0), (1, 1000)])
def test_what_is_out_of_bounds_is_refused(calls: int, seconds: float) -> None:
    with pytest.raises(LineFailed, match="at most"):
        measure_line(calls, seconds)


def test_a_few_real_calls_are_heard_whole() -> None:
    found = measure_line(5, 1.0)
    assert found.calls == 5
    assert found.packets == pytest.approx(250, abs=10)
    assert found.lost == found.silent_calls == found.underruns == 0
    assert 0 < found.late_p50_ms < 20
    assert 0 < found.sender_cores < 2
