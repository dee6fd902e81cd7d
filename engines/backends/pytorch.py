"""PyTorch: the official weights in our own nets, which exports are compared with."""

from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.backends.base import Backend, Voice
from engines.backends.runner import Tensors
from engines.chatterbox.open import open_chatterbox, require_model
from engines.config import EngineConfig
from engines.contract import DEFAULT_VOICE
from engines.errors import BackendUnavailable, ConfigError
from engines.model import CONDITIONALS_FILE
from engines.voices.conditioning import UNMEASURED_DBOV, built_in_description
from engines.voices.files import read_voice, shipped_voices


def open_backend(config: EngineConfig) -> Backend:
    """The model whose weights lie in ``config.model``.

    Raises ConfigError for weights that are missing or wrong, and BackendUnavailable without torch, or
    without CUDA where that is asked for.
    """
    folder = require_model(config)
    if config.t3_int8:
        raise ConfigError("t3_int8", config.t3_int8, "is spoken by the backend onnx alone")
    runner = TorchRunner(folder, config.threads, device=config.device)
    details = {"precision": "float32", "torch": runner.version}
    return open_chatterbox("pytorch", runner, runner.model, folder, _built_in(runner), config, details)


def open_runner(folder: Path) -> "TorchRunner":
    """A model by itself, for enrolling. Raises as `open_backend`."""
    return TorchRunner(folder)


class TorchRunner:
    """Runner over the modules that are exported, each read when it is first run; any thread may call it."""

    compute_dtype: Any = np.dtype(np.float32)

    def __init__(self, folder: Path, threads: int = 0, *, device: str = "cpu") -> None:
        self._torch = _runtime(device)
        from engines.nets.build import graphs, load_nets
        from engines.nets.graph_specs import graph_specs

        if threads:
            self._torch.set_num_threads(threads)
        self.folder = folder
        self._nets = load_nets(folder)
        self.model = self._nets.model
        self._graphs = graphs(self._nets)
        self._specs = graph_specs(self.model)
        self._device = self._torch.device(device)
        self._modules: dict[str, Any] = {}
        self._reading = Lock()

    @property
    def version(self) -> str:
        return str(self._torch.__version__)

    def has(self, graph: str) -> bool:
        return graph in self._specs

    def run(self, graph: str, inputs: Tensors) -> dict[str, NDArray[Any]]:
        """Outputs by name."""
        module = self._modules.get(graph) or self._read(graph)
        spec = self._specs[graph]
        given = (self._tensor(inputs[each.name], each.dtype) for each in spec.inputs)
        with self._torch.inference_mode():
            outputs = module(*given)
        if isinstance(outputs, self._torch.Tensor):
            outputs = (outputs,)
        # Contiguous, and so a copy of what is part of something larger: that is not kept for its sake.
        arrays = (np.ascontiguousarray(out.cpu().numpy()) for out in outputs)
        return {each.name: array for each, array in zip(spec.outputs, arrays, strict=True)}

    def _tensor(self, array: NDArray[Any], dtype: str) -> Any:
        """The array as a tensor; on the CPU it is read where it lies."""
        wanted = np.dtype("float32" if dtype == "compute" else dtype)
        return self._torch.from_numpy(np.require(array, wanted, "W")).to(self._device)

    def _read(self, graph: str) -> Any:
        with self._reading:
            if graph not in self._modules:
                self._modules[graph] = self._graphs[graph].to(self._device)
            return self._modules[graph]


def _built_in(runner: TorchRunner) -> dict[str, Voice]:
    """The voices that lie beside the model, and that of its conditionals, where it has them."""
    from engines.nets.conditionals import load_conditionals

    shipped = (read_voice(runner.folder / name, runner.model) for name in shipped_voices(runner.folder))
    voices = {voice.name: voice for voice in shipped}
    path = runner.folder / CONDITIONALS_FILE
    if DEFAULT_VOICE in voices or not path.is_file():
        return voices
    description = built_in_description(runner.model.name)
    conditioning = load_conditionals(path, runner.model)
    return {DEFAULT_VOICE: Voice(DEFAULT_VOICE, description, UNMEASURED_DBOV, conditioning), **voices}


def _runtime(device: str) -> Any:
    try:
        import torch
    except ImportError as error:
        raise BackendUnavailable(f"torch is not installed ({error}): install talkspurt[pytorch]") from None
    if device == "cuda" and not torch.cuda.is_available():
        raise BackendUnavailable(f"device {device}: this torch finds no CUDA device")
    return torch
