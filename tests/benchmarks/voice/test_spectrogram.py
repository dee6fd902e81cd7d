import struct
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.voice.spectrogram import png, spectrogram, spectrogram_png
from engines.rates import SAMPLE_RATE_HZ


def tone(frequency_hz: float, amplitude: float = 0.5) -> NDArray[np.float32]:
    time_s = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    return (amplitude * np.sin(2 * np.pi * frequency_hz * time_s)).astype(np.float32)


@pytest.mark.parametrize("frequency_hz", [500, 2_000, 7_000])
def test_a_tone_lies_at_its_height(frequency_hz: float) -> None:
    shades = spectrogram(tone(frequency_hz))
    row = int(shades[:, 100].argmax())
    assert row == pytest.approx(199 * (1 - frequency_hz / 8_000), abs=2)


def test_there_are_two_hundred_columns_a_second() -> None:
    assert spectrogram(tone(1_000)).shape == (200, 201)


def test_a_full_sine_is_brightest_and_silence_darkest() -> None:
    assert spectrogram(tone(1_000, 1.0)).max() >= 250
    assert spectrogram(np.zeros(9_600, np.float32)).max() == 0


def test_half_the_range_down_is_half_as_bright() -> None:
    assert spectrogram(tone(1_000, 10 ** (-37.5 / 20)))[:, 100].max() == pytest.approx(128, abs=6)


def chunks_of(file: bytes) -> dict[bytes, bytes]:
    found, at = {}, 8
    while at < len(file):
        (length,) = struct.unpack_from(">I", file, at)
        kind, body = file[at + 4 : at + 8], file[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", file, at + 8 + length) == (zlib.crc32(kind + body),)
        found[kind] = body
        at += 12 + length
    return found


def test_a_png_holds_its_pixels() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    file = png(pixels)
    assert file[:8] == b"\x89PNG\r\n\x1a\n"
    found = chunks_of(file)
    assert list(found) == [b"IHDR", b"IDAT", b"IEND"]
    assert struct.unpack(">IIBBBBB", found[b"IHDR"]) == (4, 2, 8, 2, 0, 0, 0)
    lines = np.frombuffer(zlib.decompress(found[b"IDAT"]), np.uint8).reshape(2, 13)
    assert np.array_equal(lines[:, 0], [0, 0])
    assert np.array_equal(lines[:, 1:].reshape(2, 4, 3), pixels)


def test_a_picture_of_speech_is_small_enough_to_lie_in_a_page() -> None:
    noise = np.random.default_rng(0).standard_normal(2 * SAMPLE_RATE_HZ).astype(np.float32)
    assert 1_000 < len(spectrogram_png(0.1 * noise)) < 200_000
