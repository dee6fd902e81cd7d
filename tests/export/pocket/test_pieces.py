"""The pocket model's text pieces."""

from pathlib import Path

import numpy as np
import pytest

from engines.text.tokenizer import TextTokenizer
from export.pocket import pieces as room
from export.pocket.pieces import Pieces, make_pieces

TEXTS = (
    "The birch canoe slid on the smooth planks.",
    "Don't you know they've left, and I'm late?",
    "Wait... what did the boys' dog bring home today?",
    "Rice is often served in round bowls, isn't it!",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tokenizer")
    patch = pytest.MonkeyPatch()
    with patch.context() as context:
        context.setattr(room, "texts", lambda seed: (("general", text) for text in TEXTS * 20))
        make_pieces(out, 320, seed=1)
    return out


def test_pieces_word_by_word_are_the_engines_own_ids(folder: Path) -> None:
    pieces, engine = Pieces(folder), TextTokenizer(folder)
    for text in (*TEXTS, "A zebra's quiz-like jump, vexing Kafka's owl."):
        words = pieces.encode(text)
        assert [piece for word in words for piece in word] == engine.encode(text)
        assert len(words) == len(text.split())


def test_dropped_merges_give_other_cuts_of_the_same_text(folder: Path) -> None:
    pieces = Pieces(folder)
    spelling = {number: piece for piece, number in pieces.ids.items()}
    plain = pieces.encode(TEXTS[0])
    cuts = [pieces.encode(TEXTS[0], 0.2, np.random.default_rng(seed)) for seed in range(20)]
    assert any(cut != plain for cut in cuts)
    for cut in cuts:
        assert "".join(spelling[piece] for word in cut for piece in word).replace("Ġ", " ") == TEXTS[0]
        assert len(cut) == len(plain)
    assert cuts[3] == pieces.encode(TEXTS[0], 0.2, np.random.default_rng(3))


def test_pieces_that_are_there_are_kept(folder: Path) -> None:
    before = (folder / "vocab.json").read_bytes()
    make_pieces(folder, 400, seed=2)
    assert (folder / "vocab.json").read_bytes() == before
