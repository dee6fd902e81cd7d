"""An export folder, written whole or not at all: graphs, weights, tokenizer, default voice, manifest."""

import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import onnx
from torch import nn

from engines.backends import signature
from engines.backends.manifest import (
    MANIFEST_FILE,
    T3_STEP_INT8,
    GraphRecord,
    Manifest,
    record_file,
    sha256_of,
)
from engines.backends.signature import GraphSpec
from engines.errors import ConfigError
from engines.model import CONDITIONALS_FILE, S3GEN_FILE, TOKENIZER_FILES, VOICE_ENCODER_FILE, ModelConfig
from engines.nets.build import graphs, load_nets
from engines.nets.conditionals import load_conditionals
from engines.nets.graph_specs import graph_specs
from engines.voices.conditioning import built_in_description
from engines.voices.files import shipped_voices
from engines.voices.library import VoiceLibrary
from export.half import HALVED, halve
from export.onnx_graphs import OPS, OPSET, QUANTISED_OPS, check_ops, export_graph, write_graph
from export.quantize import quantised
from export.weight_store import WeightStore

FAMILIES = {
    signature.T3_STEP: "t3",
    signature.S3_CHUNK: "s3",
    signature.S3_PROMPT: "s3",
    signature.S3_CACHED_CHUNK: "s3",
    signature.VOICE_XVECTOR: "voice",
    signature.VOICE_CODES: "voice",
    signature.VOICE_SPEAKER: "voice",
}
"""Graphs whose weights share a file."""

DEFAULT_VOICE_FILE = "voices/default.safetensors"
WHOLE_TOKENIZER_FILE = "tokenizer.json"
"""Goes before the published files where a model has it."""

TOOLS = ("torch", "onnx", "onnxruntime")


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """What to export; ``graphs`` empty: all of them."""

    model: Path
    out: Path
    half: bool = False
    int8: bool = False
    graphs: Sequence[str] = ()
    force: bool = False


def export_folder(plan: ExportPlan, progress: Callable[[str], None] = lambda graph: None) -> Manifest:
    """Export ``plan.model`` into ``plan.out``, which appears when it is complete.

    ``progress`` hears the name of each graph before it is traced. Raises ConfigError for weights that
    do not load, unknown graphs, and a folder in the way; ExportError for a graph that came out wrong.
    """
    _check(plan)
    written = plan.out.with_name(f".{plan.out.name}.{secrets.token_hex(4)}")
    written.mkdir(parents=True)
    try:
        manifest = _Export(plan, written).write(progress)
        _take_name(written, plan.out)
    finally:
        shutil.rmtree(written, ignore_errors=True)
    return manifest


def graph_names(plan: ExportPlan) -> tuple[str, ...]:
    """The graphs that a plan makes, in order. Raises ConfigError for unknown ones."""
    for name in plan.graphs:
        if name not in FAMILIES:
            raise ConfigError("graphs", name, f"is unknown; known are {', '.join(FAMILIES)}")
    return tuple(name for name in FAMILIES if not plan.graphs or name in plan.graphs)


