"""Graphs come out with their signature's names, types and axes, of ops that every runtime has."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from engines.backends.manifest import MANIFEST_FILE, T3_STEP_INT8, check_files, read_manifest
from engines.backends.signature import S3_CACHED_CHUNK, S3_CHUNK, S3_PROMPT, T3_STEP, GraphSpec, TensorSpec
from engines.errors import ConfigError
from engines.model import TOKENIZER_FILES
from engines.nets.build import graphs, load_nets
from engines.nets.conditionals import load_conditionals
from engines.nets.graph_specs import graph_specs
from engines.voices.files import read_voice
from export.folder import DEFAULT_VOICE_FILE, FAMILIES, ExportPlan, export_folder
from export.graph_inputs import CASES, draw_inputs
from export.half import HALVED
from export.onnx_graphs import OPS, QUANTISED_OPS, ExportError, check_ops, name_axes
from export.tiny import TINY
from export.weight_store import ALIGNED_BYTES, WeightStore
from tests.fakes.tiny_export import tiny_export, tiny_weights

SPECS = graph_specs(TINY)
NUMPY = {"float": "float32", "double": "float64", "int64": "int64", "float16": "float16"}


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def ops_of(graph: onnx.ModelProto) -> set[str]:
    return {node.domain + node.op_type for node in graph.graph.node}


@pytest.mark.parametrize("half", [False, True], ids=["float32", "float16"])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_graph_has_its_signature(name: str, half: bool) -> None:
    path = tiny_export(half=half) / f"{name}.onnx"
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    compute = "float16" if half and name in HALVED else "float32"
    for told, found in (
        (SPECS[name].inputs, session.get_inputs()),
        (SPECS[name].outputs, session.get_outputs()),
    ):
        assert [(each.name, tuple(each.shape)) for each in found] == [(each.name, each.axes) for each in told]
        dtypes = [compute if each.dtype == "compute" else each.dtype for each in told]
        assert [NUMPY[each.type.removeprefix("tensor(").rstrip(")")] for each in found] == dtypes


@pytest.mark.parametrize("half", [False, True], ids=["float32", "float16"])
def test_graphs_are_made_of_ops_that_every_runtime_has(half: bool) -> None:
    for name in FAMILIES:
        graph = onnx.load(tiny_export(half=half) / f"{name}.onnx", load_external_data=False)
        assert ops_of(graph) <= OPS
        assert [(each.domain, each.version) for each in graph.opset_import] == [("", 20)]


def test_no_graph_has_control_flow_sequences_or_transforms_of_its_own() -> None:
    banned = {"If", "Loop", "Scan", "STFT", "DFT", "SequenceAt", "SplitToSequence", "NonZero", "RandomNormal"}
    assert not banned & (OPS | QUANTISED_OPS)


@pytest.mark.parametrize("node", [("If", ""), ("Gelu", "com.microsoft"), ("DynamicQuantizeLinear", "")])
def test_another_op_is_refused_by_name(node: tuple[str, str]) -> None:
    made = onnx.helper.make_node(node[0], [], ["y"], domain=node[1])
    graph = onnx.helper.make_model(onnx.helper.make_graph([made], "made", [], []))
    with pytest.raises(ExportError, match=node[0]):
        check_ops(graph, OPS)


def graph_of(dtype: int, axes: list[int | str], name: str = "x") -> onnx.ModelProto:
    value = onnx.helper.make_tensor_value_info(name, dtype, axes)
    return onnx.helper.make_model(onnx.helper.make_graph([], "made", [value], []))


@pytest.mark.parametrize(
    "graph",
    [
        graph_of(onnx.TensorProto.FLOAT, ["B", 4]),
        graph_of(onnx.TensorProto.FLOAT, ["B", 3, 1]),
        graph_of(onnx.TensorProto.FLOAT, [2, 3]),  # an axis that was baked in
        graph_of(onnx.TensorProto.FLOAT16, ["B", 3]),
        graph_of(onnx.TensorProto.FLOAT, ["B", 3], name="y"),
    ],
)
def test_a_graph_unlike_its_signature_is_refused(graph: onnx.ModelProto) -> None:
    spec = GraphSpec("made", (TensorSpec("x", "compute", ("B", 3)),), ())
    with pytest.raises(ExportError, match="made"):
        name_axes(graph, spec, half=False)
    name_axes(graph_of(onnx.TensorProto.FLOAT, ["B", 3]), spec, half=False)


def test_a_float16_graph_keeps_its_islands_in_float32() -> None:
    for name in HALVED:
        graph = onnx.load(tiny_export(half=True) / f"{name}.onnx")
        inferred = onnx.shape_inference.infer_shapes(graph)
        types = {each.name: each.type.tensor_type.elem_type for each in inferred.graph.value_info}
        types |= {each.name: each.data_type for each in graph.graph.initializer}
        islands, halves = Counter[int](), Counter[int]()
        for node in graph.graph.node:
            counted = islands if node.op_type in ("Softmax", "LayerNormalization", "Exp", "Sin") else halves
            counted[types[node.input[0]] if node.input and node.input[0] in types else 0] += 1
        assert set(islands) <= {0, onnx.TensorProto.FLOAT}, name
        weights = [each for each in graph.graph.initializer if len(each.dims) > 1]
        in_half = sum(np.prod(each.dims) for each in weights if each.data_type == onnx.TensorProto.FLOAT16)
        assert in_half > 0.5 * sum(np.prod(each.dims) for each in weights), name


@pytest.mark.parametrize(
    ("name", "islands"),
    [
        (T3_STEP, ("tfmr.h.0.ln_1.weight", "tfmr.h.1.ln_2.bias", "tfmr.ln_f.weight")),
        (S3_CHUNK, ("vocoder.f0_predictor.condnet.0.weight", "vocoder.m_source.l_linear.weight")),
        (S3_PROMPT, ("flow.encoder.after_norm.weight", "flow.encoder.encoders.0.norm_ff.bias")),
    ],
)
def test_islands_keep_the_weights_they_had(name: str, islands: tuple[str, ...]) -> None:
    """To the last bit: weights that were halved and widened again have the type, and not the value."""
    tensors = onnx.load(tiny_export(half=True) / f"{name}.onnx").graph.initializer
    arrays = map(numpy_helper.to_array, tensors)
    contents = {array.ravel().tobytes() for array in arrays if array.dtype == np.float32}
    weights = graphs(load_nets(tiny_weights()))[name].state_dict()
    assert [island for island in islands if weights[island].numpy().tobytes() not in contents] == []


def test_float16_weights_take_half_the_bytes() -> None:
    whole, half = (read_manifest(tiny_export(half=half)).files["s3.data"].bytes for half in (False, True))
    assert half < 0.75 * whole


def test_graphs_of_a_family_share_their_weights() -> None:
    folder = tiny_export()
    record = read_manifest(folder)
    assert {record.graphs[name].weights for name in (S3_CHUNK, S3_CACHED_CHUNK, S3_PROMPT)} == {("s3.data",)}
    in_graphs = 0
    for name in (S3_CHUNK, S3_CACHED_CHUNK, S3_PROMPT):
        graph = onnx.load(folder / f"{name}.onnx", load_external_data=False)
        for tensor in graph.graph.initializer:
            in_graphs += sum(int(entry.value) for entry in tensor.external_data if entry.key == "length")
    assert record.files["s3.data"].bytes < 0.5 * in_graphs


def test_a_store_keeps_equal_tensors_once_and_gives_them_back(tmp_path: Path) -> None:
    large = np.arange(2 * ALIGNED_BYTES, dtype=np.float32).reshape(2, -1)
    small = np.arange(3, dtype=np.int64)

    def graph(*arrays: NDArray[Any]) -> onnx.ModelProto:
        tensors = [numpy_helper.from_array(each, f"t{i}") for i, each in enumerate(arrays)]
        return onnx.helper.make_model(onnx.helper.make_graph([], "made", [], [], tensors))

    with WeightStore(tmp_path / "w.data") as store:
        assert not store.take_from(graph(small))
        for i, made in enumerate((graph(large, small), graph(small, large + 1, large))):
            assert store.take_from(made)
            (tmp_path / f"{i}.onnx").write_bytes(made.SerializeToString())
    assert (tmp_path / "w.data").stat().st_size == 2 * large.nbytes
    first, second = (onnx.load(tmp_path / f"{i}.onnx").graph.initializer for i in (0, 1))
    for tensors, arrays in ((first, (large, small)), (second, (small, large + 1, large))):
        for tensor, array in zip(tensors, arrays, strict=True):
            np.testing.assert_array_equal(numpy_helper.to_array(tensor), array)


def test_the_8_bit_graph_keeps_the_speaker_and_the_tables() -> None:
    graph = onnx.load(tiny_export() / f"{T3_STEP_INT8}.onnx", load_external_data=False)
    in_float = {each.name for each in graph.graph.initializer if each.data_type == onnx.TensorProto.FLOAT}
    in_bytes = {each.name for each in graph.graph.initializer if each.data_type == onnx.TensorProto.INT8}
    assert {"table.weight", "tfmr.wpe.weight", "cond_enc.spkr_enc.weight"} <= in_float
    matrices = {name.removesuffix("_quantized") for name in in_bytes if name.endswith("weight_quantized")}
    layers = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    assert matrices == {
        "speech_head.weight",
        *(f"tfmr.h.{i}.{each}.weight" for i in (0, 1) for each in layers),
    }


def test_the_manifest_tells_what_was_exported() -> None:
    folder = tiny_export()
    manifest = read_manifest(folder)
    check_files(folder, manifest, deep=True)
    assert manifest.model == TINY
    assert manifest.graphs.keys() == {*FAMILIES, T3_STEP_INT8}
    assert all(record.spec == SPECS[record.spec.name] for record in manifest.graphs.values())
    assert manifest.tokenizer == TOKENIZER_FILES
    assert manifest.sources.keys() == {TINY.t3_file, "s3gen_meanflow.safetensors", "ve.safetensors"}
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert there == {MANIFEST_FILE, *manifest.files}


def test_the_default_voice_is_that_of_the_conditionals() -> None:
    voice = read_voice(tiny_export() / DEFAULT_VOICE_FILE, TINY).conditioning
    told = load_conditionals(tiny_weights() / "conds.pt", TINY)
    for part in ("speaker", "t3_prompt", "s3_prompt", "s3_prompt_mel", "embedding"):
        np.testing.assert_array_equal(getattr(voice, part), getattr(told, part))


@pytest.fixture
def few(tmp_path: Path) -> ExportPlan:
    """The cheapest export."""
    return ExportPlan(tiny_weights(), tmp_path / "out", graphs=("voice_speaker",))


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_some_graphs_may_be_named(few: ExportPlan) -> None:
    assert set(export_folder(few).graphs) == {"voice_speaker"}
    assert {"voice_speaker.onnx", "voice.data", MANIFEST_FILE} <= files_in(few.out)
    assert "t3.data" not in files_in(few.out)


def test_a_graph_that_there_is_not_is_refused(few: ExportPlan) -> None:
    with pytest.raises(ConfigError, match="'t4' is unknown; known are t3_step"):
        export_folder(ExportPlan(few.model, few.out, graphs=("t4",)))


def test_8_bits_are_made_of_float32(few: ExportPlan) -> None:
    with pytest.raises(ConfigError, match="made of float32"):
        export_folder(ExportPlan(few.model, few.out, half=True, int8=True))
    with pytest.raises(ConfigError, match="not exported"):
        export_folder(ExportPlan(few.model, few.out, int8=True, graphs=("voice_speaker",)))


def test_what_is_there_is_replaced_only_by_force_and_only_an_export(few: ExportPlan) -> None:
    few.out.mkdir()
    export_folder(few)  # an empty folder is not in the way
    with pytest.raises(ConfigError, match="--force"):
        export_folder(few)
    forced = ExportPlan(few.model, few.out, graphs=("voice_xvector",), force=True)
    export_folder(forced)
    assert set(read_manifest(few.out).graphs) == {"voice_xvector"}
    assert files_in(few.out.parent) == {"out"}
    (few.out / MANIFEST_FILE).unlink()
    before = files_in(few.out)
    with pytest.raises(ConfigError, match="is no export"):
        export_folder(forced)
    assert files_in(few.out) == before


def test_an_export_that_fails_leaves_nothing(few: ExportPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ExportError("broken")

    monkeypatch.setattr("export.folder.write_graph", fail)
    with pytest.raises(ExportError, match="broken"):
        export_folder(few)
    assert files_in(few.out.parent) == set()


def test_weights_without_a_voice_are_exported_without_one(few: ExportPlan, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    shutil.copytree(few.model, weights)
    (weights / "conds.pt").unlink()
    manifest = export_folder(ExportPlan(weights, few.out, graphs=few.graphs))
    assert manifest.voices == ()
    assert json.loads((few.out / MANIFEST_FILE).read_text())["voices"] == []


def test_the_sizes_a_graph_is_traced_at_differ_from_each_other() -> None:
    for name, cases in CASES.items():
        inputs = draw_inputs(SPECS[name], TINY, cases[0], seed=0)
        assert all(array.size for array in inputs.values())
        assert len(set(cases[0].values())) == len(cases[0])


def test_inputs_are_those_of_the_signature_and_of_the_seed() -> None:
    spec, sizes = SPECS[T3_STEP], CASES[T3_STEP][2]
    inputs, same, other = (draw_inputs(spec, TINY, sizes, seed) for seed in (1, 1, 2))
    assert list(inputs) == [each.name for each in spec.inputs]
    assert inputs["past_k.0"].shape == (3, 4, 70, 16)
    assert inputs["past_length"].max() <= 70
    assert all(np.array_equal(inputs[name], same[name]) for name in inputs)
    assert not np.array_equal(inputs["past_k.0"], other["past_k.0"])
