"""Which recordings make a voice, and what the others are refused for."""

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.contract import Samples
from engines.errors import InvalidRequest
from engines.voices.loudness import loudness_lufs
from engines.voices.recording import Recording
from tests.engines.voices.speechlike import speechlike

RATE_HZ = 24_000


def refusal(samples: Samples) -> str:
    with pytest.raises(InvalidRequest) as refused:
        Recording.check(samples)
    assert refused.value.field == "recording"
    return str(refused.value)


def noise(seconds: float, level: float) -> NDArray[np.float32]:
    draw = np.random.default_rng(0).standard_normal(round(seconds * RATE_HZ))
    return np.asarray(draw * level, np.float32)


def test_speech_passes_and_is_measured() -> None:
    speech = speechlike(8.0)
    recording = Recording.check(speech)
    assert recording.samples is speech
    assert recording.seconds == 8.0
    assert 5 < recording.speech_seconds < 8
    assert recording.loudness_lufs == loudness_lufs(speech)
    assert recording.peak == np.abs(speech).max()
    assert recording.clipped_share == 0


@pytest.mark.parametrize("gain", [0.03, 0.1, 1.9])
def test_speech_passes_at_any_sensible_level(gain: float) -> None:
    Recording.check(speechlike(6.0) * np.float32(gain))


def test_five_to_thirty_seconds_are_taken() -> None:
    speech = speechlike(31.0)
    Recording.check(speech[: 5 * RATE_HZ])
    Recording.check(speech[: 30 * RATE_HZ])
    assert refusal(speech[: 5 * RATE_HZ - 1]) == "recording: '5.0 s' is too short; 5 to 30 s are needed"
    assert refusal(speech[: 30 * RATE_HZ + 1]) == "recording: '30.0 s' is too long; at most 30 s are taken"
    assert "too short" in refusal(speech[:0])


def test_only_mono_is_taken() -> None:
    assert "is not mono" in refusal(np.zeros((2, 6 * RATE_HZ), np.float32))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_must_be_numbers(bad: float) -> None:
    speech = speechlike(6.0)
    speech[5_000] = bad
    assert "NaN or infinity" in refusal(speech)


@pytest.mark.parametrize("level", [0.0, 1e-4])
def test_silence_is_refused(level: float) -> None:
    assert "is silence" in refusal(noise(6, level))


def test_a_constant_alone_is_silence() -> None:
    assert "is silence" in refusal(np.full(6 * RATE_HZ, 0.3, np.float32))


def test_three_seconds_must_be_speech() -> None:
    speech = speechlike(6.0)
    for seconds, enough in ((4.5, True), (2.0, False)):
        mostly_quiet = noise(10, 1e-4)
        mostly_quiet[: round(seconds * RATE_HZ)] += speech[: round(seconds * RATE_HZ)]
        if enough:
            Recording.check(mostly_quiet)
        else:
            assert "is too little; 3 s are needed" in refusal(mostly_quiet)


def test_background_noise_is_not_speech() -> None:
    hiss = noise(10, 0.002)
    hiss[: 2 * RATE_HZ] += speechlike(6.0)[: 2 * RATE_HZ]
    assert "s of speech" in refusal(hiss)


@pytest.mark.parametrize("full_scale", [1.0, 32_767 / 32_768])
def test_clipped_speech_is_refused(full_scale: float) -> None:
    assert "clipped" in refusal(np.clip(speechlike(6.0) * 8, -full_scale, full_scale).astype(np.float32))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_few_clipped_samples_pass_and_are_reported(sign: int) -> None:
    speech = speechlike(6.0)
    speech[10_000:10_100] = sign
    assert Recording.check(speech).clipped_share == 100 / len(speech)
    speech[20_000:20_100] = sign
    assert "clipped" in refusal(speech)


def test_a_peak_at_full_scale_is_not_clipping() -> None:
    speech = speechlike(6.0)
    for place in range(0, len(speech), 100):
        speech[place : place + 2] = 1.0
    assert Recording.check(speech).clipped_share == 0


@pytest.mark.parametrize("offset", [0.05, -0.05])
def test_a_constant_offset_is_refused(offset: float) -> None:
    assert f"mean {offset:+.2f}" in refusal(speechlike(6.0) + np.float32(offset))
