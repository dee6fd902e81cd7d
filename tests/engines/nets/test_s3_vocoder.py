"""The vocoder in windows, in batches and in float16; tests/parity compares it with the reference's."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from engines.backends.signature import CACHED_MEL_FRAMES
from engines.nets.s3_vocoder import S3Vocoder
from engines.rates import HOP_SAMPLES, SAMPLE_RATE_HZ
from export.tiny import TINY
from tests.engines.nets.flows import relative
from tests.engines.nets.vocoders import VocoderInputs, random_inputs, random_vocoder

REACH_FRAMES = 14
"""What lies farther away in mel does not change a frame."""


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def vocoder() -> S3Vocoder:
    return random_vocoder()


def set_pitch(vocoder: S3Vocoder, f0_hz: float) -> None:
    vocoder.f0_predictor.classifier.weight.zero_()
    vocoder.f0_predictor.classifier.bias.fill_(f0_hz)


def source_of(vocoder: S3Vocoder, inputs: VocoderInputs) -> Tensor:
    source: Tensor = vocoder(*inputs)[1]
    return source


def in_windows(vocoder: S3Vocoder, whole: VocoderInputs, hop: int, later: int) -> Tensor:
    """Audio of the ``whole`` in windows that hear ``hop`` new frames and ``later`` frames after them."""
    frames = whole.mel.shape[2]
    phase, sources, heard = whole.phase, whole.source_cache, []
    for start in range(0, frames, hop):
        end = min(start + hop + later, frames)
        cached = CACHED_MEL_FRAMES if start else 0
        window = VocoderInputs(
            mel=whole.mel[..., start - cached : end],
            source_cache=sources[:, start - cached : start],
            phase=phase,
            harmonic_phase=whole.harmonic_phase,
            source_noise=whole.source_noise[:, start:end],
        )
        audio, source, phases = vocoder(*window)
        heard.append(audio[:, :hop])
        sources = torch.cat((sources, source[:, :hop]), 1)
        phase = phases[:, min(hop, phases.shape[1]) - 1]
    return torch.cat(heard, 1)


@pytest.mark.parametrize("hop", [16, 37])
def test_windows_with_enough_around_them_are_the_whole(vocoder: S3Vocoder, hop: int) -> None:
    whole = random_inputs(75)
    audio = vocoder(*whole)[0]
    assert relative(in_windows(vocoder, whole, hop, REACH_FRAMES), audio) < 1e-3
    assert relative(in_windows(vocoder, whole, hop, 4), audio) > 1e-2


def test_shapes_are_of_the_new_frames(vocoder: S3Vocoder) -> None:
    inputs = random_inputs(20, rows=3)
    inputs = inputs._replace(source_cache=torch.zeros(3, 16, 480), source_noise=inputs.source_noise[:, :4])
    audio, source, phases = vocoder(*inputs)
    assert (audio.shape, source.shape, phases.shape) == ((3, 4, 480), (3, 4, 480), (3, 4))


def test_a_row_is_the_same_in_a_batch(vocoder: S3Vocoder) -> None:
    batch = random_inputs(20, rows=3)
    together = vocoder(*batch)
    for row in range(3):
        alone = vocoder(*(each[row : row + 1] for each in batch))
        for ours, theirs in zip(alone, together, strict=True):
            assert relative(ours, theirs[row : row + 1]) < 1e-3


def test_a_voiced_source_is_the_sum_of_whole_multiples_of_its_pitch(vocoder: S3Vocoder) -> None:
    vocoder = random_vocoder()
    f0_hz = 123.4
    set_pitch(vocoder, f0_hz)
    inputs = random_inputs(50)
    inputs.source_noise.zero_()
    inputs.phase.fill_(0.25)
    source, phases = vocoder(*inputs)[1:]
    time_s = torch.arange(1, 50 * HOP_SAMPLES + 1, dtype=torch.float64) / SAMPLE_RATE_HZ
    linear = vocoder.m_source.l_linear
    merged = linear.bias[0].double()
    for index in range(9):
        angle = 2 * math.pi * (index + 1) * (0.25 + f0_hz * time_s) + inputs.harmonic_phase[0, index]
        merged = merged + 0.1 * linear.weight[0, index] * angle.sin()
    assert relative(source.flatten(), merged.tanh().float()) < 2e-4
    torch.testing.assert_close(phases[0].double(), (0.25 + f0_hz * time_s[479::480]) % 1, atol=1e-4, rtol=0)


def test_the_phase_stays_fine_through_the_longest_segment(vocoder: S3Vocoder) -> None:
    f0 = 400 + 200 * torch.rand(1, 2_000, generator=torch.Generator().manual_seed(3))
    phases = vocoder.m_source(f0, torch.zeros(1), torch.zeros(1, 9), torch.zeros(1, 2_000, 480))[1]
    exact = (f0[0].double() / 50).cumsum(0) % 1
    away = (phases[0] - exact + 0.5) % 1 - 0.5
    assert away.abs().max() < 2e-4
    assert (phases >= 0).all()
    assert (phases < 1).all()


@pytest.mark.parametrize(("f0_hz", "level"), [(9.9, 0.1 / 3), (10.1, 0.003)])
def test_noise_is_loud_where_there_is_no_voice(f0_hz: float, level: float) -> None:
    vocoder = random_vocoder()
    set_pitch(vocoder, f0_hz)
    inputs = random_inputs(40)
    loud = source_of(vocoder, inputs).atanh()
    quiet = source_of(vocoder, inputs._replace(source_noise=torch.zeros_like(inputs.source_noise))).atanh()
    length = vocoder.m_source.l_linear.weight.norm()
    torch.testing.assert_close(loud - quiet, level * length * inputs.source_noise, atol=1e-5, rtol=0)
    assert (quiet.std() > 1e-3) == (f0_hz > 10)


def test_one_noise_stands_for_nine() -> None:
    """Nine independent normals, merged by the linear layer, are one: of its weight's length."""
    weight = random_vocoder().m_source.l_linear.weight[0]
    noises = torch.randn(9, 200_000, generator=torch.Generator().manual_seed(4))
    merged = weight @ noises / weight.norm()
    assert merged.mean().abs() < 0.01
    assert abs(merged.std() - 1) < 0.01
    assert abs((merged**4).mean() - 3) < 0.1


