from dataclasses import replace

from benchmarks.doubts import doubts
from benchmarks.results import Run
from tests.benchmarks.made import MS, record, run

MANY = [record(index=k) for k in range(100)]


def about(made: Run) -> str:
    return "; ".join(doubts(made))


def test_a_quiet_long_run_has_no_doubts() -> None:
    assert about(run(MANY)) == ""


def test_a_busy_machine_is_a_doubt() -> None:
    assert "load average 1.50" in about(run(MANY, load_average=1.5))


def test_a_busy_load_generator_is_a_doubt_unless_it_holds_the_engine() -> None:
    assert "0.90 cores" in about(run(MANY, client_cores=0.9))
    assert about(run(MANY, client_cores=0.9, protocol="engine")) == ""


def test_late_requests_are_a_doubt() -> None:
    late = [replace(each, started_ns=each.scheduled_ns + 25 * MS) for each in MANY]
    assert "25 ms late" in about(run(late))


def test_too_few_requests_for_p99_are_a_doubt() -> None:
    assert "p99 of 99 requests is their maximum" in about(run(MANY[:99]))
