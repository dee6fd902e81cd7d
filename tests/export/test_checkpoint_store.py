"""A graph reads its weights from the checkpoint's own files, to the last bit, and the rest from its own."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from engines.nets.weights import fold_weight_norm
from export.checkpoint import write_tensors
from export.checkpoint_store import REST_FILE, CheckpointStore
from export.onnx_graphs import write_graph

Array = NDArray[Any]
FILE = "weights.safetensors"
DRAW = np.random.default_rng(0)


def halves(*shape: int) -> Array:
    return DRAW.standard_normal(shape).astype(np.float16).astype(np.float32)


MATRIX, BIAS, KERNEL = halves(24, 16), halves(96), halves(32, 8, 1)
TEXT, SPEECH = halves(300, 48), halves(100, 48)
DIRECTION, MAGNITUDE = halves(16, 4, 3), halves(16, 1, 1)
FOLDED = fold_weight_norm(torch.from_numpy(MAGNITUDE), torch.from_numpy(DIRECTION)).numpy()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tensors = {
        "matrix": MATRIX,
        "bias": BIAS,
        "kernel": KERNEL,
        "text_emb.weight": TEXT,
        "speech_emb.weight": SPEECH,
        "conv.parametrizations.weight.original0": MAGNITUDE,
        "conv.parametrizations.weight.original1": DIRECTION,
    }
    write_tensors(
        tmp_path / FILE, {name: torch.from_numpy(array) for name, array in tensors.items()}, "float16"
    )
    return tmp_path


def stored(folder: Path, array: Array) -> tuple[onnx.ModelProto, tuple[str, ...], int]:
    """A graph that gives ``array``, its weight in the store: it, the files it reads, the rest's bytes."""
    dtype = helper.np_dtype_to_tensor_dtype(array.dtype)
    node = helper.make_node("Identity", ["weight"], ["y"])
    y = helper.make_tensor_value_info("y", dtype, array.shape)
    made = helper.make_graph([node], "made", [], [y], [numpy_helper.from_array(array, "weight")])
    graph = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    with CheckpointStore(folder, [FILE]) as store:
        files = write_graph(graph, folder / "made.onnx", store)
    return graph, files, (folder / REST_FILE).stat().st_size


def given(folder: Path) -> Array:
    session = onnxruntime.InferenceSession(folder / "made.onnx", providers=["CPUExecutionProvider"])
    array: Array = session.run(["y"], {})[0]
    return array


IN_THE_CHECKPOINT = {
    "as it is": (BIAS, ["Cast"]),
    "in another shape": (KERNEL[..., 0], ["Cast"]),
    "the other way round": (MATRIX.T.copy(), ["Cast", "Transpose"]),
    "a kernel as a matrix, the other way round": (KERNEL[..., 0].T.copy(), ["Cast", "Transpose"]),
}


@pytest.mark.parametrize("name", IN_THE_CHECKPOINT)
def test_what_the_checkpoint_holds_is_not_written_again(folder: Path, name: str) -> None:
    array, ops = IN_THE_CHECKPOINT[name]
    graph, files, rest_bytes = stored(folder, array)
    assert files == (FILE,)
    assert rest_bytes == 0
    assert [node.op_type for node in graph.graph.node] == [*ops, "Identity"]
    np.testing.assert_array_equal(given(folder), array)


def test_a_weight_norm_is_folded_by_the_graph(folder: Path) -> None:
    graph, files, rest_bytes = stored(folder, FOLDED)
    assert [node.op_type for node in graph.graph.node] == ["Cast", "Mul", "Identity"]
    assert files == (REST_FILE, FILE)
    assert rest_bytes == 4 * len(MAGNITUDE)  # a scale for each channel
    np.testing.assert_array_equal(given(folder), FOLDED)


def test_a_table_of_two_tables_and_a_row_of_its_own_is_put_together(folder: Path) -> None:
    table = np.concatenate((TEXT, SPEECH, np.zeros((1, 48), np.float32)))
    graph, _, rest_bytes = stored(folder, table)
    assert [node.op_type for node in graph.graph.node] == ["Cast", "Cast", "Cast", "Concat", "Identity"]
    assert rest_bytes == 2 * 48
    np.testing.assert_array_equal(given(folder), table)


def test_what_no_tensor_makes_is_kept_by_itself(folder: Path) -> None:
    other = DRAW.standard_normal((40, 30)).astype(np.float32)  # no float16
    graph, files, rest_bytes = stored(folder, other)
    assert (files, rest_bytes) == ((REST_FILE,), other.nbytes)
    assert [node.op_type for node in graph.graph.node] == ["Identity"]
    np.testing.assert_array_equal(given(folder), other)


def test_what_is_kept_by_itself_takes_half_where_that_is_exact(folder: Path) -> None:
    other = halves(40, 30)
    _, files, rest_bytes = stored(folder, other)
    assert (files, rest_bytes) == ((REST_FILE,), other.nbytes // 2)
    np.testing.assert_array_equal(given(folder), other)


@pytest.mark.parametrize(
    "array", [np.full((40, 30), 1e6, np.float32), np.arange(400)], ids=["large", "whole"]
)
def test_what_float16_does_not_hold_stays_as_it_is(folder: Path, array: Array) -> None:
    _, _, rest_bytes = stored(folder, array)
    assert rest_bytes == array.nbytes
    np.testing.assert_array_equal(given(folder), array)


def test_small_tensors_stay_in_the_graph(folder: Path) -> None:
    graph, files, rest_bytes = stored(folder, BIAS[:8])
    assert (files, rest_bytes) == ((), 0)
    assert len(graph.graph.initializer[0].raw_data) == 32


def test_a_weight_off_by_a_bit_is_not_taken_for_the_checkpoints(folder: Path) -> None:
    other = BIAS.copy()
    other[5] = np.nextafter(other[5], 9, dtype=np.float32)
    stored(folder, other)
    np.testing.assert_array_equal(given(folder), other)
