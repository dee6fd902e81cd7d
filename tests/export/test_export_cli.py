"""`talkspurt export`: a folder or one sentence; a table or JSON; status 1 when a graph differs."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from engines.backends.manifest import read_manifest
from export.export_cli import export
from tests.fakes.tiny_export import tiny_export, tiny_weights
from tests.fakes.tiny_model import tiny_checkpoint


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(export, [str(each) for each in arguments])


def test_onnx_writes_what_is_asked_for_and_says_so(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = call(
        "onnx", "--model", tiny_weights(), "--out", out, "--graphs", "t3_step, voice_speaker", "--int8"
    )
    assert done.exit_code == 0, done.output
    assert f"{out}: 3 graphs, " in done.output
    assert "float32" in done.output
    assert set(read_manifest(out).graphs) == {"t3_step", "t3_step_int8", "voice_speaker"}


def test_onnx_takes_the_precision(tmp_path: Path) -> None:
    out = tmp_path / "out"
    call("onnx", "--model", tiny_weights(), "--out", out, "--graphs", "t3_step", "--precision", "fp16")
    assert read_manifest(out).precision == "float16"


@pytest.mark.parametrize("command", [("onnx", "--out", "out"), ("verify", "graphs")])
def test_what_is_wrong_is_one_sentence(command: tuple[str, ...], tmp_path: Path) -> None:
    done = call(*command, "--model", tmp_path / "none")
    assert done.exit_code == 1
    assert done.output.startswith(("Error: model", "graph")), done.output
    assert "Traceback" not in done.output


def test_a_graph_that_came_out_wrong_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.onnx_graphs.OPS", frozenset({"Add"}))
    done = call("onnx", "--model", tiny_weights(), "--out", tmp_path / "out", "--graphs", "voice_speaker")
    assert done.exit_code == 1
    assert "LSTM" in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "out").exists()


def test_verify_shows_a_row_a_graph() -> None:
    done = call("verify", tiny_export(), "--model", tiny_weights(), "--threads", 1)
    assert done.exit_code == 0, done.output
    title, *rows = done.output.splitlines()
    assert title.split()[:2] == ["graph", "precision"]
    assert [row.split()[0] for row in rows] == list(read_manifest(tiny_export()).graphs)
    assert all(row.endswith("ok") for row in rows)


def test_verify_fails_by_its_status_and_in_json(tmp_path: Path) -> None:
    other = tiny_checkpoint(tmp_path / "other", seed=1)
    done = call("verify", tiny_export(), "--model", other, "--threads", 1, "--json")
    assert done.exit_code == 1
    told = json.loads(done.output)
    assert told["ok"] is False
    assert {each["graph"]: each["ok"] for each in told["graphs"]}["t3_step"] is False
    assert {"precision", "cases", "output", "max_abs", "relative_rms", "tolerance", "agreement"} <= set(
        told["graphs"][0]
    )
