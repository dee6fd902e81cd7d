"""The tiny model and what is exported from it, made once for all tests of a process."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from export.folder import ExportPlan, export_folder
from tests.fakes.tiny_model import tiny_checkpoint


@cache
def tiny_weights() -> Path:
    """Folder of the tiny model's weights; leave it as it is."""
    folder = Path(tempfile.mkdtemp(prefix="talkspurt-tiny-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return tiny_checkpoint(folder / "weights")


def tiny_export(*, half: bool = False) -> Path:
    """Folder of its graphs, in float32 with 8-bit T3 besides, or in float16; leave it as it is."""
    return _export(half)


@cache
def _export(half: bool) -> Path:
    weights = tiny_weights()
    out = weights.with_name("half" if half else "graphs")
    export_folder(ExportPlan(weights, out, half=half, int8=not half))
    return out
