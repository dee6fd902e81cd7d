"""An export against the nets it was made from: each graph in ONNX Runtime and in torch, on equal inputs.

Torch runs in float32 whatever the export's precision, so that a float16 graph answers for all it lost.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from engines.backends.manifest import T3_STEP_INT8, Manifest, check_files, read_manifest
from engines.backends.signature import GraphSpec
from engines.errors import ConfigError
from engines.model import ModelConfig
from engines.nets.build import graphs, load_nets
from export.graph_inputs import CASES, Arrays, draw_inputs
from export.half import HALVED

Array = NDArray[Any]

EXACT = "float32"
HALF = "float16"
INT8 = "int8"

TOLERANCES: Mapping[str, Mapping[str, float]] = {
    EXACT: {"logits": 1e-5, "new_kv": 1e-5, "mel": 2e-5, "audio": 2e-3, "source": 2e-3, "phases": 1e-4},
    HALF: {"logits": 1e-2, "new_kv": 1e-2, "mel": 1e-2, "audio": 0.2, "source": 0.2, "phases": 2e-2},
    INT8: {"logits": 0.1, "new_kv": 0.1},
}
"""Greatest relative RMS by output. A phase adds up what pitch's error is, and its harmonics multiply it:
audio and source differ by far more than the mel that they are made of; a phase's error is in cycles."""

OTHER_TOLERANCES = {EXACT: 2e-5, HALF: 1e-2}
"""Of outputs that are not named above."""

CODES_TOLERANCE = 0.01
"""Share of speech codes that may differ: the quantiser rounds, and what lies on the edge falls either way."""

LEAST_AGREEMENT = 0.8
"""Of greedy tokens in 8 bits with those in float32."""

_TRAJECTORY_TOKENS = 48


@dataclass(frozen=True, slots=True)
class Verdict:
    """One graph's worst over its cases."""

    graph: str
    precision: str
    cases: int
    output: str  # the one nearest to its tolerance, or farthest beyond
    max_abs: float
    relative_rms: float
    tolerance: float
    agreement: float | None = None  # of greedy tokens, where the graph is of 8 bits

    @property
    def is_ok(self) -> bool:
        agrees = self.agreement is None or self.agreement >= LEAST_AGREEMENT
        return self.relative_rms <= self.tolerance and agrees

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "ok": self.is_ok}


def verify_folder(folder: Path, model: Path, threads: int = 0) -> Iterator[Verdict]:
    """A verdict for each graph, as it comes.

    Raises ConfigError for a folder whose files are not those of its manifest, or for a model of other
    numbers; other weights of the same numbers show as graphs that differ.
    """
    manifest = read_manifest(folder)
    check_files(folder, manifest, deep=True)
    nets = load_nets(model)
    if nets.model != manifest.model:
        raise ConfigError("model", str(model), f"is {nets.model.name}; exported was {manifest.model.name}")
    modules = graphs(nets)
    for name, record in manifest.graphs.items():
        session = _Session(folder / record.file, record.spec, _precision(manifest, record.spec), threads)
        yield _Comparison(name, record.spec, manifest, modules[record.spec.name], session).verdict()


