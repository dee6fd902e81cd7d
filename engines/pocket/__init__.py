"""The pocket voice: a miniature Chatterbox as package data: a checkpoint and its graphs in one."""

from pathlib import Path


def pocket_folder() -> Path:
    """Where it lies, for both `onnx` and `pytorch`; MODEL_CARD.md beside it says what it is."""
    return Path(__file__).parent
