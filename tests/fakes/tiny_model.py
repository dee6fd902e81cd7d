"""A random Chatterbox of two million numbers, in a folder like the published ones."""

from pathlib import Path

from export.random_weights import write_random
from export.tiny import TINY

__all__ = ["TINY", "tiny_checkpoint"]


def tiny_checkpoint(folder: Path, *, seed: int = 0, never_stops: bool = False) -> Path:
    """Writes the model ``folder`` (0.1 s), which is made if need be, and returns it."""
    write_random(folder, TINY, seed, never_stops=never_stops)
    return folder
