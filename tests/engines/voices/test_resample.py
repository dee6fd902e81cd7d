"""Both roads to 16 kHz: lengths, what passes, what does not, and no delay."""

import sys
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.contract import Samples
from engines.errors import BackendUnavailable
from engines.voices.resample import resample, sinc_24k_to_16k, to_16k

roads = pytest.mark.parametrize("road", [to_16k, sinc_24k_to_16k])
Road = Callable[[Samples], Samples]


def tone(hz: float, rate_hz: int, seconds: float = 1.0) -> NDArray[np.float32]:
    return np.asarray(np.sin(2 * np.pi * hz * np.arange(round(rate_hz * seconds)) / rate_hz), np.float32)


@roads
@pytest.mark.parametrize("count", [3_000, 3_001, 3_002, 24_000, 127_439])
def test_two_samples_for_each_three_begun(road: Road, count: int) -> None:
    resampled = road(np.ones(count, np.float32))
    assert len(resampled) == -(-count * 2 // 3)
    assert resampled.dtype == np.float32


@roads
@pytest.mark.parametrize("hz", [100, 1_000, 5_000])
def test_what_both_rates_carry_passes_without_delay(road: Road, hz: int) -> None:
    inside = slice(2_000, -2_000)
    error = (road(tone(hz, 24_000)) - tone(hz, 16_000))[inside]
    assert np.sqrt((error**2).mean()) < 0.01


@roads
def test_what_16_khz_cannot_carry_is_stopped(road: Road) -> None:
    assert np.abs(road(tone(10_000, 24_000))[2_000:-2_000]).max() < 0.01


def test_soxr_is_of_high_quality() -> None:
    inside = slice(2_000, -2_000)
    np.testing.assert_allclose(to_16k(tone(7_200, 24_000))[inside], tone(7_200, 16_000)[inside], atol=1e-3)
    assert np.abs(to_16k(tone(9_000, 24_000))[inside]).max() < 1e-4


def test_the_sinc_kernel_halves_what_is_at_its_cutoff() -> None:
    """It is 99 % of 8 kHz: the reference's own slope, which its nets were trained behind."""
    heard = sinc_24k_to_16k(tone(7_920, 24_000))[2_000:-2_000]
    assert np.sqrt(2 * (heard**2).mean()) == pytest.approx(0.5, abs=0.01)


def test_soxr_takes_any_rate_to_any() -> None:
    np.testing.assert_allclose(
        resample(tone(440, 44_100), 44_100, 24_000)[2_000:-2_000], tone(440, 24_000)[2_000:-2_000], atol=1e-3
    )
    same = tone(440, 24_000)
    assert resample(same, 24_000, 24_000) is same


def test_without_soxr_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soxr", None)
    with pytest.raises(BackendUnavailable, match=r"soxr.*talkspurt\[onnx\]"):
        to_16k(np.ones(3_000, np.float32))
