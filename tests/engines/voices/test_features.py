"""Features: their frames, their scales, what they see and what they do not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.voices.features import (
    kaldi_fbank,
    log_mel_128,
    prompt_mel,
    slaney_bank,
    trim_silence,
    voice_encoder_partials,
)
from tests.engines.voices.speechlike import speechlike


def tone(hz: float, rate_hz: int, seconds: float = 1.0, amplitude: float = 0.5) -> NDArray[np.float32]:
    phase = 2 * np.pi * hz * np.arange(round(rate_hz * seconds)) / rate_hz
    return np.asarray(amplitude * np.sin(phase), np.float32)


def noise(count: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(count).astype(np.float32) * np.float32(0.1)


def test_slaney_triangles_have_equal_area() -> None:
    bank = slaney_bank(24_000, 65_536, 80, 8_000)  # so fine that a sum is an integral
    np.testing.assert_allclose(bank.sum(1) * 24_000 / 65_536, 1, rtol=1e-3)


def test_slaney_scale_is_linear_to_1_khz_and_then_logarithmic() -> None:
    """The Auditory Toolbox's: 200/3 Hz a mel, then 27 mel to a factor of 6.4. 40 bands to 8 kHz."""
    peaks_hz = slaney_bank(16_000, 65_536, 40).argmax(1) * 16_000 / 65_536
    top = 15 + 27 * np.log(8) / np.log(6.4)
    mel = top * np.arange(1, 41) / 41
    expected = np.where(mel < 15, mel * 200 / 3, 1_000 * 6.4 ** ((mel - 15) / 27))
    np.testing.assert_allclose(peaks_hz, expected, atol=0.25)


@pytest.mark.parametrize(("samples", "frames"), [(24_000, 50), (24_479, 50), (24_480, 51), (240_000, 500)])
def test_prompt_mel_has_a_frame_a_hop(samples: int, frames: int) -> None:
    assert prompt_mel(noise(samples)).shape == (frames, 80)


def test_prompt_mel_of_silence_is_its_floor() -> None:
    np.testing.assert_allclose(prompt_mel(np.zeros(4_800, np.float32)), np.log(1e-5), rtol=1e-6)


def test_prompt_mel_is_the_log_of_magnitude_in_the_tones_band() -> None:
    mel = prompt_mel(tone(1_000, 24_000))
    bank = slaney_bank(24_000, 1_920, 80, 8_000)
    assert (mel[5:-5].argmax(1) == bank[:, 80].argmax()).all()  # bin 80 is 1000 Hz
    louder = prompt_mel(tone(1_000, 24_000, amplitude=1.0))
    np.testing.assert_allclose((louder - mel)[5:-5, mel[10].argmax()], np.log(2), atol=1e-4)
    # A Hann window spreads a tone over three bins: N/4, N/2 and N/4 of half its amplitude.
    peak = np.log(bank[:, 79:82].max(0) @ np.array([0.25, 0.5, 0.25]) * 1_920 * 0.25)
    assert abs(mel[10].max() - peak) < 0.3


def test_log_mel_has_100_frames_a_second_and_spans_8_decades() -> None:
    recording = np.concatenate((noise(16_000), np.zeros(16_100, np.float32)))
    mel = log_mel_128(recording)
    assert mel.shape == (128, 200)
    assert mel.max() - mel.min() == pytest.approx(2.0)  # 8 decades of power, 4 to a unit


def test_a_tone_on_a_bin_leaks_nothing_far_away() -> None:
    """The Hann window is the periodic one: a tone on a bin lies in three bins, and nowhere else."""
    power = voice_encoder_partials(tone(4_000, 16_000, seconds=2.0))[0, 10:-10]
    band = int(power[0].argmax())
    assert np.delete(power, range(band - 4, band + 5), axis=1).max() < 1e-15 * power.max()


def test_log_mel_is_centred_on_its_frames() -> None:
    click = np.zeros(16_000, np.float32)
    click[3_200] = 1
    assert log_mel_128(click).sum(0).argmax() == 20


def test_log_mel_of_a_louder_recording_is_higher() -> None:
    quiet, loud = noise(8_000), noise(8_000) * 10
    np.testing.assert_allclose(log_mel_128(loud) - log_mel_128(quiet), 0.5, atol=1e-5)


@pytest.mark.parametrize(("samples", "frames"), [(400, 1), (559, 1), (560, 2), (160_000, 998)])
def test_kaldi_takes_whole_frames_only(samples: int, frames: int) -> None:
    assert kaldi_fbank(noise(samples)).shape == (frames, 80)


def test_kaldi_bands_have_no_mean_over_time() -> None:
    np.testing.assert_allclose(kaldi_fbank(noise(16_000)).mean(0), 0, atol=1e-5)


