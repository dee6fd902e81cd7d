import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cli import main
from benchmarks.voice import command, pace
from benchmarks.voice import judge as judging
from benchmarks.voice.errors import JudgeFailed
from benchmarks.voice.verdict import read_verdict
from benchmarks.voice.ways import Setup
from tests.benchmarks.voice.made import FakeListener, fake_say
from tests.fakes.tiny_export import tiny_weights


class Quiet(FakeListener):
    def __init__(self, jobs: int) -> None:
        super().__init__()
        self.details = {"listener": "fake", "jobs": str(jobs)}

    def __enter__(self) -> "Quiet":
        return self

    def __exit__(self, *_: Any) -> None:
        pass


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "say", fake_say)
    monkeypatch.setattr(command, "Listener", Quiet)


@pytest.mark.usefixtures("quiet")
def test_a_judgement_leaves_its_files_and_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "made"
    asked = ["--weights", str(tiny_weights()), "--voice", "default=rms", "--threads", "1", "--timed", "0"]
    assert main(["voice", *asked, "--quick", "1", "--label", "noise", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "| text to speech, pytorch, streamed, default |" in said
    verdict, utterances = read_verdict(out)
    assert (verdict.label, verdict.listener["listener"]) == ("noise", "fake")
    assert verdict.settings["pytorch"]["threads"] == 1
    assert len(utterances) == 2 * len(verdict.rows) == 12
    drawn = (out / "report.html").read_text()
    assert drawn.count("<img") == 6
    (out / "report.html").unlink()
    assert main(["report", str(out)]) == 0
    assert (out / "report.html").read_text() == drawn


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--voice", "awb"], "NAME=FLITE"),
        (["--way", "onnx"], "needs the folder"),
        (["--weights", "."], "model"),
        (["--quick", "0"], "--quick"),
    ],
)
@pytest.mark.usefixtures("quiet")
def test_what_cannot_be_judged_is_said_in_a_sentence(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["voice", "--label", "x", "--quick", "1", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_without_a_listener_nothing_is_judged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    assert main(["voice", "--label", "x"]) == 2
    assert "talkspurt[judge]" in capsys.readouterr().err


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux tells a process which cores it may use"
)
def test_a_way_is_timed_in_a_process_on_one_core() -> None:
    setup = Setup(tiny_weights(), None, None)
    found = pace.time_way(setup, "pytorch", ["Go now.", "Go."])
    assert [each.way for each in found] == ["pytorch", "pytorch"]
    assert all(0 < each.first_audio_s <= each.total_s and each.audio_s > 0 for each in found)


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux tells a process which cores it may use"
)
def test_a_way_that_cannot_be_timed_is_told_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(JudgeFailed, match="pytorch could not be timed"):
        pace.time_way(Setup(tmp_path, None, None), "pytorch", ["Go."])
