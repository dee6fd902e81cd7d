"""Loudness against the recommendation's own numbers."""

from math import inf, log10, pi

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.voices.loudness import TARGET_LUFS, loudness_lufs, normalise
from tests.engines.voices.speechlike import speechlike

RATE_HZ = 24_000


def tone(hz: float, dbfs: float, seconds: float) -> NDArray[np.float32]:
    """A sine whose peak is at ``dbfs``."""
    phase = 2 * pi * hz * np.arange(round(RATE_HZ * seconds)) / RATE_HZ
    return np.asarray(10 ** (dbfs / 20) * np.sin(phase), np.float32)


def annex_gain_db(hz: float) -> float:
    """K-weighting by the coefficients of BS.1770-4, tables 1 and 2, for 48 kHz."""
    z = np.exp(-2j * pi * hz / 48_000)
    shelf = (1.53512485958697 - 2.69169618940638 * z + 1.19839281085285 * z**2) / (
        1 - 1.69065929318241 * z + 0.73248077421585 * z**2
    )
    low_cut = (1 - 2 * z + z**2) / (1 - 1.99004745483398 * z + 0.99007225036621 * z**2)
    return 20 * log10(abs(shelf * low_cut))


def test_a_full_scale_sine_of_997_hz_reads_minus_3_lufs() -> None:
    assert loudness_lufs(tone(997, 0, 5)) == pytest.approx(-3.01, abs=0.06)


@pytest.mark.parametrize("hz", [50, 100, 200, 500, 1_000, 2_000, 4_000, 8_000])
def test_weighting_is_that_of_the_recommendation(hz: int) -> None:
    expected = -0.691 - 20 + 10 * log10(0.5) + annex_gain_db(hz)
    assert loudness_lufs(tone(hz, -20, 3)) == pytest.approx(expected, abs=0.06)


def test_what_is_far_under_the_rest_does_not_count() -> None:
    loud, quiet = tone(997, -23, 6), tone(997, -36, 3)
    expected = loudness_lufs(loud)
    assert loudness_lufs(np.concatenate((quiet, loud, quiet))) == pytest.approx(expected, abs=0.3)
    half_down = np.concatenate((loud, tone(997, -29, 6)))  # within 10 LU: it does count
    assert loudness_lufs(half_down) < expected - 1.5


def test_silence_does_not_count_and_has_no_loudness() -> None:
    loud, silence = tone(997, -23, 6), np.zeros(RATE_HZ * 20, np.float32)
    assert loudness_lufs(np.concatenate((silence, loud))) == pytest.approx(loudness_lufs(loud), abs=0.3)
    assert loudness_lufs(silence) == -inf
    assert loudness_lufs(tone(997, -75, 5)) == -inf  # under the absolute gate
    assert loudness_lufs(tone(997, -10, 0.39)) == -inf  # less than a block


@pytest.mark.parametrize(("begins_ms", "share"), [(0, 2.5 / 4), (1_100, 4 / 7), (2_600, 2.5 / 4)])
def test_a_block_begins_each_100_ms_from_the_first_to_the_last(begins_ms: int, share: float) -> None:
    """A burst of one block's length is heard whole by one block, and by 3, 2 and 1 quarters beside it."""
    burst = np.zeros(3 * RATE_HZ, np.float32)
    begins = begins_ms * RATE_HZ // 1_000
    burst[begins : begins + RATE_HZ * 4 // 10] = tone(997, -10, 0.4)
    expected = loudness_lufs(tone(997, -10, 5)) + 10 * log10(share)
    assert loudness_lufs(burst) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("samples", [2**17, 2**17 + 1, 150_000])
def test_the_end_is_not_heard_at_the_beginning(samples: int) -> None:
    """So slow a ramp is under all weighting, but its sudden end is not: that comes after the recording."""
    ramp = 0.9 * np.sin(np.pi / 2 * np.arange(samples) / samples) ** 2
    assert loudness_lufs(ramp.astype(np.float32)) == -inf


def test_gain_moves_loudness_by_its_decibels() -> None:
    speech = speechlike(6)
    assert loudness_lufs(speech * np.float32(0.5)) - loudness_lufs(speech) == pytest.approx(-6.0206, abs=1e-4)


@pytest.mark.parametrize("gain", [0.01, 1.0, 3.0])
def test_normalised_speech_is_at_the_target_and_otherwise_unchanged(gain: float) -> None:
    speech = speechlike(6) * np.float32(gain)
    level = normalise(speech)
    assert level.dtype == np.float32
    assert loudness_lufs(level) == pytest.approx(TARGET_LUFS, abs=1e-3)
    assert np.ptp(level[speech != 0] / speech[speech != 0]) < 1e-5 * level[1_000] / speech[1_000]
    assert loudness_lufs(normalise(speech, -20)) == pytest.approx(-20, abs=1e-3)


def test_silence_stays_silence() -> None:
    silence = np.zeros(RATE_HZ, np.float32)
    np.testing.assert_array_equal(normalise(silence), silence)
