"""The nets' graphs as ONNX: the modules that speak in torch, traced with their signature's names and axes.

Traced by TorchScript's exporter: on the same modules the newer one (dynamo) takes 13 times as long, 34 s
against 2.5 s for the prompt of the tiniest flow. What it leaves behind is the same to 1e-6.
"""

import io
import logging
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import onnx
import torch
from torch import nn

from engines.backends.signature import GraphSpec, TensorSpec
from engines.model import ModelConfig
from export.graph_inputs import CASES, draw_inputs
from export.weight_store import Store

OPSET = 20

_STANDARD = """
Abs Add And BatchNormalization Cast Clip Concat Constant ConstantOfShape Conv ConvTranspose Cos CumSum Div
Elu Equal Exp Expand Flatten Floor Gather GatherElements Gelu Gemm Greater GreaterOrEqual Identity
LayerNormalization LeakyRelu Less LessOrEqual LSTM MatMul Mod Mul Neg Not Or Pad Pow Range Reciprocal
ReduceL2 ReduceMean ReduceSum Relu Reshape Round Shape Sigmoid Sin Slice Softmax Softplus Split Sqrt Squeeze
Sub Tanh Transpose Unsqueeze Where
"""
OPS = frozenset(_STANDARD.split())
"""What a graph may be made of: ops of the standard domain that both ONNX Runtime's CPU kernels and the
parser of TensorRT 10.15 take at this opset, without control flow, sequences or complex numbers."""

QUANTISED_OPS = frozenset({"DynamicQuantizeLinear", "MatMulInteger"})
"""What 8-bit graphs have besides; they are for ONNX Runtime alone."""


class ExportError(Exception):
    """A graph that came out unlike its signature, or of ops that not every runtime has."""


def export_graph(module: nn.Module, spec: GraphSpec, model: ModelConfig, *, half: bool) -> onnx.ModelProto:
    """``module`` as a graph with its weights inside. Raises ExportError.

    ``half``: its `compute` inputs are float16, and it was made so (export.half).
    """
    compute = torch.float16 if half else torch.float32
    arrays = draw_inputs(spec, model, CASES[spec.name][0], seed=0)
    inputs = tuple(
        torch.from_numpy(arrays[each.name]).to(compute if each.dtype == "compute" else None)
        for each in spec.inputs
    )
    with tempfile.TemporaryDirectory() as folder, _quiet(), torch.no_grad():
        traced = Path(folder) / "traced.onnx"
        torch.onnx.export(
            module,
            inputs,
            traced,
            dynamo=False,
            opset_version=OPSET,
            input_names=_names(spec.inputs),
            output_names=_names(spec.outputs),
            dynamic_axes=_dynamic_axes((*spec.inputs, *spec.outputs)),
        )
        graph = onnx.load(traced)
    check_ops(graph, OPS)
    name_axes(graph, spec, half=half)
    return graph


def write_graph(graph: onnx.ModelProto, path: Path, store: Store) -> tuple[str, ...]:
    """Write ``graph`` with its weights in ``store``, and check the file. Returns the files they lie in."""
    weights = store.take_from(graph)
    path.write_bytes(graph.SerializeToString())
    store.flush()
    onnx.checker.check_model(str(path), full_check=True)  # infers every shape on the way
    return weights


def check_ops(graph: onnx.ModelProto, allowed: frozenset[str]) -> None:
    """Raises ExportError naming the ops that are not ``allowed``, or of a domain of their own."""
    found = {f"{node.domain}.{node.op_type}" if node.domain else node.op_type for node in graph.graph.node}
    if refused := found - allowed:
        raise ExportError(
            f"{graph.graph.name} has {', '.join(sorted(refused))}, which not every runtime takes"
        )


def name_axes(graph: onnx.ModelProto, spec: GraphSpec, *, half: bool) -> None:
    """Give inputs and outputs the signature's axes: tracing leaves those it cannot tell without a name.

    Raises ExportError where names, types or sizes are not the signature's.
    """
    for told, found in ((spec.inputs, graph.graph.input), (spec.outputs, graph.graph.output)):
        names = [value.name for value in found]
        if names != _names(told):
            raise ExportError(f"{spec.name} has {', '.join(names)} and must have {', '.join(_names(told))}")
        for each, value in zip(told, found, strict=True):
            _name_axes_of(value.type.tensor_type, each, f"{spec.name}: {each.name}", half)


def _name_axes_of(tensor: onnx.TypeProto.Tensor, each: TensorSpec, where: str, half: bool) -> None:
    dtype = each.dtype if each.dtype != "compute" else "float16" if half else "float32"
    found = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    sizes = [axis.dim_value if axis.HasField("dim_value") else None for axis in tensor.shape.dim]
    fits = len(sizes) == len(each.axes) and all(
        size in (None, axis) for size, axis in zip(sizes, each.axes, strict=True)
    )
    if found != dtype or not fits:
        raise ExportError(f"{where} is {found} {sizes} and must be {dtype} {each.axes}")
    for dimension, axis in zip(tensor.shape.dim, each.axes, strict=True):
        if isinstance(axis, str):
            dimension.dim_param = axis
        else:
            dimension.dim_value = axis


def _names(tensors: Iterable[TensorSpec]) -> list[str]:
    return [each.name for each in tensors]


def _dynamic_axes(tensors: Iterable[TensorSpec]) -> dict[str, dict[int, str]]:
    return {
        each.name: {i: axis for i, axis in enumerate(each.axes) if isinstance(axis, str)} for each in tensors
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Tracing warns of every size that is read in Python; verify tells whether one was baked in."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
