"""Ours against the reference: every way in turn, medians over rounds, and a file that reads back."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks import reference
from benchmarks.cli import bench
from benchmarks.errors import SchemaError
from benchmarks.machine import inspect_machine
from benchmarks.reference import (
    REFERENCE,
    REFERENCE_SCHEMA,
    REFERENCE_VERSION,
    ReferenceFailed,
    ReferenceRun,
    Setup,
    Utterance,
    format_reference,
    measure,
    read_reference,
    write_reference,
)
from engines.config import EngineConfig
from engines.text import Segmenter

SETUP = Setup(Path("weights"), Path("graphs"), Path("python"), 2, rounds=2, seed=0, ways=("onnx",))
ENGINE_RUN = [sys.executable, "-m", "benchmarks.targets.model_run"]


def timed(way: str, number: int, tokens: int, first_audio_s: float, total_s: float) -> Utterance:
    return Utterance(
        way, number, tokens, tokens / 25, 0.5 * total_s, 0.5 * total_s, first_audio_s, total_s, 2_048
    )


def run_of(*utterances: Utterance) -> ReferenceRun:
    machine = inspect_machine()
    told = (REFERENCE_SCHEMA, REFERENCE_VERSION, "2026-01-01", machine, 0.1, "nano", "random", 2, 0)
    return ReferenceRun(*told, utterances)


def test_every_way_runs_once_a_round_and_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[bool, list[int]]] = []

    def process(command: list[str], job: dict[str, Any]) -> dict[str, Any]:
        asked.append((command[0] == "python", [each["tokens"] for each in job["utterances"]]))
        parts = {"t3_s": 1, "s3gen_s": 1, "first_audio_s": 2, "total_s": 2, "tokens": 1}
        return {"utterances": [{**parts, "audio_s": each} for each in (2.12, 5.12, 10.12)], "peak_mib": 100}

    monkeypatch.setattr(reference, "_process", process)
    made = measure(SETUP)
    ours, theirs = (False, [53, 128, 253]), (True, [50, 125, 250])  # they append three of silence themselves
    assert asked == [theirs, ours, theirs, ours]
    assert [(each.way, each.round) for each in made[::3]] == [
        (REFERENCE, 0),
        ("onnx", 0),
        (REFERENCE, 1),
        ("onnx", 1),
    ]
    assert {each.tokens for each in made} == {50, 125, 250}


def test_a_way_that_speaks_more_or_less_than_it_was_asked_for_is_no_comparison(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parts = {"t3_s": 1, "s3gen_s": 1, "first_audio_s": 2, "total_s": 2, "audio_s": 10.12, "tokens": 1}
    answer = {"utterances": [parts] * 3, "peak_mib": 100}
    monkeypatch.setattr(reference, "_process", lambda command, job: answer)
    with pytest.raises(ReferenceFailed, match=r"reference spoke 10.12 s where 2.12 s were asked for"):
        measure(SETUP)


def test_each_text_is_one_segment_so_that_all_speak_as_many_tokens() -> None:
    for text in reference.TEXTS:
        segmenter = Segmenter(max_chars=EngineConfig().max_segment_chars)
        assert len(segmenter.push(text) + segmenter.flush()) == 1, text


def test_a_process_that_fails_is_told_with_its_last_words() -> None:
    with pytest.raises(ReferenceFailed, match="no such thing"):
        reference._process([sys.executable, "-c", "raise SystemExit('no such thing')"], {})


def test_the_table_has_medians_and_ratios_to_the_reference() -> None:
    run = run_of(
        *(timed(REFERENCE, number, 50, total, total) for number, total in enumerate((8.0, 9.0, 100.0))),
        *(timed("onnx", number, 50, first, 4.0) for number, first in enumerate((1.0, 1.5, 90.0))),
    )
    table = format_reference(run).splitlines()
    assert table[2] == "| reference | 2 s | 90.0 | 2.25 | 9.00 | 4.50 | 2.0 | 1.0× | 1.00× |"
    assert table[3] == "| onnx | 2 s | 40.0 | 1.00 | 1.50 | 2.00 | 2.0 | 6.0× | 2.25× |"


def test_a_run_reads_back_as_it_was_written(tmp_path: Path) -> None:
    run = run_of(timed(REFERENCE, 0, 50, 1, 2))
    write_reference(tmp_path, run)
    assert read_reference(tmp_path) == run


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    write_reference(tmp_path, replace(run_of(), version=99))
    with pytest.raises(SchemaError, match="found"):
        read_reference(tmp_path)


def test_an_engine_in_its_own_process_stops_where_it_is_told_to() -> None:
    job = {
        "profile": "balanced",
        "config": {"backend": "tone"},
        "utterances": [
            {"text": "A text that would take longer than this. " * 3, "tokens": tokens} for tokens in (20, 40)
        ],
    }
    done = subprocess.run(
        ENGINE_RUN, input=json.dumps(job), capture_output=True, text=True, check=True, timeout=60
    )
    first, second = json.loads(done.stdout)["utterances"]
    segments = 3
    assert (first["audio_s"], second["audio_s"]) == pytest.approx((segments * 0.8, segments * 1.6))
    assert 0 < first["first_audio_s"] <= first["total_s"]


def test_the_command_writes_the_file_and_shows_the_table(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = tuple(timed(way, 0, 50, 1, 2) for way in (REFERENCE, "onnx"))
    monkeypatch.setattr(reference, "measure", lambda setup, on_done: made)
    options = ["--weights", str(tmp_path), "--graphs", str(tmp_path), "--oracle", sys.executable]
    out = tmp_path / "out"
    done = CliRunner().invoke(bench, ["reference", *options, "--label", "random", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "| onnx | 2 s |" in done.output
    assert read_reference(out).weights == "random"
