"""Tempo: the duration is divided by the speed, the pitch stays, and no cut of the input is heard."""

import numpy as np
import pytest

from engines.contract import Samples
from engines.rates import SAMPLE_RATE_HZ
from server.tempo import Tempo

SPEEDS = [0.25, 0.3, 0.5, 0.75, 1.25, 2.0, 3.0, 4.0]


def tone(seconds: float, hz: float = 440.0) -> Samples:
    at = np.arange(round(seconds * SAMPLE_RATE_HZ))
    wave: Samples = (0.3 * np.sin(2 * np.pi * hz / SAMPLE_RATE_HZ * at)).astype(np.float32)
    return wave


def stretch(samples: Samples, speed: float, cut_samples: int | None = None) -> Samples:
    tempo = Tempo(speed)
    cuts = range(0, len(samples), cut_samples or len(samples))
    pieces = [tempo.push(samples[start : start + (cut_samples or len(samples))]) for start in cuts]
    return np.concatenate([*pieces, tempo.flush()])


@pytest.mark.parametrize("speed", SPEEDS)
def test_duration_is_divided_by_the_speed(speed: float) -> None:
    assert len(stretch(tone(2.0), speed)) / SAMPLE_RATE_HZ == pytest.approx(2.0 / speed, rel=0.02)


@pytest.mark.parametrize("speed", SPEEDS)
def test_pitch_and_level_stay(speed: float) -> None:
    stretched = stretch(tone(2.0), speed)
    middle = stretched[len(stretched) // 4 : len(stretched) * 3 // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.argmax(spectrum) * SAMPLE_RATE_HZ / len(middle) == pytest.approx(440, rel=0.01)
    assert np.std(middle) == pytest.approx(np.std(tone(2.0)), rel=0.05)


@pytest.mark.parametrize("speed", [0.25, 0.8, 4.0])
@pytest.mark.parametrize("cut_samples", [1, 100, 960, 9_600, 10_007])
def test_any_cut_of_the_input_gives_the_same_samples(speed: float, cut_samples: int) -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, 30_000).astype(np.float32)
    assert np.array_equal(stretch(noise, speed, cut_samples), stretch(noise, speed))


def test_output_comes_while_input_goes_on() -> None:
    tempo = Tempo(1.5)
    assert sum(len(tempo.push(tone(0.4))) for _ in range(5)) > SAMPLE_RATE_HZ // 2


def test_nothing_in_gives_nothing_out() -> None:
    tempo = Tempo(2.0)
    assert len(tempo.push(np.zeros(0, np.float32))) == 0
    assert len(tempo.flush()) == 0


@pytest.mark.parametrize("samples", [1, 2, 10, 480, 961])
@pytest.mark.parametrize("speed", [0.25, 0.7, 4.0])
def test_a_few_samples_are_no_error_and_no_more_than_a_few(samples: int, speed: float) -> None:
    assert len(stretch(tone(1.0)[:samples], speed)) <= 8 * max(samples, 16)


def test_a_single_sample_after_a_chunk_is_no_error() -> None:
    tempo = Tempo(4.0)
    tempo.push(tone(0.4))
    tempo.push(tone(1.0)[:1])
    assert len(tempo.flush()) > 0
