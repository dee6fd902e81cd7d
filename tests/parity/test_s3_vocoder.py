"""From the same weights and draws our vocoder is the reference's: f0, the source, the decoder, all of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engines.model import MODEL_FILE, TURBO, ModelConfig
from engines.nets.s3_vocoder import S3Vocoder
from engines.rates import HOP_SAMPLES
from export.tiny import TINY
from tests.engines.nets.vocoders import VocoderInputs, random_inputs, random_vocoder
from tests.parity.oracle import ask, relative_error

FRAMES = 30
TOLERANCES = {"f0": 1e-5, "decoded": 1e-5, "source": 5e-4, "audio": 5e-4}
"""The source's phase is summed in float32, here over frames and there over samples; audio follows it."""

Answers = Mapping[str, NDArray[Any]]


def draw_noises(vocoder: S3Vocoder, inputs: VocoderInputs) -> torch.Tensor:
    """A noise for each sine (batch, sines, samples), and so, merged, ``inputs.source_noise`` in place."""
    rows, frames = inputs.source_noise.shape[:2]
    weight = vocoder.m_source.l_linear.weight[0]
    draw = torch.Generator().manual_seed(5)
    noises = torch.randn(rows, len(weight), frames * HOP_SAMPLES, generator=draw)
    merged = (weight @ noises / weight.norm()).reshape(rows, frames, HOP_SAMPLES)
    inputs.source_noise.copy_(merged)
    return noises


def given_source(inputs: VocoderInputs) -> torch.Tensor:
    return inputs.source_noise.flatten(1) / 10


def reference_answers(
    vocoder: S3Vocoder, model: ModelConfig, inputs: VocoderInputs, noises: torch.Tensor, folder: Path
) -> Answers:
    (folder / MODEL_FILE).write_text(model.to_json())
    weights = folder / "vocoder.npz"
    np.savez(weights, **{name: tensor.numpy() for name, tensor in vocoder.state_dict().items()})
    given = {
        "mel": inputs.mel,
        "source": given_source(inputs),
        "harmonic_phase": inputs.harmonic_phase,
        "noises": noises,
    }
    answers = ask("s3_vocoder", folder, {name: tensor.numpy() for name, tensor in given.items()}, folder)
    weights.unlink()
    return answers


def our_answers(vocoder: S3Vocoder, inputs: VocoderInputs) -> Answers:
    audio, source, _ = vocoder(*inputs)
    found = {
        "f0": vocoder.f0_predictor(inputs.mel),
        "decoded": vocoder.decode(inputs.mel, given_source(inputs)),
        "source": source.flatten(1),
        "audio": audio.flatten(1),
    }
    return {name: tensor.numpy() for name, tensor in found.items()}


@pytest.fixture(scope="module", params=[TINY, TURBO], ids=["tiny", "real size"])
def answers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Answers, Answers]:
    model = request.param
    vocoder, inputs = random_vocoder(model), random_inputs(FRAMES, rows=2, model=model)
    noises = draw_noises(vocoder, inputs)
    theirs = reference_answers(vocoder, model, inputs, noises, tmp_path_factory.mktemp(model.name))
    return our_answers(vocoder, inputs), theirs


@pytest.mark.parametrize("part", TOLERANCES)
def test_each_part_is_the_references(answers: tuple[Answers, Answers], part: str) -> None:
    ours, theirs = answers
    assert relative_error(ours[part], theirs[part]) < TOLERANCES[part]


def test_the_comparison_is_of_a_voice(answers: tuple[Answers, Answers]) -> None:
    _, theirs = answers
    voiced = np.mean(theirs["f0"] > 10)
    assert 0.5 < voiced < 1
    assert 0.01 < np.std(theirs["audio"]) < 0.3
