"""One mel frame is one telephone packet: the identity the house stands on."""

import pytest

from engines import rates


def test_a_mel_frame_is_480_samples_and_20_ms() -> None:
    assert rates.HOP_SAMPLES == 480
    assert rates.samples_to_ns(rates.HOP_SAMPLES) == 20_000_000


def test_a_token_is_two_mel_frames_and_40_ms() -> None:
    assert rates.TOKEN_SAMPLES == 2 * rates.HOP_SAMPLES
    assert rates.samples_to_ns(rates.TOKEN_SAMPLES) == 40_000_000


def test_a_second_is_25_tokens_and_50_mel_frames_of_24000_samples() -> None:
    assert (rates.TOKEN_HZ, rates.MEL_HZ, rates.SAMPLE_RATE_HZ) == (25, 50, 24_000)
    assert rates.TOKEN_HZ * rates.TOKEN_SAMPLES == rates.SAMPLE_RATE_HZ


def test_start_and_stop_lie_just_beyond_the_codebook_of_three_to_the_eighth() -> None:
    assert (rates.SPEECH_CODES, rates.START_TOKEN, rates.STOP_TOKEN) == (3**8, 3**8, 3**8 + 1)


@pytest.mark.parametrize(("samples", "ns"), [(0, 0), (1, 41_666), (24_000, 1_000_000_000)])
def test_samples_last_whole_nanoseconds_rounded_down(samples: int, ns: int) -> None:
    assert rates.samples_to_ns(samples) == ns
