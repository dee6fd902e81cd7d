"""What T3 is trained on: utterances as sequences of text pieces and speech codes, in even batches."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engines.rates import TOKEN_HZ
from export.pocket.corpus import Shard, Utterance
from export.pocket.flite import PAUSE, VOICES
from export.pocket.model import CODES, DIGITS, POCKET
from export.pocket.pieces import Pieces
from export.pocket.speech import PHONES
from export.pocket.texts import bare

POSITIONS_A_BATCH = 3_600
DROPPED_MERGES = 0.03
CORRUPTED_CODES = 0.04
"""Of the codes that T3 is told it has said: what it says itself is not always right either."""

IGNORED = -100
"""As a target: nothing is to be learnt here."""


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One utterance as T3 learns it."""

    voice: int
    text: str
    codes: NDArray[np.int16]  # (P,)
    words: NDArray[np.int16]  # (P,) the word being said at each code, the next one's in a pause
    parts: NDArray[np.float32]  # (P,) how much of that word has been said
    phones: NDArray[np.int16]  # (P,) in PHONES
    next_phones: NDArray[np.int16]  # (P,)

    @property
    def cost(self) -> int:
        """Positions that it takes in a batch, nearly."""
        return len(self.codes) + len(self.text) // 2


class Batches:
    """Examples of similar length together, in an order told by (seed, epoch)."""

    def __init__(self, examples: Sequence[Example], pieces: Pieces, seed: int) -> None:
        self._examples, self._pieces, self._seed = examples, pieces, seed
        self.prompts = [
            [e for e in examples if e.voice == v and len(e.codes) >= 50] for v in range(len(VOICES))
        ]
        self._groups = self._grouped()

    def __len__(self) -> int:
        return len(self._groups)

    def at(self, step: int, draw: np.random.Generator) -> dict[str, Tensor]:
        """The batch of a step."""
        epoch, place = divmod(step, len(self._groups))
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self._groups))
        group = [self._examples[i] for i in self._groups[order[place]]]
        return collate([self._row(each, draw) for each in group])

    def rows(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        """These as they are: no merges dropped, no codes corrupted."""
        return collate(
            [self._row(each, np.random.default_rng(i), plain=True) for i, each in enumerate(examples)]
        )

    def _grouped(self) -> list[list[int]]:
        shuffled = np.random.default_rng(self._seed).permutation(len(self._examples))
        order = sorted(shuffled, key=lambda i: self._examples[i].cost // 8)
        groups: list[list[int]] = [[]]
        fixed = 2 + POCKET.t3.prompt_tokens
        for i in order:
            longest = max([self._examples[j].cost for j in groups[-1]] + [self._examples[i].cost])
            if (fixed + longest) * (len(groups[-1]) + 1) > POSITIONS_A_BATCH:
                groups.append([])
            groups[-1].append(int(i))
        return groups

    def _row(self, example: Example, draw: np.random.Generator, plain: bool = False) -> "Row":
        config = POCKET.t3
        words = self._pieces.encode(example.text, 0 if plain else DROPPED_MERGES, None if plain else draw)
        heard = self.prompts[example.voice][draw.integers(len(self.prompts[example.voice]))]
        prompt = heard.codes[: config.prompt_tokens].astype(np.int64)
        text = np.array([piece for word in words for piece in word], np.int64)
        said = example.codes.astype(np.int64)
        told = said if plain else _corrupted(said, draw)
        first = config.first_speech_id
        ids = np.concatenate(([config.speaker_id], first + prompt, text, [first + CODES], first + told))
        ends = np.cumsum([len(word) for word in words])
        lengths = np.diff(ends, prepend=0)
        at = example.words
        middle = ends[at] - lengths[at] + np.minimum(example.parts * lengths[at], lengths[at] - 0.01)
        return Row(
            ids, len(ids) - len(said) - 1, np.append(said, CODES + 1), 1 + len(prompt) + middle, example
        )


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One sequence, where its speech begins (at START), what is to follow there on, and where it looks."""

    ids: NDArray[np.int64]
    start: int
    following: NDArray[np.int64]  # codes and STOP
    looks: NDArray[np.float64]  # (P,) a place in the sequence, in pieces and parts of one
    example: Example


def _corrupted(codes: NDArray[np.int64], draw: np.random.Generator) -> NDArray[np.int64]:
    """Some codes a digit off, as a sampler errs."""
    digit = 3 ** draw.integers(0, DIGITS, len(codes))
    other = codes + digit * (draw.integers(1, 3, len(codes)) - 3 * (codes // digit % 3 == 2))
    wrong = draw.random(len(codes)) < CORRUPTED_CODES
    return np.where(wrong & (other >= 0) & (other < CODES), other, codes)


def collate(rows: Sequence[Row]) -> dict[str, Tensor]:
    """ids, targets and looks (B, S), padded on the right; targets are ignored outside speech."""
    longest = max(len(row.ids) for row in rows)
    ids = np.zeros((len(rows), longest), np.int64)
    targets = np.full((len(rows), longest), IGNORED, np.int64)
    phones, next_phones = targets.copy(), targets.copy()
    looks = np.full((len(rows), longest), -1.0, np.float32)
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)] = row.ids
        targets[i, row.start : row.start + len(row.following)] = row.following
        said = slice(row.start, row.start + len(row.looks))
        looks[i, said] = row.looks
        phones[i, said] = row.example.phones
        next_phones[i, said] = row.example.next_phones
    voice = np.array([row.example.voice for row in rows])
    arrays = {"ids": ids, "targets": targets, "looks": looks, "voice": voice}
    arrays |= {"phones": phones, "next_phones": next_phones}
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def read_examples(work: Path, numbers: Sequence[int], banned: frozenset[str]) -> list[Example]:
    """All of some shards but texts that are kept for judging, and what does not fit T3's positions."""
    found = []
    for number in numbers:
        folder = work / "features"
        codes = np.fromfile(folder / f"{number:03}.codes", np.int16)
        places = json.loads((folder / f"{number:03}.frames.json").read_text())
        for utterance, (first, count) in zip(
            Shard.open(work / "corpus", number).utterances, places, strict=True
        ):
            if bare(utterance.text) not in banned:
                found.append(_example(utterance, codes[first : first + count]))
    return [each for each in found if 30 + 1.2 * each.cost < POCKET.t3.positions]


def _example(utterance: Utterance, codes: NDArray[np.int16]) -> Example:
    """Which word each code is of: the one at its middle, or in a pause the next."""
    ends = np.array(utterance.ends_s)
    words = np.array(utterance.words)
    middle_s = (np.arange(len(codes)) + 0.5) / TOKEN_HZ
    at = np.searchsorted(ends, middle_s).clip(max=len(ends) - 1)
    starts = np.concatenate(([0], ends[:-1]))
    last = words.max()
    following = np.minimum.accumulate(np.where(words < 0, last, words)[::-1])[::-1]
    word_start = np.array([starts[words == w].min() for w in range(last + 1)])
    word_end = np.array([ends[words == w].max() for w in range(last + 1)])
    now = following[at]
    part = ((middle_s - word_start[now]) / (word_end[now] - word_start[now] + 1e-6)).clip(0, 1)
    phones = np.array([PHONES.index(phone.rstrip("1")) for phone in (*utterance.phones, PAUSE)], np.int16)
    return Example(
        voice=VOICES.index(utterance.voice),
        text=utterance.text,
        codes=codes,
        words=now.astype(np.int16),
        parts=part.astype(np.float32),
        phones=phones[at],
        next_phones=phones[at + 1],
    )
