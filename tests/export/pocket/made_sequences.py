"""Utterances of one text with codes that mean nothing, and pieces for that text."""

from pathlib import Path

import numpy as np
import pytest

from export.pocket import pieces as pieces_room
from export.pocket.model import CODES
from export.pocket.pieces import Pieces, make_pieces
from export.pocket.sequences import Example
from export.pocket.speech import PHONES

TEXT = "Red fish, blue fish."
EXAMPLES = 8


def make_pieces_for(folder: Path) -> Pieces:
    """A BPE that knows TEXT."""
    with pytest.MonkeyPatch.context() as context:
        context.setattr(pieces_room, "texts", lambda seed: (("general", TEXT) for _ in range(20)))
        make_pieces(folder, 300, seed=1)
    return Pieces(folder)


def example(voice: int, codes: int, seed: int = 0) -> Example:
    draw = np.random.default_rng(seed)
    words = np.minimum(np.arange(codes) * 4 // codes, 3).astype(np.int16)
    return Example(
        voice=voice,
        text=TEXT,
        codes=draw.integers(0, CODES, codes).astype(np.int16),
        words=words,
        parts=(np.arange(codes) * 4 / codes % 1).astype(np.float32),
        phones=draw.integers(0, len(PHONES), codes).astype(np.int16),
        next_phones=draw.integers(0, len(PHONES), codes).astype(np.int16),
    )


def make_examples() -> list[Example]:
    """In both voices in turn, each a code longer than the one before."""
    return [example(i % 2, 50 + i, i) for i in range(EXAMPLES)]
