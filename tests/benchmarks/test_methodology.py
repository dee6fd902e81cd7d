import shlex
from dataclasses import fields
from pathlib import Path

import click
import pytest

import benchmarks
from benchmarks.audible import AUDIBLE_DBOV, WINDOW_MS
from benchmarks.cli import bench
from benchmarks.line import LATE_MS
from benchmarks.metrics import METRICS
from benchmarks.record import RequestRecord
from benchmarks.targets.load import MAX_IN_FLIGHT

PAGE = (Path(benchmarks.__file__).parent / "METHODOLOGY.md").read_text()
COMMANDS = [line.strip() for line in PAGE.splitlines() if line.startswith("    talkspurt bench ")]


@pytest.mark.parametrize("metric", [metric.name for metric in METRICS])
def test_every_metric_is_defined(metric: str) -> None:
    assert f"| `{metric}` |" in PAGE


def test_every_instant_is_defined() -> None:
    instants = {each.name.removesuffix("_ns").replace("_", " ") for each in fields(RequestRecord)}
    named = {name for name in instants if f"| *{name}* |" in PAGE}
    assert named == {
        *("scheduled", "started", "dispatched", "admitted", "first byte", "first speech", "finished"),
    }


def test_the_bounds_are_those_of_the_code() -> None:
    assert f"−{-AUDIBLE_DBOV:g} dBov" in PAGE
    assert f"A {WINDOW_MS} ms window" in PAGE
    assert f"{MAX_IN_FLIGHT:,} in flight" in PAGE
    assert f"lateness is {LATE_MS:g} ms or less" in PAGE


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_one(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("out/before", "out/after", "model", "graphs", "half"):
        (tmp_path / folder).mkdir(parents=True)
    name, *arguments = shlex.split(command)[2:]
    found = bench.get_command(click.Context(bench), name)
    assert found is not None
    found.make_context(name, arguments)


def test_there_are_commands() -> None:
    assert len(COMMANDS) >= 4
