"""T3 with 8-bit weights, for ONNX Runtime's CPU kernels: a third of the bytes that each token reads.

Dynamic quantisation: matrices are kept in 8 bits, a scale for each output channel; what they are
multiplied with is brought to 8 bits as it comes. Scores of attention, norms and tables stay float32.
"""

import logging
import tempfile
import warnings
from pathlib import Path

import onnx

_KEPT = "spkr_enc"
"""The speaker's projection runs once per text, and all that is said depends on it."""


def quantised(path: Path) -> onnx.ModelProto:
    """The graph at ``path``, its matrices in 8 bits, with all weights inside."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises, through the root logger, to preprocess the graph
    try:
        with tempfile.TemporaryDirectory(dir=path.parent) as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            out = Path(folder) / "quantised.onnx"
            graph = onnx.load(path)
            kept = [node.name for node in graph.graph.node if any(_KEPT in name for name in node.input)]
            kept += [f"{name}_MatMul" for name in kept]  # what a Gemm becomes before it is looked at
            quantize_dynamic(
                graph,
                out,
                nodes_to_exclude=kept,
                op_types_to_quantize=["MatMul"],
                per_channel=True,
                weight_type=QuantType.QInt8,
                use_external_data_format=True,
                extra_options={"MatMulConstBOnly": True},
            )
            return onnx.load(out)
    finally:
        root.setLevel(level)
