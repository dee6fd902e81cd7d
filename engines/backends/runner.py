"""What runs the graphs: one narrow face over torch modules, ONNX sessions and TensorRT plans."""

from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

Tensors = Mapping[str, NDArray[Any]]


class Runner(Protocol):
    """Runs graphs by name with the inputs and outputs of engines.backends.signature.

    Calls for different graphs may come from different threads: enrolling a voice runs beside speech.
    """

    @property
    def compute_dtype(self) -> Any:
        """numpy's dtype of `compute` tensors, so that stores of them need no conversion."""
        ...

    def has(self, graph: str) -> bool: ...

    def run(self, graph: str, inputs: Tensors) -> dict[str, NDArray[Any]]:
        """Outputs by name. float32 given for `compute` inputs is converted."""
        ...
