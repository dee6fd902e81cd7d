"""Smaller graphs: what tracing leaves behind is dropped, and what is computed twice is computed once."""

import hashlib
from collections.abc import Iterator
from string import ascii_letters, digits

import onnx
from onnx import numpy_helper

_FIRST, _NEXT = ascii_letters, ascii_letters + digits


def slim(graph: onnx.ModelProto) -> None:
    """Change ``graph`` in place: the same function of the same inputs, in fewer bytes.

    Names of tensors inside of it are lost, and with them what a tensor was in torch.
    """
    _drop_words(graph)
    _constants_to_initializers(graph.graph)
    _merge_equal(graph.graph)
    _shorten_names(graph.graph)


def _drop_words(graph: onnx.ModelProto) -> None:
    """Where each node came from, and shapes that every reader infers."""
    graph.graph.ClearField("value_info")
    graph.graph.name = graph.graph.name or "graph"
    for told in (graph, graph.graph, *graph.graph.node, *graph.graph.initializer):
        told.ClearField("doc_string")
        told.ClearField("metadata_props")
    for node in graph.graph.node:
        node.ClearField("name")


def _constants_to_initializers(graph: onnx.GraphProto) -> None:
    kept = []
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensor = graph.initializer.add()
            tensor.CopyFrom(node.attribute[0].t)
            tensor.name = node.output[0]
        else:
            kept.append(node)
    _replace(graph.node, kept)


def _merge_equal(graph: onnx.GraphProto) -> None:
    """Equal tensors, and equal nodes of equal inputs, become one: no op here draws at random."""
    outputs = {value.name for value in graph.output}
    now: dict[str, str] = {}  # a merged tensor's name to the one that stays
    tensors: dict[bytes, str] = {}
    kept = []
    for tensor in graph.initializer:
        now[tensor.name] = tensors.setdefault(_content(tensor), tensor.name)
        if now[tensor.name] == tensor.name:
            kept.append(tensor)
    _replace(graph.initializer, kept)
    nodes: dict[bytes, list[str]] = {}
    left = []
    for node in graph.node:
        node.input[:] = [now.get(name, name) for name in node.input]
        same = nodes.setdefault(_computation(node), list(node.output))
        if same == list(node.output) or outputs & set(node.output):
            left.append(node)
        else:
            now |= zip(node.output, same, strict=True)
    _replace(graph.node, left)


def _content(tensor: onnx.TensorProto) -> bytes:
    array = numpy_helper.to_array(tensor)
    told = f"{array.dtype} {array.shape} "
    return hashlib.sha256(told.encode() + array.tobytes()).digest()


def _computation(node: onnx.NodeProto) -> bytes:
    """All of a node but the names of its outputs."""
    bare = onnx.NodeProto()
    bare.CopyFrom(node)
    bare.ClearField("output")
    bare.name = str(len(node.output))
    told: bytes = bare.SerializeToString(deterministic=True)
    return told


def _shorten_names(graph: onnx.GraphProto) -> None:
    """Of everything but inputs and outputs, which are the signature's."""
    now = {value.name: value.name for value in (*graph.input, *graph.output)} | {"": ""}
    free = (name for name in _names() if name not in now)
    made = (name for node in graph.node for name in node.output)
    for name in (*(tensor.name for tensor in graph.initializer), *made):
        if name not in now:
            now[name] = next(free)
    for tensor in graph.initializer:
        tensor.name = now[tensor.name]
    for node in graph.node:
        node.input[:] = [now[name] for name in node.input]
        node.output[:] = [now[name] for name in node.output]


def _names() -> Iterator[str]:
    """a, b, ..., aa, ab, ...: as short as there are."""
    longer = [""]
    while True:
        longer = [name + letter for name in longer for letter in (_NEXT if name else _FIRST)]
        yield from longer


def _replace(field: object, kept: list[onnx.NodeProto]) -> None:
    """A repeated field's messages by some of its own."""
    copies = [type(each).FromString(each.SerializeToString()) for each in kept]
    del field[:]  # type: ignore[attr-defined]
    field.extend(copies)  # type: ignore[attr-defined]