class _Export:
    """One export under way, into a folder that nobody knows yet."""

    def __init__(self, plan: ExportPlan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._nets = load_nets(plan.model)
        self._model: ModelConfig = self._nets.model
        self._graphs: dict[str, GraphRecord] = {}

    def write(self, progress: Callable[[str], None]) -> Manifest:
        specs, modules = graph_specs(self._model), graphs(self._nets)
        with ExitStack() as stack:
            stores: dict[str, WeightStore] = {}
            for name in graph_names(self._plan):
                progress(name)
                family = FAMILIES[name]
                if family not in stores:
                    stores[family] = stack.enter_context(WeightStore(self._folder / f"{family}.data"))
                self._write_graph(modules[name], specs[name], stores[family])
        tokenizer, voices = self._copy_tokenizer(), self._write_voices()
        return self._write_manifest(tokenizer, voices)

    def _write_graph(self, module: nn.Module, spec: GraphSpec, store: WeightStore) -> None:
        half = self._plan.half and spec.name in HALVED
        if half:
            halve(module)
        self._add(spec.name, spec, export_graph(module, spec, self._model, half=half), store)
        if self._plan.int8 and spec.name == signature.T3_STEP:
            graph = quantised(self._folder / self._graphs[spec.name].file)
            check_ops(graph, OPS | QUANTISED_OPS)
            self._add(T3_STEP_INT8, spec, graph, store)

    def _add(self, name: str, spec: GraphSpec, graph: onnx.ModelProto, store: WeightStore) -> None:
        file = f"{name}.onnx"
        self._graphs[name] = GraphRecord(file, write_graph(graph, self._folder / file, store), spec)

    def _copy_tokenizer(self) -> tuple[str, ...]:
        there = tokenizer_files(self._plan.model)
        for name in there:
            shutil.copyfile(self._plan.model / name, self._folder / name)
        return there

    def _write_voices(self) -> tuple[str, ...]:
        """Those that the model comes with, so that serving needs no torch; none where it has none."""
        voices = shipped_voices(self._plan.model)
        conditionals = self._plan.model / CONDITIONALS_FILE
        for name in voices:
            (self._folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(self._plan.model / name, self._folder / name)
        if DEFAULT_VOICE_FILE in voices or not conditionals.is_file():
            return voices
        path = self._folder / DEFAULT_VOICE_FILE
        conditioning = load_conditionals(conditionals, self._model)
        description = built_in_description(self._model.name)
        VoiceLibrary(path.parent, {}).add(path.stem, conditioning, description, replace=True)
        return (DEFAULT_VOICE_FILE, *voices)

    def _write_manifest(self, tokenizer: tuple[str, ...], voices: tuple[str, ...]) -> Manifest:
        there = (path for path in sorted(self._folder.rglob("*")) if path.is_file())
        return write_manifest(
            self._folder,
            self._model,
            precision="float16" if self._plan.half else "float32",
            sources=self._plan.model,
            graphs=self._graphs,
            tokenizer=tokenizer,
            voices=voices,
            files=[path.relative_to(self._folder).as_posix() for path in there],
        )


def tokenizer_files(folder: Path) -> tuple[str, ...]:
    """Those of a model's folder that its texts are read by."""
    return tuple(name for name in (*TOKENIZER_FILES, WHOLE_TOKENIZER_FILE) if (folder / name).is_file())


def write_manifest(
    folder: Path,
    model: ModelConfig,
    *,
    precision: str,
    sources: Path,
    graphs: Mapping[str, GraphRecord],
    tokenizer: tuple[str, ...],
    voices: tuple[str, ...],
    files: Sequence[str],
) -> Manifest:
    """Describe the ``files`` of ``folder``, whose graphs were made of the weights in ``sources``."""
    weights = (model.t3_file, S3GEN_FILE, VOICE_ENCODER_FILE)
    manifest = Manifest(
        model=model,
        precision=precision,
        opset=OPSET,
        tools={tool: version(tool) for tool in TOOLS},
        sources={name: sha256_of(sources / name) for name in weights},
        graphs=graphs,
        tokenizer=tokenizer,
        voices=voices,
        files={name: record_file(folder / name) for name in files},
    )
    (folder / MANIFEST_FILE).write_text(manifest.to_json(), "utf-8")
    return manifest


def _check(plan: ExportPlan) -> None:
    graph_names(plan)
    if plan.int8 and plan.half:
        raise ConfigError("int8", plan.int8, "is made of float32: export it without fp16")
    if plan.int8 and signature.T3_STEP not in graph_names(plan):
        raise ConfigError("int8", plan.int8, f"is made of {signature.T3_STEP}, which is not exported")
    if not plan.out.exists() or (plan.out.is_dir() and not any(plan.out.iterdir())):
        return
    if not plan.force:
        raise ConfigError("out", str(plan.out), "is there already; --force replaces an export")
    if not (plan.out / MANIFEST_FILE).is_file():
        raise ConfigError("out", str(plan.out), "is no export, and is not replaced")


def _take_name(written: Path, out: Path) -> None:
    """Rename the finished folder; an older one is put aside first, and removed last."""
    if not out.exists():
        written.rename(out)
        return
    aside = out.with_name(f"{written.name}.old")
    out.rename(aside)
    try:
        written.rename(out)
    except OSError:
        aside.rename(out)
        raise
    shutil.rmtree(aside)
