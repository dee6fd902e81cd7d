import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cli import main
from benchmarks.record import Outcome
from benchmarks.results import read_requests, read_run
from tests.fakes.in_thread import in_thread
from tests.fakes.speech_http import FakeSpeechHttp, Manner
from tests.fakes.speech_stream import FakeSpeechStream

QUICK = ["--rate", "20", "--duration", "0.5", "--warmup", "0.2", "--seed", "1"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def bench(*arguments: str) -> int:
    return main(list(arguments))


@pytest.mark.parametrize("protocol", ["http", "rtp"])
def test_a_run_leaves_its_files_and_a_table(
    here: Path, protocol: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with in_thread(FakeSpeechHttp()) as server:
        assert bench("run", "--target", server.url, "--protocol", protocol, *QUICK, "--out", "made") == 0
    said = capsys.readouterr().out
    assert "0 refused, 0 failed" in said
    assert "TTFA, ms" in said
    found = read_run(here / "made")
    records = read_requests(here / "made")
    assert (found.protocol, found.encoding, found.server["config"]) == (protocol, "mulaw", "c0ffee")
    assert found.summary.completed == sum(record.measured for record in records) > 3
    assert any(not record.measured for record in records)
    assert found.jitter_buffer_ms == {"http": 0, "rtp": 60}[protocol]
    assert (here / "made" / "report.html").read_text().startswith("<!doctype html>")


def test_a_run_over_websocket_tells_the_overhead(capsys: pytest.CaptureFixture[str]) -> None:
    with in_thread(FakeSpeechStream()) as server:
        assert bench("run", "--target", server.url, "--protocol", "ws", *QUICK, "--out", "made") == 0
    assert "Server overhead, ms" in capsys.readouterr().out


def test_overhead_has_its_own_defaults_and_asks_the_server(here: Path) -> None:
    with in_thread(FakeSpeechHttp()) as server:
        quick = ["--duration", "0.4", "--warmup", "0", "--out", "made"]
        assert bench("overhead", "--target", server.url, "--protocol", "rtp", *quick) == 0
    found = read_run(here / "made")
    assert (found.load.rate_hz, found.texts.text_set) == (50.0, "short")
    assert found.summary.distributions["overhead_ms"].count == found.summary.completed > 0


def test_overhead_is_not_told_over_http(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("overhead", "--protocol", "http") == 2
    assert "ws and rtp only" in capsys.readouterr().err


def test_the_engine_is_measured_in_process(here: Path) -> None:
    short = ["--rate", "5", "--duration", "0.6", "--warmup", "0", "--texts", "short", "--out", "made"]
    assert bench("run", "--protocol", "engine", *short) == 0
    found = read_run(here / "made")
    assert (found.target, found.encoding, found.sample_rate) == ("in-process", "float32", 24_000)
    assert found.options["engine"] == "preview"
    assert "config_digest" in found.server


@pytest.mark.parametrize(
    ("manner", "outcome", "code"),
    [(Manner.REFUSE, Outcome.REFUSED, 0), (Manner.FAIL, Outcome.FAILED, 1), (Manner.CUT, Outcome.FAILED, 1)],
)
def test_a_failure_is_in_the_exit_code_and_a_refusal_is_not(
    here: Path, manner: Manner, outcome: Outcome, code: int
) -> None:
    with in_thread(FakeSpeechHttp(manners=[Manner.SPEAK, manner])) as server:
        assert bench("run", "--target", server.url, *QUICK, "--warmup", "0", "--out", "made") == code
    assert sum(record.outcome is outcome for record in read_requests(here / "made")) == 1


def test_a_failure_in_the_warm_up_is_in_the_exit_code_too() -> None:
    with in_thread(FakeSpeechHttp(manners=[Manner.FAIL])) as server:
        assert bench("run", "--target", server.url, *QUICK, "--pattern", "constant", "--out", "made") == 1


def test_the_same_seed_asks_the_same_things() -> None:
    asked: list[list[Any]] = []
    for _ in range(2):
        with in_thread(FakeSpeechHttp()) as server:
            bench("run", "--target", server.url, *QUICK, "--out", "made")
            asked.append([each["input"] for each in server.asked])
    assert sorted(asked[0]) == sorted(asked[1])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--target", "http://example.com"], "--allow-remote"),
        (["run", "--target", "http://127.0.0.1:9"], "nothing answers"),
        (["run", "--protocol", "engine", "--engine", "nothing"], "unknown"),
        (["run", "--sample-rate", "16000"], "sample_rate"),
        (["run", "--rate", "1e4", "--duration", "80000"], "more than 100000"),
        (["run", "--rate", "0"], "--rate"),
        (["compare", ".", "."], "run.json"),
        (["report", "."], "run.json"),
        (["nonsense"], "No such command"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(*arguments) == 2
    assert said in capsys.readouterr().err


def test_two_runs_are_compared_and_a_report_is_drawn_again(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with in_thread(FakeSpeechHttp()) as server:
        bench("run", "--target", server.url, *QUICK, "--out", "a")
        bench("run", "--target", server.url, *QUICK, "--texts", "short", "--out", "b")
    drawn = (here / "a" / "report.html").read_text()
    (here / "a" / "report.html").unlink()
    capsys.readouterr()
    assert bench("compare", "a", "b", "--html", "both.html") == 0
    said = capsys.readouterr().out
    assert "warning: texts.text_set differs: mixed and short" in said
    assert "TTFA p95" in said
    assert (here / "both.html").exists()
    assert bench("report", "a") == 0
    assert (here / "a" / "report.html").read_text() == drawn


def test_the_line_is_measured(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("line", "--calls", "2", "--seconds", "1", "--out", "made") == 0
    assert "holds" in capsys.readouterr().out
    assert json.loads((here / "made" / "line.json").read_text())["points"][0]["calls"] == 2
    (here / "made" / "report.html").unlink()
    assert bench("report", "made") == 0
    assert (here / "made" / "report.html").exists()
