"""One file of weights for a family of graphs: what two of them hold is written once."""

import hashlib
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import onnx
from onnx import external_data_helper, numpy_helper

ALIGNED_BYTES = 4_096
"""Tensors begin on a page, so that a runtime can map them; smaller ones stay in their graph."""


class Store(Protocol):
    """Where a graph's large tensors go."""

    def take_from(self, graph: onnx.ModelProto) -> tuple[str, ...]:
        """Replace them by places in files, which are returned by name."""
        ...

    def flush(self) -> None: ...


class WeightStore:
    """A file of tensors under their content's hash. Used in a `with`; graphs refer to it by its name."""

    def __init__(self, path: Path, aligned_bytes: int = ALIGNED_BYTES) -> None:
        self.path = path
        self._aligned_bytes = aligned_bytes
        self._file = path.open("xb")
        self._places: dict[bytes, int] = {}

    def take_from(self, graph: onnx.ModelProto) -> tuple[str, ...]:
        """Move the large tensors out of ``graph``, which keeps their places; returns the files it reads."""
        large = [each for each in graph.graph.initializer if _bytes(each) >= ALIGNED_BYTES]
        for tensor in large:
            content = numpy_helper.to_array(tensor).tobytes()
            tensor.raw_data = b""  # the helper wants a tensor whose content is raw
            place = self.place(content)
            external_data_helper.set_external_data(tensor, self.path.name, place, len(content))
            for kind in ("raw_data", "float_data", "int32_data", "int64_data"):
                tensor.ClearField(kind)
        return (self.path.name,) if large else ()

    def flush(self) -> None:
        """What was taken can be read from the file."""
        self._file.flush()

    def place(self, content: bytes) -> int:
        """Where ``content`` lies in the file, which it is added to if it is new."""
        key = hashlib.sha256(content).digest()
        if key not in self._places:
            self._file.write(b"\0" * (-self._file.tell() % self._aligned_bytes))
            self._places[key] = self._file.tell()
            self._file.write(content)
        return self._places[key]

    def __enter__(self) -> "WeightStore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _bytes(tensor: Any) -> int:
    itemsize: int = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    elements = 1
    for dimension in tensor.dims:
        elements *= dimension
    return elements * itemsize
