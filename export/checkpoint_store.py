"""Graphs whose weights lie in a checkpoint's own files: what is written there is not written again.

A safetensors file is a header and raw tensors one behind the other, and ONNX's external data is a file, an
offset and a length: an initializer can be a float16 tensor of the checkpoint. Nodes behind it make of it
what the net made of it when it was read: float32, its other orientation, a weight norm folded, a table
of two. Runtimes compute those once, when they open the graph. What no tensor of the checkpoint makes,
bit for bit, goes into a file of its own.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from engines.nets.weights import weight_norm_scale
from export.weight_store import WeightStore

REST_FILE = "graphs.data"
REST_ALIGNED_BYTES = 64

_INLINE_BYTES = 192
"""Smaller tensors stay in their graph: to say where they lie would take as much."""

_TABLE_BYTES = 1 << 16  # a tensor of several of the checkpoint's is larger than this

_MAGNITUDE, _DIRECTION = (f".parametrizations.weight.original{i}" for i in (0, 1))

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Piece:
    """A float16 tensor in a file, and what makes a net's weight of it."""

    file: str
    offset: int  # in bytes, from the file's first
    shape: tuple[int, ...]
    is_transposed: bool = False
    scale: Array | None = None  # float32, of each output channel

    @property
    def bytes(self) -> int:
        return 2 * int(np.prod(self.shape))


