"""A slimmed graph is the same function in fewer bytes."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.slim import slim

FLOAT = TensorProto.FLOAT


def constant(name: str, *values: float) -> onnx.NodeProto:
    tensor = numpy_helper.from_array(np.array(values, np.float32), f"{name}/value")
    return helper.make_node("Constant", [], [name], value=tensor)


@pytest.fixture
def traced() -> onnx.ModelProto:
    """y = (x + 2) * (x + 2) and z = x + 2, written as tracing writes."""
    nodes = [
        constant("/scope/two", 2),
        constant("/scope/other/two", 2),
        helper.make_node("Add", ["x", "/scope/two"], ["/scope/sum"], name="/scope/Add", doc_string="line 3"),
        helper.make_node("Add", ["x", "/scope/other/two"], ["/scope/other/sum"], name="/scope/other/Add"),
        helper.make_node("Mul", ["/scope/sum", "/scope/other/sum"], ["y"], name="/scope/Mul"),
        helper.make_node("Add", ["x", "/scope/two"], ["z"], name="/scope/third/Add"),
    ]
    x, *outputs = (helper.make_tensor_value_info(name, FLOAT, ["B"]) for name in "xyz")
    inner = helper.make_tensor_value_info("/scope/sum", FLOAT, ["B"])
    graph = helper.make_graph(nodes, "main_graph", [x], outputs, value_info=[inner])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def run(graph: onnx.ModelProto) -> list[list[float]]:
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(["y", "z"], {"x": np.array([1.0, 3.0], np.float32)})
    return [each.tolist() for each in found]


def test_it_computes_what_it_computed(traced: onnx.ModelProto) -> None:
    before = run(traced)
    slim(traced)
    onnx.checker.check_model(traced, full_check=True)
    assert run(traced) == before == [[9, 25], [3, 5]]


def test_what_is_equal_is_there_once_and_outputs_stay(traced: onnx.ModelProto) -> None:
    slim(traced)
    assert [node.op_type for node in traced.graph.node] == ["Add", "Mul", "Add"]
    assert [numpy_helper.to_array(each).tolist() for each in traced.graph.initializer] == [[2]]
    assert [value.name for value in traced.graph.output] == ["y", "z"]


def test_no_words_are_left_but_the_signatures(traced: onnx.ModelProto) -> None:
    slim(traced)
    assert not any(node.name or node.doc_string for node in traced.graph.node)
    assert not traced.graph.value_info
    assert b"scope" not in traced.SerializeToString()


def test_nodes_that_differ_in_an_attribute_both_stay() -> None:
    nodes = [helper.make_node("Softmax", ["x"], [name], axis=axis) for name, axis in (("a", 0), ("b", 1))]
    nodes.append(helper.make_node("Sub", ["a", "b"], ["y"]))
    x, y = (helper.make_tensor_value_info(name, FLOAT, [2, 2]) for name in "xy")
    graph = helper.make_model(helper.make_graph(nodes, "made", [x], [y]))
    slim(graph)
    assert [node.op_type for node in graph.graph.node] == ["Softmax", "Softmax", "Sub"]


def test_tensors_of_equal_bytes_and_other_shapes_both_stay() -> None:
    arrays = [np.zeros(4, np.float32), np.zeros((2, 2), np.float32), np.zeros(4, np.int32)]
    tensors = [numpy_helper.from_array(array, f"t{i}") for i, array in enumerate(arrays)]
    graph = helper.make_model(helper.make_graph([], "made", [], [], tensors))
    slim(graph)
    assert len(graph.graph.initializer) == 3
