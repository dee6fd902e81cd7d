"""Noise is addressed: by seed, by use and by mel frame, however it is asked for."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import noise
from engines.noise import Stream

FRAMES = 40
MEL = noise.mel_noise(5, 0, FRAMES)
SOURCE = noise.source_noise(5, 0, FRAMES)
EXPECTED_MEL = [0.53668, -0.354006, 0.258937]
EXPECTED_SOURCE = [-1.518526, -0.411144, -0.439016]
EXPECTED_PHASE = [0.0, -0.545659, 1.373483]


@given(st.lists(st.integers(0, FRAMES), max_size=6))
def test_any_cutting_gives_the_same_bits(cuts: list[int]) -> None:
    borders = [0, *sorted(cuts), FRAMES]
    spans = [(first, end - first) for first, end in pairwise(borders)]
    assert np.array_equal(np.concatenate([noise.mel_noise(5, *span) for span in spans], 1), MEL)
    assert np.array_equal(np.concatenate([noise.source_noise(5, *span) for span in spans]), SOURCE)
    assert np.array_equal(
        np.concatenate([noise.mel_noise(5, *span, Stream.PROMPT) for span in spans], 1),
        noise.mel_noise(5, 0, FRAMES, Stream.PROMPT),
    )


def test_shapes_and_types() -> None:
    assert MEL.shape == (80, FRAMES)
    assert SOURCE.shape == (FRAMES, 480)
    assert noise.mel_noise(5, 3, 0).shape == (80, 0)
    for each in (MEL, SOURCE, noise.harmonic_phase(5, 9)):
        assert each.dtype == np.float32
        assert each.flags.c_contiguous


@pytest.mark.parametrize("values", [noise.source_noise(0, 0, 500), noise.mel_noise(1, 0, 3_000)])
def test_it_is_normal(values: noise.Noise) -> None:
    flat = values.ravel().astype(np.float64)
    assert abs(flat.mean()) < 0.01
    assert abs(flat.std() - 1) < 0.01
    assert abs((flat**3).mean()) < 0.05
    assert abs((flat**4).mean() - 3) < 0.1
    assert 4 < np.abs(flat).max() < 7
    shares = [(np.abs(flat) > edge).mean() for edge in (1, 2, 3)]
    assert shares == pytest.approx([0.3173, 0.0455, 0.0027], rel=0.05)


@pytest.mark.parametrize("step", [1, 2, 3, 80, 480])
def test_neighbours_are_independent(step: int) -> None:
    flat = noise.source_noise(2, 0, 300).ravel()
    assert abs(np.corrcoef(flat[:-step], flat[step:])[0, 1]) < 0.01
    assert abs(np.corrcoef(flat[:-step] ** 2, flat[step:] ** 2)[0, 1]) < 0.01


def test_other_seeds_uses_and_frames_are_other_noise() -> None:
    streams = [noise.mel_noise(5, 0, FRAMES, stream) for stream in Stream]
    others = [
        noise.mel_noise(6, 0, FRAMES),
        noise.mel_noise(5, FRAMES, FRAMES),
        noise.mel_noise(-5, 0, FRAMES),
    ]
    flats = [each.ravel() for each in (*streams, *others)]
    correlation = np.corrcoef(flats) - np.eye(len(flats))
    assert np.abs(correlation).max() < 0.08
    assert not np.isin(SOURCE, MEL).any()


def test_a_seed_is_64_bits_of_any_whole_number() -> None:
    for seed in (0, 2**63, 2**64 - 1):
        assert np.array_equal(noise.source_noise(seed, 0, 2), noise.source_noise(seed - 2**64, 0, 2))


def test_the_rarest_draws_have_a_logarithm() -> None:
    least, most = noise._uniforms(np.array([0, 2**64 - 1], np.uint64)).reshape(2, 2)
    assert (least > 0).all()
    assert (most <= 1).all()


def test_a_far_frame_is_as_good_as_a_near_one() -> None:
    far = noise.source_noise(5, 10**9, 20)
    assert np.array_equal(far[7:], noise.source_noise(5, 10**9 + 7, 13))
    assert abs(far.std() - 1) < 0.05


def test_a_prompts_noise_is_one_for_all() -> None:
    assert np.array_equal(noise.prompt_noise(30)[:, :12], noise.prompt_noise(12))
    assert not np.isin(noise.prompt_noise(12), noise.mel_noise(noise.PROMPT_SEED, 0, 12)).any()


def test_harmonics_begin_anywhere_but_the_fundamental_at_0() -> None:
    phases = np.stack([noise.harmonic_phase(seed, 9) for seed in range(2_000)])
    assert not phases[:, 0].any()
    rest = phases[:, 1:]
    assert -np.pi <= rest.min() < -3.1
    assert 3.1 < rest.max() <= np.float32(np.pi)
    assert abs(rest.mean()) < 0.05
    assert rest.std() == pytest.approx(np.pi / np.sqrt(3), rel=0.02)
    assert np.abs(np.corrcoef(rest.T) - np.eye(8)).max() < 0.1


def test_the_draws_are_these_on_every_machine() -> None:
    assert noise.mel_noise(1, 2, 1)[:3, 0].tolist() == pytest.approx(EXPECTED_MEL, abs=1e-5)
    assert noise.source_noise(1, 2, 1)[0, :3].tolist() == pytest.approx(EXPECTED_SOURCE, abs=1e-5)
    assert noise.harmonic_phase(1, 3).tolist() == pytest.approx(EXPECTED_PHASE, abs=1e-5)
