"""The pocket model's text pieces: a BPE of about a thousand, and its dropout in training.

BPE dropout (Provilkov et al., arXiv:1910.13267): a merge is skipped now and then, so that a word is
met in many cuts and a rare word's letters are known.
"""

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import islice, pairwise
from pathlib import Path

import numpy as np

from engines.model import TOKENIZER_FILES
from export.pocket.texts import texts
from export.random_tokenizer import train_tokenizer

_TEXTS = 60_000
_WORD = re.compile(r"'(?:s|t|re|ve|m|ll|d)| ?[A-Za-z]+| ?[^\sA-Za-z]+|\s+(?!\S)|\s+")
"""GPT-2's cutting, of texts that hold nothing but letters, blanks and punctuation."""

_BLANK = "Ġ"


def make_pieces(folder: Path, text_codes: int, seed: int) -> None:
    """Train the BPE on texts like the corpus', where there is none yet."""
    if (folder / TOKENIZER_FILES[0]).is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    train_tokenizer(folder, text_codes, (text for _, text in islice(texts(seed), _TEXTS)))


class Pieces:
    """The trained BPE, word by word, so that a piece's word is known and merges can be dropped."""

    def __init__(self, folder: Path) -> None:
        vocab, merges, _ = TOKENIZER_FILES
        self.ids: dict[str, int] = json.loads((folder / vocab).read_text("utf-8"))
        lines = (folder / merges).read_text("utf-8").splitlines()[1:]
        self._ranks = {tuple(line.split(" ")): rank for rank, line in enumerate(lines)}
        self._whole = lru_cache(200_000)(self._merge)

    def encode(
        self, text: str, dropout: float = 0.0, draw: np.random.Generator | None = None
    ) -> list[list[int]]:
        """Ids by blank-separated word of ``text``; the blank before a word is its own."""
        words: list[list[int]] = []
        for each in _WORD.findall(text):
            if each.startswith(" ") or not words:
                words.append([])
            piece = each.replace(" ", _BLANK)
            if draw is not None and draw.random() < 4 * dropout:  # in a quarter of words one merge in four
                words[-1] += self._merge(piece, draw)
            else:
                words[-1] += self._whole(piece)
        return words

    def _merge(self, word: str, draw: np.random.Generator | None = None) -> Sequence[int]:
        parts = list(word)
        while len(parts) > 1:
            pairs = [(self._ranks.get(pair), i) for i, pair in enumerate(pairwise(parts))]
            there = [(rank, i) for rank, i in pairs if rank is not None]
            known = [each for each in there if draw is None or draw.random() > 0.25]
            if not known:
                break
            _, at = min(known)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        return tuple(self.ids[part] for part in parts)
