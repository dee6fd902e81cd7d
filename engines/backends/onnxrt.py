"""ONNX Runtime: exported graphs, with no torch in the process."""

import logging
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.backends.base import Backend, Voice
from engines.backends.manifest import T3_STEP_INT8, GraphRecord, check_files, read_manifest
from engines.backends.runner import Tensors
from engines.backends.signature import S3_PROMPT, T3_STEP, VOICE_CODES, VOICE_SPEAKER, VOICE_XVECTOR
from engines.chatterbox.open import open_chatterbox, require_model
from engines.config import EngineConfig
from engines.errors import BackendUnavailable, ConfigError
from engines.pocket import pocket_folder
from engines.voices.files import read_voice

log = logging.getLogger("talkspurt.onnx")

RARE = frozenset({S3_PROMPT, VOICE_XVECTOR, VOICE_CODES, VOICE_SPEAKER})
"""Graphs that run once a voice: what they took of memory is given back."""

_PROVIDERS = {"cpu": ["CPUExecutionProvider"], "cuda": ["CUDAExecutionProvider", "CPUExecutionProvider"]}


def open_backend(config: EngineConfig) -> Backend:
    """The model exported into ``config.model``.

    Raises ConfigError for a folder that is no export or not whole, and BackendUnavailable without
    onnxruntime, or without its CUDA provider where that is asked for.
    """
    return _open("onnx", require_model(config), config)


def open_pocket(config: EngineConfig) -> Backend:
    """The model that comes with the program. Raises as `open_backend`."""
    return _open("pocket", pocket_folder(), config)


def _open(name: str, folder: Path, config: EngineConfig) -> Backend:
    runner = OnnxRunner(folder, config.threads, int8=config.t3_int8, device=config.device)
    manifest = runner.manifest
    if config.device == "cpu" and manifest.precision == "float16":
        log.warning("float16 graphs are slow on a CPU", extra={"model": str(folder)})
    details = {
        "precision": manifest.precision,
        "graphs": manifest.digest,
        "t3": "int8" if config.t3_int8 else manifest.precision,
        "onnxruntime": runner.version,
    }
    return open_chatterbox(name, runner, manifest.model, folder, _built_in(runner), config, details)


def open_runner(folder: Path) -> "OnnxRunner":
    """An export by itself, for enrolling. Raises as `open_backend`."""
    return OnnxRunner(folder)


class OnnxRunner:
    """Runner over sessions, each opened when its graph is first run; any thread may call it."""

    def __init__(self, folder: Path, threads: int = 0, *, int8: bool = False, device: str = "cpu") -> None:
        self._runtime = _runtime(device)
        self.folder = folder
        self.manifest = read_manifest(folder)
        check_files(folder, self.manifest)
        self.model = self.manifest.model
        self.compute_dtype: Any = np.dtype(self.manifest.precision)
        self._threads = threads
        self._providers = _PROVIDERS[device]
        self._records = _records(self.manifest.graphs, folder, int8)
        self._sessions: dict[str, _Session] = {}
        self._opening = {name: Lock() for name in self._records}

    @property
    def version(self) -> str:
        return str(self._runtime.__version__)

    def has(self, graph: str) -> bool:
        return graph in self._records

    def run(self, graph: str, inputs: Tensors) -> dict[str, NDArray[Any]]:
        """Outputs by name. Inputs of the graph's own type are read where they lie."""
        session = self._sessions.get(graph) or self._open(graph)
        return session.run(inputs)

    def _open(self, graph: str) -> "_Session":
        """Whoever asks first opens it; graphs do not wait for each other."""
        if graph not in self._records:
            known = ", ".join(self._records)
            raise ConfigError("model", str(self.folder), f"was exported without {graph}; it has {known}")
        with self._opening[graph]:
            if graph not in self._sessions:
                self._sessions[graph] = self._new_session(graph)
            return self._sessions[graph]

    def _new_session(self, graph: str) -> "_Session":
        record = self._records[graph]
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = self._threads
        # Its plans of memory are kept for each shape that was met, and speech has no end of shapes.
        options.enable_mem_pattern = False
        options.enable_cpu_mem_arena = graph not in RARE
        # Idle threads of one graph must not spin while another graph computes.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.log_severity_level = 3
        session = self._runtime.InferenceSession(
            str(self.folder / record.file), options, providers=self._providers
        )
        return _Session(session, record, self.compute_dtype)


class _Session:
    """An open graph, with the types that its inputs are converted to."""

    def __init__(self, session: Any, record: GraphRecord, compute_dtype: Any) -> None:
        self._session = session
        self._dtypes = {
            each.name: compute_dtype if each.dtype == "compute" else np.dtype(each.dtype)
            for each in record.spec.inputs
        }
        self._outputs = [each.name for each in record.spec.outputs]

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        given = {name: inputs[name].astype(dtype, copy=False) for name, dtype in self._dtypes.items()}
        return dict(zip(self._outputs, self._session.run(self._outputs, given), strict=True))


def _records(graphs: Mapping[str, GraphRecord], folder: Path, int8: bool) -> dict[str, GraphRecord]:
    """The graphs by the name that they are run by."""
    records = {name: record for name, record in graphs.items() if name != T3_STEP_INT8}
    if int8:
        if T3_STEP_INT8 not in graphs:
            reason = f"needs {T3_STEP_INT8}, which {folder} was exported without: export it with --int8"
            raise ConfigError("t3_int8", int8, reason)
        records[T3_STEP] = graphs[T3_STEP_INT8]
    return records


def _built_in(runner: OnnxRunner) -> dict[str, Voice]:
    voices = (read_voice(runner.folder / name, runner.model) for name in runner.manifest.voices)
    return {voice.name: voice for voice in voices}


def _runtime(device: str) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendUnavailable(f"onnxruntime is not installed ({error}): install talkspurt[onnx]") from None
    wanted = _PROVIDERS[device][0]
    if wanted not in onnxruntime.get_available_providers():
        raise BackendUnavailable(
            f"device {device}: this onnxruntime has no {wanted}: install onnxruntime-gpu"
        )
    return onnxruntime
