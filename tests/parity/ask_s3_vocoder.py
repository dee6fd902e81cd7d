"""The reference's vocoder, given weights, mel and randomness: f0, the source, audio of a source, all of it.

Runs in the reference's environment: ask_s3_vocoder.py MODEL INPUTS.npz ANSWERS.npz. MODEL holds
`talkspurt.json` and `vocoder.npz`, whose names are those of the checkpoint under `mel2wav.`, weight
norms folded.
"""

import json
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from chatterbox.models.s3gen.f0_predictor import ConvRNNF0Predictor
from chatterbox.models.s3gen.hifigan import HiFTGenerator, Uniform
from torch.nn.utils import parametrize


def build(config: dict[str, Any]) -> Any:
    """Its vocoder at the sizes of ``config``, with plain weights where it has normed ones."""
    vocoder = HiFTGenerator(
        base_channels=config["channels"],
        nb_harmonics=config["harmonics"],
        sampling_rate=24_000,
        upsample_rates=[8, 5, 3],
        upsample_kernel_sizes=config["up_kernels"],
        istft_params={"n_fft": config["n_fft"], "hop_len": 4},
        resblock_kernel_sizes=config["resblock_kernels"],
        resblock_dilation_sizes=[config["resblock_dilations"]] * 3,
        source_resblock_kernel_sizes=config["source_kernels"],
        source_resblock_dilation_sizes=[config["resblock_dilations"]] * 3,
        f0_predictor=ConvRNNF0Predictor(cond_channels=config["f0_channels"]),
    )
    for module in list(vocoder.modules()):
        if parametrize.is_parametrized(module):
            parametrize.remove_parametrizations(module, "weight")
    return vocoder.eval()


@torch.inference_mode()
def answer(vocoder: Any, given: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What it draws is given: harmonic_phase (batch, sines), noises (batch, sines, samples)."""
    draw_phase = patch.object(Uniform, "sample", lambda *_, **__: given["harmonic_phase"][..., None].clone())

    def draw_noise(like: torch.Tensor) -> torch.Tensor:
        return given["noises"] if like.shape == given["noises"].shape else torch.zeros_like(like)

    with draw_phase, patch.object(torch, "randn_like", draw_noise):
        audio, source = vocoder.inference(given["mel"])
    return {
        "f0": vocoder.f0_predictor(given["mel"]),
        "decoded": vocoder.decode(given["mel"], given["source"][:, None]),
        "source": source[:, 0],
        "audio": audio,
    }


def main(folder: str, inputs: str, answers: str) -> None:
    torch.set_num_threads(1)
    vocoder = build(json.loads((Path(folder) / "talkspurt.json").read_text())["vocoder"])
    weights = np.load(Path(folder) / "vocoder.npz")
    vocoder.load_state_dict({name: torch.from_numpy(weights[name]) for name in weights.files}, strict=True)
    given = {name: torch.from_numpy(array) for name, array in np.load(inputs).items()}
    arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in answer(vocoder, given).items()}
    np.savez(answers, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