class _Session:
    """A graph in ONNX Runtime, on the CPU."""

    def __init__(self, path: Path, spec: GraphSpec, compute: str, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._dtypes = {each.name: compute if each.dtype == "compute" else each.dtype for each in spec.inputs}
        self._outputs = [each.name for each in spec.outputs]

    def run(self, inputs: Arrays) -> Arrays:
        given = {name: array.astype(self._dtypes[name]) for name, array in inputs.items()}
        return dict(zip(self._outputs, self._session.run(self._outputs, given), strict=True))


class _Comparison:
    """One graph's cases, run on both sides."""

    def __init__(
        self, name: str, spec: GraphSpec, manifest: Manifest, module: nn.Module, session: _Session
    ) -> None:
        self._name = name
        self._spec = spec
        self._model = manifest.model
        self._module = module
        self._session = session
        self._precision = INT8 if name == T3_STEP_INT8 else _precision(manifest, spec)

    def verdict(self) -> Verdict:
        cases = CASES[self._spec.name]
        errors: dict[str, tuple[float, float]] = {}  # relative RMS and greatest difference
        for seed, sizes in enumerate(cases):
            inputs = draw_inputs(self._spec, self._model, sizes, seed)
            wanted, got = run_torch(self._module, self._spec, inputs), self._session.run(inputs)
            for output in wanted:
                found = difference(output, got[output], wanted[output])
                errors[output] = max(errors.get(output, (0.0, 0.0)), found)
        worst = max(errors, key=lambda output: errors[output][0] / self._tolerance(output))
        relative_rms, max_abs = errors[worst]
        return Verdict(
            graph=self._name,
            precision=self._precision,
            cases=len(cases),
            output=worst,
            max_abs=max_abs,
            relative_rms=relative_rms,
            tolerance=self._tolerance(worst),
            agreement=self._agreement() if self._precision == INT8 else None,
        )

    def _tolerance(self, output: str) -> float:
        if output == "codes":
            return CODES_TOLERANCE
        other = OTHER_TOLERANCES.get(self._precision, 0.0)
        return TOLERANCES[self._precision].get(output, other)

    def _agreement(self) -> float:
        """Of the greedy token after each of torch's greedy tokens; each side remembers by itself."""

        def in_torch(inputs: Arrays) -> Arrays:
            return run_torch(self._module, self._spec, inputs)

        tokens = greedy_tokens(in_torch, self._spec, self._model)
        other = greedy_tokens(self._session.run, self._spec, self._model, follow=tokens)
        return float(np.mean(tokens == other))


def run_torch(module: nn.Module, spec: GraphSpec, inputs: Arrays) -> Arrays:
    """The module's outputs by name."""
    with torch.inference_mode():
        outputs = module(*(torch.from_numpy(inputs[each.name]) for each in spec.inputs))
    if isinstance(outputs, torch.Tensor):
        outputs = (outputs,)
    return {each.name: output.numpy() for each, output in zip(spec.outputs, outputs, strict=True)}


def difference(output: str, got: Array, wanted: Array) -> tuple[float, float]:
    """RMS of the difference over that wanted, and the greatest difference; infinite where there is none.

    Of codes, the share that differs; of phases, which turn, the RMS in cycles.
    """
    if got.shape != wanted.shape or not np.isfinite(got).all():
        return float("inf"), float("inf")
    if not np.issubdtype(wanted.dtype, np.floating):
        differs = got != wanted
        return float(differs.mean()), float(differs.any())
    apart = got.astype(np.float64) - wanted
    if output == "phases":
        apart -= np.round(apart)
        return _rms(apart), float(np.abs(apart).max())
    return _rms(apart) / max(_rms(wanted), 1e-9), float(np.abs(apart).max())


def greedy_tokens(
    run: Callable[[Arrays], Arrays], spec: GraphSpec, model: ModelConfig, follow: Array | None = None
) -> Array:
    """The likeliest speech codes one after the other, after a speaker and some ids.

    ``follow``: codes that are taken as said in place of the likeliest ones.
    """
    t3 = model.t3
    inputs = draw_inputs(spec, model, {"B": 1, "S": 24, "C": 0}, seed=1)
    inputs["ids"][0, 0] = t3.speaker_id
    inputs["ids_length"][:] = 24
    past_names = [each.name for each in spec.inputs[4:]]
    tokens: list[int] = []
    for step in range(_TRAJECTORY_TOKENS):
        outputs = run(inputs)
        tokens.append(int(outputs["logits"][0, : model.codes].argmax()))
        said = tokens[-1] if follow is None else int(follow[step])
        new = outputs["new_kv"].astype(np.float32).reshape(-1, *outputs["new_kv"].shape[2:])
        for name, each in zip(past_names, new, strict=True):
            inputs[name] = np.concatenate((inputs[name], each), 2)
        inputs["past_length"] = inputs["past_length"] + inputs["ids_length"]
        inputs["ids"] = np.full((1, 1), t3.first_speech_id + said)
        inputs["ids_length"] = np.ones(1, np.int64)
    return np.array(tokens)


def _precision(manifest: Manifest, spec: GraphSpec) -> str:
    return manifest.precision if spec.name in HALVED else EXACT


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))) if values.size else 0.0
