import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.voice.phone import PHONE_HZ, through_phone
from engines.rates import SAMPLE_RATE_HZ
from telephony.g711 import decode_mulaw, encode_mulaw


def tone(frequency_hz: float, amplitude: float = 0.1) -> NDArray[np.float32]:
    time_s = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    return (amplitude * np.sin(2 * np.pi * frequency_hz * time_s)).astype(np.float32)


def test_a_second_is_a_second_of_whole_frames() -> None:
    pcm = through_phone(tone(1_000))
    assert pcm.dtype == np.int16
    assert len(pcm) % 160 == 0
    assert PHONE_HZ <= len(pcm) <= PHONE_HZ + 2 * 160


def test_what_is_heard_has_been_mu_law() -> None:
    pcm = through_phone(tone(1_000))
    assert np.array_equal(decode_mulaw(encode_mulaw(pcm)), pcm)


@pytest.mark.parametrize("amplitude", [0.02, 0.3])
def test_every_voice_comes_at_the_level_of_the_line(amplitude: float) -> None:
    settled = through_phone(np.tile(tone(1_000, amplitude), 5))[-PHONE_HZ:] / 32_768
    assert 10 * np.log10(np.mean(settled**2)) == pytest.approx(-23, abs=1)


def test_nothing_above_the_telephone_band_is_heard() -> None:
    def power(frequency_hz: float) -> float:
        return float(np.mean(through_phone(tone(frequency_hz))[800:].astype(float) ** 2))

    assert power(5_500) < power(1_000) / 300


def test_no_audio_is_no_audio() -> None:
    assert len(through_phone(np.zeros(0, np.float32))) == 0
