"""What T3 is trained on."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from export.pocket import sequences as room
from export.pocket.corpus import Utterance
from export.pocket.model import CODES, POCKET
from export.pocket.pieces import Pieces
from export.pocket.sequences import Batches, Example, collate, read_examples
from export.pocket.speech import PHONES
from tests.export.pocket.made_sequences import TEXT, example, make_examples, make_pieces_for


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Pieces:
    return make_pieces_for(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    return make_examples()


def test_a_row_is_the_sequence_that_the_engine_makes(pieces: Pieces, examples: list[Example]) -> None:
    batch = Batches(examples, pieces, seed=0).rows(examples[:1])
    config = POCKET.t3
    ids, targets = batch["ids"][0].numpy(), batch["targets"][0].numpy()
    said = examples[0].codes.astype(int)
    text = [piece for word in pieces.encode(TEXT) for piece in word]
    start = 1 + config.prompt_tokens + len(text)
    prompt = ids[1 : 1 + config.prompt_tokens] - config.first_speech_id
    assert ids[0] == config.speaker_id
    assert any((prompt == each.codes[: len(prompt)]).all() for each in examples if each.voice == 0)
    assert ids[1 + config.prompt_tokens : start].tolist() == text
    assert ids[start] == config.first_speech_id + config.start_code
    assert (ids[start + 1 :] - config.first_speech_id == said).all()
    assert (targets[:start] == -100).all()
    assert targets[start:].tolist() == [*said, config.stop_code], "each place's target is the next code"


def test_guided_heads_are_shown_the_piece_of_the_word_being_said(
    pieces: Pieces, examples: list[Example]
) -> None:
    batch = Batches(examples, pieces, seed=0).rows(examples[:1])
    words = pieces.encode(TEXT)
    first = 1 + POCKET.t3.prompt_tokens
    looks = batch["looks"][0].numpy()
    shown = looks[looks >= 0]
    assert len(shown) == len(examples[0].codes)
    ends = first + np.cumsum([len(word) for word in words])
    starts = ends - [len(word) for word in words]
    for place, word in zip(shown, examples[0].words, strict=True):
        assert starts[word] <= place < ends[word]
    assert (np.diff(shown) >= 0).all(), "it reads on"


def test_training_corrupts_some_codes_that_t3_hears_and_none_that_it_is_to_say(
    pieces: Pieces, examples: list[Example]
) -> None:
    batches = Batches(examples * 20, pieces, seed=0)
    wrong = heard = 0
    for step in range(len(batches)):
        batch = batches.at(step, np.random.default_rng(step))
        ids, targets = batch["ids"].numpy(), batch["targets"].numpy()
        for row in range(len(ids)):
            start = int(np.flatnonzero(targets[row] != -100)[0])
            said = targets[row][targets[row] != -100][:-1]
            told = ids[row, start + 1 : start + 1 + len(said)] - POCKET.t3.first_speech_id
            assert ((told >= 0) & (told < CODES)).all()
            wrong += int((told != said).sum())
            heard += len(said)
    assert 0.5 * room.CORRUPTED_CODES < wrong / heard < 1.2 * room.CORRUPTED_CODES


def test_batches_are_full_and_every_example_comes_once_an_epoch(pieces: Pieces) -> None:
    made = [example(i % 2, 20 + 3 * i, i) for i in range(60)]
    batches = Batches(made, pieces, seed=4)
    rows = []
    for step in range(len(batches)):
        batch = batches.at(step, np.random.default_rng(0))
        assert batch["ids"].numel() <= 1.2 * room.POSITIONS_A_BATCH
        rows += [int((targets != -100).sum()) - 1 for targets in batch["targets"]]
    assert sorted(rows) == sorted(len(each.codes) for each in made)
    first = batches.at(0, np.random.default_rng(0))["ids"]
    again = batches.at(len(batches), np.random.default_rng(0))["ids"]
    assert first.shape != again.shape or not torch.equal(first, again), "another epoch, another order"


def test_examples_say_which_word_each_code_is_of_and_leave_out_kept_texts(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "features").mkdir()
    phones, ends, words = ("r", "eh1", "pau", "f", "ih1"), (0.11, 0.2, 0.4, 0.51, 0.6), (0, 0, -1, 1, 1)
    kept = Utterance("awb", "words", "Red fish.", 0, 9_600, phones, ends, words)
    other = Utterance("awb", "words", "Blue fish.", 0, 9_600, phones, ends, words)
    lines = "\n".join(json.dumps(asdict(each)) for each in (kept, other))
    (tmp_path / "corpus/000.jsonl").write_text(lines + "\n")
    np.zeros(9_600, np.int16).tofile(tmp_path / "corpus/000.pcm")
    np.zeros(120, np.float16).tofile(tmp_path / "corpus/000.pitch")
    np.arange(30, dtype=np.int16).tofile(tmp_path / "features/000.codes")
    (tmp_path / "features/000.frames.json").write_text("[[0, 15], [15, 15]]")
    (found,) = read_examples(tmp_path, [0], frozenset({"red fish"}))
    assert (found.text, found.voice) == ("Blue fish.", 1)
    assert found.codes.tolist() == list(range(15, 30))
    assert found.words.tolist() == [0] * 5 + [1] * 10, "a pause is of the word behind it"
    assert [PHONES[i] for i in found.phones] == ["r"] * 3 + ["eh"] * 2 + ["pau"] * 5 + ["f"] * 3 + ["ih"] * 2
    assert PHONES[found.next_phones[0]] == "eh"
    assert PHONES[found.next_phones[-1]] == "pau"
    assert 0 <= found.parts.min() <= found.parts.max() <= 1


def test_rows_of_unequal_length_are_padded_and_their_padding_is_not_learnt(
    pieces: Pieces, examples: list[Example]
) -> None:
    batches = Batches(examples, pieces, seed=0)
    rows = [batches._row(each, np.random.default_rng(0), plain=True) for each in (examples[0], examples[7])]
    batch = collate(rows)
    short = len(rows[0].ids)
    assert batch["ids"].shape[1] == len(rows[1].ids) > short
    for name in ("targets", "phones", "next_phones"):
        assert (batch[name][0, short:] == -100).all()
    assert (batch["looks"][0, short - 1 :] < 0).all()
