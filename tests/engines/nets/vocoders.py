"""Vocoders of random weights for tests, whose mel makes them speak: voiced, unvoiced, and not too loud."""

from typing import NamedTuple

import torch
from torch import Tensor

from engines.model import MEL_BANDS, ModelConfig
from engines.nets.s3_vocoder import S3Vocoder
from engines.rates import HOP_SAMPLES
from export.tiny import TINY
from tests.engines.nets.flows import random_weights


class VocoderInputs(NamedTuple):
    """In the order of S3Vocoder.forward."""

    mel: Tensor
    source_cache: Tensor
    phase: Tensor
    harmonic_phase: Tensor
    source_noise: Tensor


def random_vocoder(model: ModelConfig = TINY, seed: int = 0) -> S3Vocoder:
    """f0 from 0 to some 300 Hz; audio of some tenths of full scale."""
    vocoder = S3Vocoder(model).eval().requires_grad_(False)
    random_weights(vocoder, seed)
    for name, weight in vocoder.state_dict().items():
        if name.endswith("alpha"):
            weight += 1
        elif "resblocks" in name or name == "conv_post.weight":
            weight *= 0.5
        elif name == "conv_post.bias":
            weight -= 0.5
        elif name == "f0_predictor.classifier.weight":
            weight *= 100
        elif name == "f0_predictor.classifier.bias":
            weight.fill_(40)
    return vocoder


def random_inputs(frames: int, rows: int = 1, model: ModelConfig = TINY, seed: int = 1) -> VocoderInputs:
    """A whole utterance: nothing lies before it."""
    draw = torch.Generator().manual_seed(seed)
    sines = model.vocoder.harmonics + 1
    harmonic_phase = torch.rand(rows, sines, generator=draw) * 6 - 3
    harmonic_phase[:, 0] = 0
    return VocoderInputs(
        mel=torch.randn(rows, MEL_BANDS, frames, generator=draw) - 1,
        source_cache=torch.zeros(rows, 0, HOP_SAMPLES),
        phase=torch.zeros(rows),
        harmonic_phase=harmonic_phase,
        source_noise=torch.randn(rows, frames, HOP_SAMPLES, generator=draw),
    )