def test_kaldi_does_not_hear_gain_or_offset() -> None:
    samples = noise(16_000)
    expected = kaldi_fbank(samples)
    np.testing.assert_allclose(kaldi_fbank(samples * 4), expected, atol=1e-4)
    np.testing.assert_allclose(kaldi_fbank(samples + np.float32(0.25)), expected, atol=5e-3)


def test_kaldi_hears_a_tone_in_its_band() -> None:
    """HTK's mel, 80 bands from 20 Hz to 8 kHz: 1 kHz is 1000 mel, which lies nearest to band 27's middle."""
    fbank = kaldi_fbank(np.concatenate((noise(8_000) * np.float32(1e-3), tone(1_000, 16_000))))
    edges = np.linspace(1_127 * np.log1p(20 / 700), 1_127 * np.log1p(8_000 / 700), 82)
    nearest = np.abs(edges[1:-1] - 1_127 * np.log1p(1_000 / 700)).argmin()
    rise = fbank[60:].mean(0) - fbank[:40].mean(0)
    assert rise.argmax() == nearest


def test_kaldi_of_a_click_is_what_its_formula_says() -> None:
    """Povey's window, pre-emphasis, triangles in HTK's mel, over a floor of float32's epsilon."""
    samples = np.zeros(560, np.float32)
    samples[450] = 0.5  # in the second of two frames, at 290
    silent, loud = kaldi_fbank(samples)
    hz = np.arange(257) * 16_000 / 512
    edges = np.linspace(1_127 * np.log1p(20 / 700), 1_127 * np.log1p(8_000 / 700), 82)
    bank = np.array([np.interp(1_127 * np.log1p(hz / 700), edges[k : k + 3], [0, 1, 0]) for k in range(80)])
    window = (0.5 - 0.5 * np.cos(2 * np.pi * 290 / 399)) ** 0.85
    emphasis = np.abs(1 - 0.97 * np.exp(-2j * np.pi * hz / 16_000)) ** 2
    expected = np.log(bank @ emphasis * (0.5 * window) ** 2 / 2**-23)
    np.testing.assert_allclose((loud - silent)[20:], expected[20:], atol=0.02)  # under them, the frame's mean


@pytest.mark.parametrize(
    ("mel_frames", "partials"),
    [(100, 1), (160, 1), (204, 1), (205, 2), (237, 2), (281, 2), (282, 3), (1_000, 12)],
)
def test_a_last_partial_is_kept_when_four_fifths_of_it_are_recording(mel_frames: int, partials: int) -> None:
    """Partials begin every 77 frames; the last needs 128 of its 160."""
    assert voice_encoder_partials(noise((mel_frames - 1) * 160)).shape == (partials, 160, 40)


def test_partials_overlap_and_the_last_is_padded() -> None:
    first, second, third = voice_encoder_partials(noise((290 - 1) * 160))
    np.testing.assert_array_equal(first[77:], second[:-77])
    np.testing.assert_array_equal(second[77:], third[:-77])
    assert (third[: 290 - 154] > 0).all()
    assert (third[290 - 154 :] == 0).all()


def test_partials_are_of_power() -> None:
    samples = noise(40_000)
    np.testing.assert_allclose(
        voice_encoder_partials(samples * 2), voice_encoder_partials(samples) * 4, rtol=1e-5
    )


def test_quiet_ends_are_trimmed_to_a_hop_and_pauses_are_kept() -> None:
    silence, speech = np.zeros(10_240, np.float32), noise(10_240)
    recording = np.concatenate((silence, speech, silence, speech, silence))
    trimmed = trim_silence(recording)
    assert len(trimmed) % 512 == 0
    assert 0 <= len(trimmed) - 3 * 10_240 <= 2 * 2_048
    start = 10_240 - 1_024 + np.flatnonzero(recording[10_240 - 1_024 :])[0] - np.flatnonzero(trimmed)[0]
    assert start % 512 == 0
    np.testing.assert_array_equal(recording[start : start + len(trimmed)], trimmed)


def test_what_is_19_db_down_is_kept_and_21_db_down_is_not() -> None:
    loud = tone(440, 16_000)
    for down_db, kept in ((19, 32_000), (21, 16_000)):
        quiet = loud * np.float32(10 ** (-down_db / 20))
        assert abs(len(trim_silence(np.concatenate((loud, quiet)))) - kept) <= 1_536


def test_features_are_float32_and_do_not_change_their_input() -> None:
    recording = speechlike(1.0)
    before = recording.copy()
    for feature in (prompt_mel, log_mel_128, kaldi_fbank, voice_encoder_partials):
        made = feature(recording)
        assert made.dtype == np.float32
        assert made.flags.c_contiguous
    np.testing.assert_array_equal(recording, before)