class CheckpointStore:
    """As WeightStore, for a folder that holds a float16 checkpoint. Used in a `with`."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self._pieces: dict[bytes, Piece] = {}  # by the content of the weight that they make
        self._rows: dict[bytes, tuple[Piece, Array]] = {}  # by the content of their first row
        self._rest = WeightStore(folder / REST_FILE, aligned_bytes=REST_ALIGNED_BYTES)
        for name in names:
            self._index(folder / name)

    def take_from(self, graph: onnx.ModelProto) -> tuple[str, ...]:
        """Point the large tensors of ``graph`` at the files; returns those that it reads."""
        added = _Added(graph.graph, self._rest)
        kept = []
        for tensor in graph.graph.initializer:
            array = numpy_helper.to_array(tensor)
            if array.nbytes < _INLINE_BYTES:
                kept.append(_copy(tensor))
            elif array.dtype == np.float32:
                added.concatenate(tensor.name, array.shape, list(self._made_of(array)))
            else:
                added.rest(array, tensor.name)
        del graph.graph.initializer[:]
        graph.graph.initializer.extend([*kept, *added.tensors])
        nodes = [_copy(node) for node in graph.graph.node]
        del graph.graph.node[:]
        graph.graph.node.extend([*added.nodes, *nodes])
        return tuple(sorted(added.files))

    def flush(self) -> None:
        """What was taken can be read from the files."""
        self._rest.flush()

    def _made_of(self, array: Array) -> Iterator[Piece | Array]:
        """The tensors that make this weight, by rows where they are several."""
        whole = self._pieces.get(_content(array))
        if whole is not None:
            yield whole
            return
        start = 0
        if array.ndim == 2 and array.nbytes >= _TABLE_BYTES:
            for row in range(len(array)):
                piece, values = self._rows.get(_content(array[row]), (None, array[:0]))
                if (
                    row >= start
                    and piece is not None
                    and np.array_equal(array[row : row + len(values)], values)
                ):
                    if start < row:
                        yield array[start:row]
                    yield piece
                    start = row + len(values)
        if start < len(array):
            yield array[start:]

    def _index(self, path: Path) -> None:
        tensors = dict(_read_halves(path))
        for key, (piece, values) in tensors.items():
            magnitude = tensors.get(key.removesuffix(_DIRECTION) + _MAGNITUDE)
            if key.endswith(_DIRECTION) and magnitude is not None:
                scale = weight_norm_scale(torch.from_numpy(magnitude[1]), torch.from_numpy(values)).numpy()
                folded = Piece(piece.file, piece.offset, piece.shape, scale=scale)
                self._pieces[_content(scale * values)] = folded
            self._pieces.setdefault(_content(values), piece)
            if values.ndim >= 2 and values.size == values.shape[0] * values.shape[1]:
                matrix = values.reshape(values.shape[:2])
                other = Piece(piece.file, piece.offset, matrix.shape, is_transposed=True)
                self._pieces.setdefault(_content(matrix.T), other)
                self._rows.setdefault(_content(matrix[0]), (piece, matrix))

    def __enter__(self) -> "CheckpointStore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rest.__exit__(kind, error, trace)


class _Added:
    """What a graph gets in place of its large tensors."""

    def __init__(self, graph: onnx.GraphProto, rest: WeightStore) -> None:
        self.tensors: list[TensorProto] = []
        self.nodes: list[onnx.NodeProto] = []
        self.files: set[str] = set()
        self._rest = rest
        self._names = (f"_{i}" for i in range(1 << 30))  # none that a graph has by itself

    def concatenate(self, name: str, shape: tuple[int, ...], parts: list[Piece | Array]) -> None:
        """``name`` made of ``parts``, one below the other."""
        if len(parts) == 1:
            self._weight(parts[0], name, shape)
            return
        names = [self._weight(part, next(self._names), part.shape) for part in parts]
        self.nodes.append(helper.make_node("Concat", names, [name], axis=0))

    def rest(self, array: Array, name: str) -> None:
        """A tensor as it is, in the file of what the checkpoint does not hold."""
        content = np.ascontiguousarray(array).tobytes()
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        self._external(name, kind, array.shape, self._rest.path.name, self._rest.place(content), len(content))

    def _weight(self, part: Piece | Array, name: str, shape: tuple[int, ...]) -> str:
        if isinstance(part, Piece):
            self._piece(part, name, shape)
        else:
            with np.errstate(over="ignore"):
                half = part.astype(np.float16)
            if np.array_equal(half.astype(np.float32), part):
                self._widened(name, lambda inner: self.rest(half, inner))
            else:
                self.rest(part, name)
        return name

    def _piece(self, piece: Piece, name: str, shape: tuple[int, ...]) -> None:
        in_file = piece.shape if piece.is_transposed else shape
        wide = name if not piece.is_transposed and piece.scale is None else next(self._names)
        self._widened(
            wide,
            lambda inner: self._external(
                inner, TensorProto.FLOAT16, in_file, piece.file, piece.offset, piece.bytes
            ),
        )
        if piece.is_transposed:
            self.nodes.append(helper.make_node("Transpose", [wide], [name], perm=[1, 0]))
        elif piece.scale is not None:
            scale = next(self._names)
            self.rest(piece.scale, scale)
            self.nodes.append(helper.make_node("Mul", [scale, wide], [name]))

    def _widened(self, name: str, add: Any) -> None:
        """A float16 tensor by ``add(its name)``, and ``name`` as its float32."""
        inner = next(self._names)
        add(inner)
        self.nodes.append(helper.make_node("Cast", [inner], [name], to=TensorProto.FLOAT))

    def _external(
        self, name: str, kind: int, shape: tuple[int, ...], file: str, offset: int, length: int
    ) -> None:
        tensor = TensorProto(name=name, data_type=kind, dims=shape, raw_data=b"")
        external_data_helper.set_external_data(tensor, file, offset, length)
        tensor.ClearField("raw_data")
        self.tensors.append(tensor)
        self.files.add(file)


def _read_halves(path: Path) -> Iterator[tuple[str, tuple[Piece, Array]]]:
    """Every float16 tensor of a safetensors file: its key, where it lies, and its values in float32."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    for key, told in json.loads(content[8:start]).items():
        if told.get("dtype") == "F16":
            offset = start + told["data_offsets"][0]
            shape = tuple(told["shape"])
            values = np.frombuffer(content, "<f2", int(np.prod(shape)), offset).astype(np.float32)
            yield key, (Piece(path.name, offset, shape), values.reshape(shape))


def _content(array: Array) -> bytes:
    """Of its numbers alone: the same ones in another shape are the same."""
    return hashlib.sha256(np.ascontiguousarray(array, np.float32).tobytes()).digest()


def _copy(message: Any) -> Any:
    return type(message).FromString(message.SerializeToString())
