"""What the flow is trained on: prompts and windows, laid out as engines.chatterbox.audio lays them out."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engines.model import MEL_BANDS
from engines.rates import MEL_FRAMES_PER_TOKEN
from export.pocket.corpus import Shard
from export.pocket.flite import VOICES
from export.pocket.model import POCKET

BATCH_TOKENS = 600
"""Of all rows of a step, prompts' and windows'."""

PROMPT_TOKENS, LONG_PROMPT_TOKENS = (15, 105), (105, 250)
WINDOW_TOKENS = (10, 120)
NO_PROMPT, LONG_PROMPT, BLOCKED = 0.1, 0.04, 0.5
"""Shares of steps: without a prompt, with a long one, with a prompt that does not see the window."""

FROM_START, TO_END = 0.3, 0.3
"""Shares of windows."""

PROMPT_WEIGHT = 0.1
Codes = NDArray[np.int16]
Mel = NDArray[np.float16]
Pool = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """An utterance as the flow sees it."""

    voice: str
    codes: Codes  # (n,)
    mel: Mel  # (2 n, 80)


@dataclass(frozen=True, slots=True)
class Layout:
    """What the rows of a step have in common, so that none of them is padded."""

    rows: int
    prompt_tokens: int
    window_tokens: int
    blocked_tokens: int

    @classmethod
    def draw(cls, draw: np.random.Generator) -> "Layout":
        kind, prompt = draw.random(), 0
        if kind >= NO_PROMPT:
            low, high = LONG_PROMPT_TOKENS if kind < NO_PROMPT + LONG_PROMPT else PROMPT_TOKENS
            prompt = int(low + (high - low) * draw.random() ** 2)  # mostly short: windows are what counts
        window = int(draw.integers(*WINDOW_TOKENS))
        blocked = max(prompt - POCKET.encoder.lookahead_tokens, 0) if draw.random() < BLOCKED else 0
        return cls(max(round(BATCH_TOKENS / (prompt + window)), 2), prompt, window, blocked)


class Batch(NamedTuple):
    """Rows of one layout, as S3Flow reads them, and what is wanted of them."""

    tokens: Tensor  # (rows, tokens)
    embedding: Tensor  # (rows, width)
    cond: Tensor  # (rows, 80, 2 tokens)
    mel: Tensor  # (rows, 80, 2 tokens)
    weight: Tensor  # (rows, 1, 2 tokens): of each frame's error
    noise: Tensor  # (rows, 80, 2 tokens)
    blocked_tokens: int

    def to(self, device: str) -> "Batch":
        return Batch(
            self.tokens.to(device),
            self.embedding.to(device),
            self.cond.to(device),
            self.mel.to(device),
            self.weight.to(device),
            self.noise.to(device),
            self.blocked_tokens,
        )


class Library:
    """The utterances of some shards, found by voice and length."""

    def __init__(self, said: Sequence[Said], speakers: Pool) -> None:
        self._speakers = speakers
        self._by_length = {
            voice: sorted((each for each in said if each.voice == voice), key=lambda each: len(each.codes))
            for voice in VOICES
        }
        self._lengths = {
            voice: [len(each.codes) for each in found] for voice, found in self._by_length.items()
        }
        total = {voice: sum(lengths) for voice, lengths in self._lengths.items()}
        self._share = total[VOICES[0]] / sum(total.values())

    def batch(self, layout: Layout, draw: np.random.Generator) -> Batch:
        """Voices come as often as each is there, the rarer one somewhat more."""
        voices = [VOICES[draw.random() >= (self._share + 0.5) / 2] for _ in range(layout.rows)]
        rows = [self._row(voice, voice, layout, draw) for voice in voices]
        return self._batched(rows, layout, draw)

    def swapped(self, layout: Layout, voice: str, draw: np.random.Generator) -> Batch:
        """Windows of ``voice`` after prompts of the other one, with the other's speaker."""
        other = VOICES[1 - VOICES.index(voice)]
        return self._batched(
            [self._row(voice, other, layout, draw) for _ in range(layout.rows)], layout, draw
        )

    def mean_mel(self, voice: str) -> NDArray[np.float64]:
        """(80,)"""
        mean: NDArray[np.float64] = np.mean(
            [each.mel.mean(0, np.float64) for each in self._by_length[voice]], 0
        )
        return mean

    def _row(
        self, voice: str, prompt_voice: str, layout: Layout, draw: np.random.Generator
    ) -> tuple[Codes, Mel, bool, NDArray[np.float32]]:
        """Codes and mel of prompt and window, whether the window is the utterance's last, the speaker."""
        codes, mel, ends = self._window(voice, layout.window_tokens, draw)
        if layout.prompt_tokens:
            prompt_codes, prompt_mel = self._prompt(prompt_voice, layout.prompt_tokens, draw)
            codes, mel = np.concatenate((prompt_codes, codes)), np.concatenate((prompt_mel, mel))
        pool = self._speakers[prompt_voice]
        return codes, mel, ends, pool[draw.integers(len(pool))]

    def _window(self, voice: str, tokens: int, draw: np.random.Generator) -> tuple[Codes, Mel, bool]:
        first = int(np.searchsorted(self._lengths[voice], tokens))
        found = self._by_length[voice][draw.integers(first, len(self._lengths[voice]))]
        kind, last = draw.random(), len(found.codes) - tokens
        start = (
            0 if kind < FROM_START else last if kind < FROM_START + TO_END else int(draw.integers(last + 1))
        )
        codes, mel = _cut(found.codes, found.mel, start, tokens)
        return codes, mel, start == last

    def _prompt(self, voice: str, tokens: int, draw: np.random.Generator) -> tuple[Codes, Mel]:
        """Of one utterance from its start or its middle, or of several end to end."""
        parts: list[tuple[Codes, Mel]] = []
        wanted = tokens
        while wanted:
            found = self._by_length[voice][draw.integers(len(self._by_length[voice]))]
            taken = min(wanted, len(found.codes))
            start = int(draw.integers(len(found.codes) - taken + 1)) * (draw.random() < 0.5)
            parts.append(_cut(found.codes, found.mel, start, taken))
            wanted -= taken
        return np.concatenate([codes for codes, _ in parts]), np.concatenate([mel for _, mel in parts])

    def _batched(
        self,
        rows: Sequence[tuple[Codes, Mel, bool, NDArray[np.float32]]],
        layout: Layout,
        draw: np.random.Generator,
    ) -> Batch:
        prompt_frames = MEL_FRAMES_PER_TOKEN * layout.prompt_tokens
        mel = np.stack([mel.T for _, mel, _, _ in rows]).astype(np.float32)
        cond = np.zeros_like(mel)
        cond[..., :prompt_frames] = mel[..., :prompt_frames]
        weight = np.ones((len(rows), 1, mel.shape[2]), np.float32)
        weight[..., :prompt_frames] = PROMPT_WEIGHT
        # But at the end of an utterance, a window's last tokens are there for those before to hear of.
        unheard = MEL_FRAMES_PER_TOKEN * POCKET.encoder.lookahead_tokens
        for index, (_, _, ends, _) in enumerate(rows):
            if not ends:
                weight[index, :, -unheard:] = 0
        return Batch(
            torch.from_numpy(np.stack([codes for codes, _, _, _ in rows]).astype(np.int64)),
            torch.from_numpy(np.stack([speaker for _, _, _, speaker in rows])),
            torch.from_numpy(cond),
            torch.from_numpy(mel),
            torch.from_numpy(weight),
            torch.from_numpy(draw.standard_normal(mel.shape, np.float32)),
            layout.blocked_tokens,
        )


def said(work: Path, number: int) -> Iterator[Said]:
    """A shard's utterances, of the corpus' index and the tokenizer's features."""
    features = work / "features"
    codes = np.memmap(features / f"{number:03}.codes", np.int16, "r")
    mel = np.memmap(features / f"{number:03}.mel", np.float16, "r").reshape(-1, MEL_BANDS)
    places = json.loads((features / f"{number:03}.frames.json").read_text())
    utterances = Shard.open(work / "corpus", number).utterances
    for utterance, (first, count) in zip(utterances, places, strict=True):
        yield Said(utterance.voice, *_cut(codes, mel, first, count))


def _cut(codes: Codes, mel: Mel, first: int, count: int) -> tuple[Codes, Mel]:
    """``count`` codes and their mel frames."""
    rate = MEL_FRAMES_PER_TOKEN
    return codes[first : first + count], mel[rate * first : rate * (first + count)]
