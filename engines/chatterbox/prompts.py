"""A voice's prompt as S3Gen's flow reads it before every window, whole or from a cache."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines import noise
from engines.backends.runner import Runner
from engines.backends.signature import S3_PROMPT
from engines.errors import SpeechFailed
from engines.model import MAX_S3_PROMPT_MEL_FRAMES, MEL_BANDS, ModelConfig
from engines.rates import MEL_FRAMES_PER_TOKEN
from engines.voices.conditioning import Conditioning

Arrays = dict[str, NDArray[Any]]

MAX_PROMPTS = 8
"""Caches kept, the lately used: of a 10 s prompt each takes 122 MB in float16, 244 MB in float32."""

_NOISE = noise.prompt_noise(MAX_S3_PROMPT_MEL_FRAMES)


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """What a window follows."""

    tokens: NDArray[np.int64]  # (P,)
    mel: NDArray[np.float32]  # (80, 2 P)
    noise: NDArray[np.float32]  # (80, 2 P), the same for all voices

    @classmethod
    def of(cls, voice: Conditioning, codes: int) -> "Prompt":
        """Raises SpeechFailed for a voice that this model cannot speak with."""
        tokens, frames = voice.s3_prompt, MEL_FRAMES_PER_TOKEN * len(voice.s3_prompt)
        if frames > MAX_S3_PROMPT_MEL_FRAMES or voice.s3_prompt_mel.shape != (frames, MEL_BANDS):
            shape = voice.s3_prompt_mel.shape
            raise SpeechFailed(f"the voice has a prompt of {len(tokens)} codes and mel of shape {shape}")
        if len(tokens) and not 0 <= tokens.min() <= tokens.max() < codes:
            raise SpeechFailed("the voice has prompt codes that are no speech codes")
        return cls(tokens, voice.s3_prompt_mel.T, _NOISE[:, :frames])

    def since(self, token: int) -> "Prompt":
        """What follows its first ``token`` tokens."""
        frame = MEL_FRAMES_PER_TOKEN * token
        return Prompt(self.tokens[token:], self.mel[:, frame:], self.noise[:, frame:])


class PromptCaches:
    """What prompts leave for windows, by conditioning, which is held as long as its cache is."""

    def __init__(self, runner: Runner, model: ModelConfig, max_prompts: int = MAX_PROMPTS) -> None:
        self._runner, self._codes, self._max_prompts = runner, model.codes, max_prompts
        self._lookahead_tokens = model.encoder.lookahead_tokens
        self._kept: OrderedDict[Conditioning, Arrays] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def cached_tokens(self, voice: Conditioning) -> int:
        """All but the last, with which windows begin again. Raises SpeechFailed for too short a prompt."""
        cached = len(voice.s3_prompt) - self._lookahead_tokens
        if cached < 1:
            raise SpeechFailed(f"the voice's prompt of {len(voice.s3_prompt)} codes is too short for a cache")
        return cached

    def of(self, voice: Conditioning) -> Arrays:
        """The cache's tensors by name, computed when a voice first speaks.

        Raises SpeechFailed for a voice that will not do.
        """
        cache = self._kept.get(voice)
        if cache is None:
            cache = self._kept[voice] = self._compute(voice)
            if len(self._kept) > self._max_prompts:
                self._kept.popitem(last=False)
        self._kept.move_to_end(voice)
        return cache

    def _compute(self, voice: Conditioning) -> Arrays:
        prompt = Prompt.of(voice, self._codes)
        inputs = {
            "tokens": prompt.tokens[None],
            "tokens_length": np.array([len(prompt.tokens)]),
            "embedding": voice.embedding[None],
            "cond": prompt.mel[None],
            "noise": prompt.noise[None],
        }
        cache = self._runner.run(S3_PROMPT, inputs)
        if not all(np.isfinite(values).all() for values in cache.values()):
            raise SpeechFailed("the voice's prompt is not finite")
        return cache
