from pathlib import Path

import pytest

from benchmarks import machine
from benchmarks.machine import inspect_machine, load_average
from benchmarks.schema import from_json, to_json


def test_a_machine_goes_to_json_and_back() -> None:
    found = inspect_machine()
    assert from_json(machine.Machine, to_json(found)) == found
    assert found.cores >= 1
    assert "Python" in found.python
    assert load_average() >= 0


def test_outside_a_checkout_the_commit_is_empty(tmp_path: Path) -> None:
    assert machine._commit(tmp_path) == ""


def test_without_git_the_commit_is_empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert inspect_machine().commit == ""


def test_gpus_are_named_by_the_driver(tmp_path: Path) -> None:
    (tmp_path / "0000:01:00.0").mkdir()
    (tmp_path / "0000:01:00.0" / "information").write_text("Model: \t\t A Large One\nIRQ: 7\n")
    assert machine._gpus(tmp_path) == ("A Large One",)
    assert machine._gpus(tmp_path / "absent") == ()


def test_the_processor_is_named_by_the_kernel(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor : 0\nmodel name\t: Fast One\n")
    assert machine._cpu(tmp_path / "cpuinfo") == "Fast One"
