"""Graphs beside the weights they are made of: one folder that is a checkpoint, and an export of it.

A checkpoint in float16 is read by the backend pytorch as it is; with graphs whose weights lie in its very
files (export.checkpoint_store) the backend onnx speaks from it too, for a few megabytes more.
"""

from collections.abc import Callable
from pathlib import Path

from engines.backends.manifest import GraphRecord, Manifest
from engines.model import MODEL_FILE, S3GEN_FILE, VOICE_ENCODER_FILE
from engines.nets.build import graphs, load_nets
from engines.nets.graph_specs import graph_specs
from engines.voices.files import shipped_voices
from export.checkpoint_store import REST_FILE, CheckpointStore
from export.folder import FAMILIES, tokenizer_files, write_manifest
from export.onnx_graphs import export_graph, write_graph
from export.slim import slim


def export_beside(folder: Path, progress: Callable[[str], None] = lambda graph: None) -> Manifest:
    """Write every graph of the checkpoint in ``folder`` into it, and the manifest of them all.

    Raises ConfigError for weights that do not load, FileExistsError where an export lies there already.
    """
    nets = load_nets(folder)
    weights = (nets.model.t3_file, S3GEN_FILE, VOICE_ENCODER_FILE)
    specs, modules = graph_specs(nets.model), graphs(nets)
    records: dict[str, GraphRecord] = {}
    with CheckpointStore(folder, weights) as store:
        for name in FAMILIES:
            progress(name)
            graph = export_graph(modules[name], specs[name], nets.model, half=False)
            slim(graph)
            file = f"{name}.onnx"
            records[name] = GraphRecord(file, write_graph(graph, folder / file, store), specs[name])
    tokenizer, voices = tokenizer_files(folder), shipped_voices(folder)
    graph_files = [record.file for record in records.values()]
    return write_manifest(
        folder,
        nets.model,
        precision="float32",
        sources=folder,
        graphs=records,
        tokenizer=tokenizer,
        voices=voices,
        files=sorted((MODEL_FILE, *weights, REST_FILE, *graph_files, *tokenizer, *voices)),
    )
