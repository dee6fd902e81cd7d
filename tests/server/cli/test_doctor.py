"""`talkspurt doctor`: what it finds is so, and it fails only when no engine can run."""

import socket
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from engines.config import EngineConfig
from engines.engine import BACKENDS
from engines.errors import BackendUnavailable
from server.cli.doctor import Finding, doctor, examine


def run(*arguments: str) -> Result:
    return CliRunner().invoke(doctor, arguments)


def found(name: str, port: int = 8_000) -> Finding:
    return next(each for each in examine("127.0.0.1", port) if each.name == name)


def test_it_shows_each_section_and_succeeds_where_an_engine_can_run() -> None:
    done = run()
    assert done.exit_code == 0, done.output
    for section in ("machine", "packages", "engines", "programs", "ports"):
        assert f"\n{section}\n" in done.output
    assert f"{sys.version_info.major}.{sys.version_info.minor}." in done.output
    assert "voices: default" in done.output


def test_packages_are_told_by_version_or_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found("numpy").detail == version("numpy")
    monkeypatch.setattr("server.cli.doctor._PACKAGES", ("no-such-package",))
    assert found("no-such-package").detail == "not installed"


def unavailable(config: EngineConfig) -> None:
    raise BackendUnavailable("needs a runtime: install talkspurt[runtime]")


def test_an_engine_that_cannot_run_is_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, "other", f"{__name__}:unavailable")
    monkeypatch.setitem(BACKENDS, "absent", "no_such_module:open_backend")
    done = run()
    assert done.exit_code == 0, "another one can"
    assert "needs a runtime: install talkspurt[runtime]" in done.output
    assert "no_such_module" in done.output


def test_an_engine_that_speaks_a_model_asks_for_one_and_is_no_failure() -> None:
    finding = found("onnx")
    assert finding.ok is None
    assert "model: None must be a folder" in finding.detail


def test_a_model_that_does_not_open_is_told_why(tmp_path: Path) -> None:
    done = CliRunner().invoke(doctor, ["--model", str(tmp_path / "nowhere")])
    assert f"model: '{tmp_path / 'nowhere'}' is not a folder" in done.output


def test_it_fails_when_no_engine_can_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in BACKENDS:
        monkeypatch.setitem(BACKENDS, name, f"{__name__}:unavailable")
    assert run().exit_code == 1


def test_a_port_that_is_taken_is_told_and_is_no_failure() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        finding = found(f"tcp 127.0.0.1:{port}", port)
        assert (finding.ok, finding.detail) == (False, "Address already in use")
        assert run("--port", str(port)).exit_code == 0
    assert found(f"tcp 127.0.0.1:{port}", port).ok


def test_the_first_and_last_rtp_ports_are_looked_at() -> None:
    names = [each.name for each in examine("127.0.0.1", 8_000) if each.section == "ports"]
    assert names == ["tcp 127.0.0.1:8000", "udp 127.0.0.1:16384", "udp 127.0.0.1:32766"]


@pytest.mark.parametrize("host", ["nowhere.invalid", "192.0.2.1", "::1", "::2"])
def test_any_host_is_looked_at_without_a_trace(host: str) -> None:
    assert run("--host", host).exit_code == 0


@pytest.mark.parametrize("port", ["0", "65536", "http"])
def test_a_wrong_port_is_a_usage_error(port: str) -> None:
    done = run("--port", port)
    assert done.exit_code == 2
    assert "--port" in done.output
