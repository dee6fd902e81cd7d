import struct
from pathlib import Path

import numpy as np
import pytest

from benchmarks.voice.phone import through_phone
from benchmarks.voice.report import render_verdict
from benchmarks.voice.samples import picture, sound, wav, write_samples
from benchmarks.voice.verdict import SOURCE, Row
from telephony.g711 import encode_mulaw
from tests.benchmarks.voice.made import ROWS, timed, utterance, verdict

HEARD = [utterance(0, 0, "the cat sat"), utterance(1, 0, "<b>hat</b>", ended="stop")]
HUM = (0.1 * np.sin(np.arange(24_000) / 20)).astype(np.float32)


def test_the_page_shows_and_plays_every_row(tmp_path: Path) -> None:
    write_samples(tmp_path, [HUM, HUM[::2]])
    html = render_verdict(tmp_path, verdict(timed=(timed("onnx", 0.1, 0.4),)), HEARD)
    assert html.count('<img src="data:image/png;base64,') == html.count('src="data:audio/wav;base64,') == 2
    assert "heard: the cat sat" in html
    assert "On one core" in html


def test_the_page_escapes_what_was_heard_and_what_it_is_called(tmp_path: Path) -> None:
    html = render_verdict(tmp_path, verdict(), HEARD)
    assert "<b>hat" not in html
    assert "<of>" not in html


def test_a_page_without_samples_times_or_speech_is_still_one(tmp_path: Path) -> None:
    html = render_verdict(tmp_path, verdict(rows=ROWS[:1]), HEARD[:1])
    assert "<img" not in html
    assert "On one core" not in html
    assert "Of source" in html


def test_the_first_row_of_each_stage_and_mode_has_a_tile(tmp_path: Path) -> None:
    rows = (*ROWS, Row(SOURCE, "", "", "awb", None))
    html = render_verdict(tmp_path, verdict(rows=rows), [*HEARD, utterance(2, 0, "")])
    assert html.count('<div class="tile ') == 2


def test_each_row_has_a_picture_and_a_sound(tmp_path: Path) -> None:
    write_samples(tmp_path / "new", [HUM, HUM])
    for row in range(2):
        assert picture(tmp_path / "new", row).read_bytes().startswith(b"\x89PNG")
        assert sound(tmp_path / "new", row).read_bytes().startswith(b"RIFF")


@pytest.mark.parametrize("samples", [8_000, 8_001, 0])
def test_a_sound_is_mu_law_as_the_line_has_it(samples: int) -> None:
    pcm = np.resize(through_phone(HUM), samples)
    file = wav(pcm)
    assert int.from_bytes(file[4:8], "little") == len(file) - 8
    assert len(file) % 2 == 0
    assert file[8:16] == b"WAVEfmt "
    assert struct.unpack_from("<HHIIHH", file, 20) == (7, 1, 8_000, 8_000, 1, 8)
    at = file.index(b"data")
    assert int.from_bytes(file[at + 4 : at + 8], "little") == samples
    assert file[at + 8 : at + 8 + samples] == encode_mulaw(pcm).tobytes()
