import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.voice.measures import heard_mel, looped, mel_l1, seam_jump, timbre
from engines.rates import SAMPLE_RATE_HZ

SECOND = SAMPLE_RATE_HZ
NEAR = round(0.010 * SAMPLE_RATE_HZ)


def wave(seed: int = 0) -> NDArray[np.float32]:
    time_s = np.arange(SECOND) / SAMPLE_RATE_HZ
    draw = np.random.default_rng(seed)
    harmonics = [draw.uniform(0.2, 1) * np.sin(2 * np.pi * 110 * k * time_s) / k for k in range(1, 20)]
    return np.asarray(0.05 * np.sum(harmonics, 0), np.float32)


def hiss(seed: int) -> NDArray[np.float32]:
    """Noise of all frequencies, with a colour of its own."""
    draw = np.random.default_rng(seed)
    return (0.05 * np.convolve(draw.standard_normal(SECOND), draw.standard_normal(9), "same")).astype(
        np.float32
    )


def test_a_smooth_wave_jumps_no_more_at_a_seam_than_elsewhere() -> None:
    assert seam_jump(wave(), [SECOND // 2]) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("place", [-NEAR + 2, 0, NEAR - 2])
def test_a_click_near_a_seam_is_found(place: int) -> None:
    samples = wave()
    samples[SECOND // 2 + place :] += 0.3
    found = seam_jump(samples, [SECOND // 4, SECOND // 2])
    assert found is not None
    assert found > 5


def test_a_click_elsewhere_is_not_the_seams() -> None:
    samples = wave()
    samples[SECOND // 2 + NEAR + 10 :] += 0.3
    found = seam_jump(samples, [SECOND // 2])
    assert found is not None
    assert found < 0.5


@pytest.mark.parametrize("samples", [np.zeros(SECOND, np.float32), np.zeros(0, np.float32)])
def test_silence_has_no_jumps(samples: NDArray[np.float32]) -> None:
    assert seam_jump(samples, [100]) is None


def test_one_piece_has_no_jumps() -> None:
    assert seam_jump(wave(), ()) is None


def test_twice_as_loud_is_the_logarithm_of_two_away() -> None:
    loud, soft = heard_mel(hiss(0) * 2), heard_mel(hiss(0))
    assert mel_l1(loud, soft) == pytest.approx(np.log(2), abs=0.01)
    assert mel_l1(loud, loud) == 0


def test_audio_of_another_length_cannot_be_compared_mel_by_mel() -> None:
    assert mel_l1(heard_mel(wave()), heard_mel(wave()[:-960])) is None


@pytest.mark.parametrize("samples", [0, 1, 500, 1_919])
def test_less_than_a_window_has_no_mel_to_compare(samples: int) -> None:
    mel = heard_mel(np.zeros(samples, np.float32))
    assert mel.shape == (0, 80)
    assert mel_l1(mel, mel) is None


def test_timbre_is_of_the_voice_and_not_of_its_loudness() -> None:
    one, louder, other = timbre(hiss(1)), timbre(hiss(1) * 3), timbre(hiss(2))
    assert np.abs(one - louder).mean() < 0.01 < 0.2 < np.abs(one - other).mean()


@pytest.mark.parametrize(
    ("said", "heard", "found"),
    [
        ("we went home", "we went home", False),
        ("we went home", "we we we went home", True),
        ("we went home", "we went we went we went home", True),
        ("we went home", "we went we went home", False),
        ("call five five five now", "call five five five now", False),
        ("call five five five now", "call five five five five now", True),
        ("all of it", "all of it now all of it now all of it now", True),
        ("", "", False),
        ("home", "", False),
    ],
)
def test_a_loop_is_a_phrase_three_times_in_a_row_that_was_not_said_so(
    said: str, heard: str, found: bool
) -> None:
    assert looped(said.split(), heard.split()) is found
