"""The three voice nets with random weights, run as a runner runs them and saved as the official files are."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from engines.backends.runner import Tensors
from engines.backends.signature import (
    VOICE_CODES,
    VOICE_SPEAKER,
    VOICE_XVECTOR,
    GraphSpec,
    voice_codes,
    voice_speaker,
    voice_xvector,
)
from engines.model import MODEL_FILE, S3GEN_FILE, VOICE_ENCODER_FILE, ModelConfig
from engines.nets.speech_tokenizer import SpeechTokenizer
from engines.nets.voice_encoder import VoiceEncoder
from engines.nets.xvector import XVector


class VoiceNets:
    """A Runner of the voice graphs that holds every call to its signature."""

    compute_dtype = np.float32

    def __init__(self, model: ModelConfig, seed: int = 0) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(seed)
        self.model = model
        self.tokenizer = SpeechTokenizer(model.speech_tokenizer).eval().requires_grad_(False)
        self.xvector = XVector(model.xvector).eval().requires_grad_(False)
        self.speaker = VoiceEncoder(model.voice_encoder).eval().requires_grad_(False)
        spread_codes(self.tokenizer)
        spread_activations(self.xvector)
        self.speaker.lstm.get_parameter("weight_ih_l0").mul_(30)  # mel power of speech is small
        self._graphs: dict[str, tuple[nn.Module, GraphSpec]] = {
            VOICE_CODES: (self.tokenizer, voice_codes(model)),
            VOICE_XVECTOR: (self.xvector, voice_xvector(model)),
            VOICE_SPEAKER: (self.speaker, voice_speaker(model)),
        }

    def has(self, graph: str) -> bool:
        return graph in self._graphs

    @torch.inference_mode()
    def run(self, graph: str, inputs: Tensors) -> dict[str, NDArray[Any]]:
        net, spec = self._graphs[graph]
        (given,), (made,) = spec.inputs, spec.outputs
        value = inputs[given.name]
        assert set(inputs) == {given.name}
        check(value, given.dtype, given.axes)
        answer: NDArray[Any] = net(torch.from_numpy(value)).numpy()
        check(answer, made.dtype, made.axes)
        return {made.name: answer}

    def save(self, folder: Path) -> None:
        """The official files' names and keys, of these nets alone, and the sizes."""
        states = (("tokenizer.", self.tokenizer), ("speaker_encoder.", self.xvector))
        keys = {prefix + key: value for prefix, net in states for key, value in net.state_dict().items()}
        save_file(keys, folder / S3GEN_FILE)
        save_file(self.speaker.state_dict(), folder / VOICE_ENCODER_FILE)
        (folder / MODEL_FILE).write_text(self.model.to_json())


def check(array: NDArray[Any], dtype: str, axes: tuple[int | str, ...]) -> None:
    assert array.dtype == dtype
    assert array.ndim == len(axes)
    assert all(isinstance(axis, str) or axis == size for axis, size in zip(axes, array.shape, strict=True))


def spread_codes(tokenizer: SpeechTokenizer) -> None:
    """As initialised, every projection rounds to the middle level and every code is the same."""
    project = tokenizer.quantizer._codebook["project_down"]
    assert isinstance(project, nn.Linear)
    nn.init.normal_(project.weight, std=project.in_features**-0.5 * 2)
    for layer in tokenizer.encoder.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d):
            nn.init.normal_(layer.weight, std=layer.weight[0].numel() ** -0.5)


def spread_activations(net: nn.Module) -> None:
    """As initialised, little of the input comes through, and a batch norm does nothing."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv1d | nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            layer.running_mean.normal_(std=0.3)
            layer.running_var.uniform_(0.5, 2)
            if layer.affine:
                layer.weight.data.uniform_(0.7, 1.3)
                layer.bias.data.normal_(std=0.2)