def test_audio_is_limited(vocoder: S3Vocoder) -> None:
    loud = random_vocoder()
    loud.state_dict()["conv_post.bias"].fill_(100)  # without a limit to the magnitude: infinite
    audio = loud(*random_inputs(6))[0]
    assert audio.isfinite().all()
    assert audio.abs().max() == pytest.approx(0.99)


def test_halved_it_is_nearly_the_same_and_its_islands_are_whole(vocoder: S3Vocoder) -> None:
    half = random_vocoder()
    half.halve()
    inputs = random_inputs(30)
    audio, source, phases = half(*inputs)
    whole_audio, whole_source, whole_phases = vocoder(*inputs)
    assert audio.dtype == source.dtype == phases.dtype == torch.float32
    assert torch.equal(source, whole_source)
    assert torch.equal(phases, whole_phases)
    assert 0 < relative(audio, whole_audio) < 2e-2
    floats = {name.split(".")[0] for name, each in half.named_parameters() if each.dtype == torch.float32}
    assert floats == {"f0_predictor", "m_source", "resblocks", "source_resblocks"}
    convolutions = [each for each in half.modules() if isinstance(each, nn.ConvTranspose1d)]
    assert all(each.weight.dtype == torch.float16 for each in convolutions)


def test_other_numbers_make_another_vocoder() -> None:
    model = replace(TINY, vocoder=replace(TINY.vocoder, harmonics=4, channels=32, resblock_kernels=(3,)))
    audio, _, _ = random_vocoder(model)(*random_inputs(5, model=model))
    assert audio.shape == (1, 5, 480)
