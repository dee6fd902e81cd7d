from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.errors import SchemaError
from benchmarks.voice.sets import GENERAL, TELEPHONE
from benchmarks.voice.verdict import (
    UTTERANCES_FILE,
    VOICE_FILE,
    count,
    errors_of,
    read_verdict,
    write_verdict,
)
from benchmarks.voice.words import Errors
from tests.benchmarks.voice.made import timed, utterance, verdict

HEARD = [utterance(0, 0, "the cat sat"), utterance(0, 1, "press nine now"), utterance(1, 0, "a cat")]


def test_a_verdict_reads_back_as_it_was_written(tmp_path: Path) -> None:
    made = verdict(timed=(timed("onnx", 0.1, 0.4),))
    found = [*HEARD, utterance(1, 1, "", length_ratio=0.9, ended="stop", seam_jump=0.5, like_mel=True)]
    write_verdict(tmp_path / "new", made, found)
    assert read_verdict(tmp_path / "new") == (made, found)


@pytest.mark.parametrize("name", [VOICE_FILE, UTTERANCES_FILE])
def test_a_file_that_is_broken_or_missing_is_told(tmp_path: Path, name: str) -> None:
    write_verdict(tmp_path, verdict(), HEARD)
    (tmp_path / name).write_text("{")
    with pytest.raises(SchemaError, match=name):
        read_verdict(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(SchemaError, match=name):
        read_verdict(tmp_path)


def test_another_version_is_refused(tmp_path: Path) -> None:
    write_verdict(tmp_path, replace(verdict(), version=99), HEARD)
    with pytest.raises(SchemaError, match="99"):
        read_verdict(tmp_path)


def test_errors_are_of_the_spoken_words_and_not_of_the_digits_typed() -> None:
    assert errors_of(verdict(), utterance(0, 1, "press five now")) == Errors(0, 0, 0, 3)


def test_a_row_is_counted_by_set_and_in_all() -> None:
    rates = {each: count(verdict(), HEARD, 0, each).word_error_rate for each in (GENERAL, TELEPHONE, None)}
    assert rates == {GENERAL: 0, TELEPHONE: pytest.approx(1 / 3), None: pytest.approx(1 / 6)}
    assert count(verdict(), HEARD, 1, None).utterances == 1


def test_what_was_not_measured_is_none() -> None:
    counted = count(verdict(), HEARD, 0, None)
    assert (counted.stopped, counted.in_length, counted.seam_jump, counted.mel_l1) == (None, None, None, None)
    assert (counted.like_mel, counted.like_xvector, counted.length_ratio) == (None, None, None)


def test_shares_are_of_what_was_measured() -> None:
    found = [
        utterance(1, 0, "", length_ratio=0.8, ended="stop", like_mel=True, mel_l1=0.1, seam_jump=0.5),
        utterance(1, 0, "", length_ratio=1.25, ended="repetition", like_mel=False, mel_l1=0.3, seam_jump=0.7),
        utterance(1, 1, "", length_ratio=1.26, ended="stop", seam_jump=3.0),
        utterance(1, 1, "", length_ratio=0.79, ended="stop"),
    ]
    counted = count(verdict(), found, 1, None)
    assert (counted.stopped, counted.in_length, counted.like_mel) == (0.75, 0.5, 0.5)
    assert counted.mel_l1 == pytest.approx(0.2)
    assert counted.seam_jump == 0.7
    assert counted.length_ratio == pytest.approx(1.025)


def test_loops_are_counted() -> None:
    found = [utterance(1, 0, "the cat the cat the cat sat"), utterance(1, 1, "press five now")]
    assert count(verdict(), found, 1, None).loops == 1
