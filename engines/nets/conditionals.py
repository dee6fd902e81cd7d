"""Conditionals files (`conds.pt`, `.pth`): a voice as the reference keeps it, to our Conditioning.

A pickle of tensors, read with weights_only: nothing in it is executed. It is {"t3": speaker_emb,
cond_prompt_speech_tokens, ...; "gen": prompt_token, prompt_token_len, prompt_feat, embedding, ...}.
What else may be there is for other models (`emotion_adv`: Turbo has no such control) or always None.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engines.errors import ConfigError
from engines.model import MAX_S3_PROMPT_TOKENS, MEL_BANDS, TURBO, ModelConfig
from engines.rates import MEL_FRAMES_PER_TOKEN
from engines.voices.conditioning import Conditioning

Floats = NDArray[np.float32]
Codes = NDArray[np.int64]


def load_conditionals(path: Path, model: ModelConfig = TURBO) -> Conditioning:
    """The voice in ``path``. Raises ConfigError (field `voice`) naming the part that is wrong.

    The mel of S3's prompt is cut to its tokens, or they to it: a recording seldom ends on a token.
    """
    try:
        parts = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the reader's errors are of many kinds, and only the file can be at fault
        reason = str(error).partition("\n")[0]
        raise ConfigError("voice", str(path), f"cannot be read as conditionals: {reason}") from None
    t3, gen = (_Part(path, parts, half) for half in ("t3", "gen"))
    s3_prompt = gen.codes("prompt_token", MAX_S3_PROMPT_TOKENS, model)
    mel = gen.floats("prompt_feat", None, MEL_BANDS)
    tokens = min(gen.count("prompt_token_len", len(s3_prompt)), len(mel) // MEL_FRAMES_PER_TOKEN)
    if not tokens:
        raise gen.wrong("prompt_token", "has no token with a mel to it")
    return Conditioning(
        speaker=t3.floats("speaker_emb", model.t3.speaker_width),
        t3_prompt=t3.codes("cond_prompt_speech_tokens", model.t3.prompt_tokens, model),
        s3_prompt=s3_prompt[:tokens],
        s3_prompt_mel=mel[: MEL_FRAMES_PER_TOKEN * tokens],
        embedding=gen.floats("embedding", model.xvector.width),
        origin={"conditionals": path.name},
    )


class _Part:
    """One half of the file: tensors by name, each of one row."""

    def __init__(self, path: Path, parts: Any, half: str) -> None:
        self._path = path
        self._half = half
        tensors = parts.get(half) if isinstance(parts, Mapping) else None
        if not isinstance(tensors, Mapping):
            raise ConfigError("voice", str(path), f"holds no conditionals: {half} is missing")
        self._tensors: Mapping[str, Any] = tensors

    def floats(self, name: str, *shape: int | None) -> Floats:
        """The row of ``name``, float32; None: of any size."""
        row = self._row(name)
        fits = row.dim() == len(shape) and all(
            size in (None, found) for size, found in zip(shape, row.shape, strict=True)
        )
        if not (fits and row.is_floating_point()):
            raise self.wrong(name, f"is {row.dtype} {tuple(row.shape)} and must be floats of {shape}")
        if not row.isfinite().all():
            raise self.wrong(name, "holds values that are not finite")
        values: Floats = row.float().contiguous().numpy()
        return values

    def codes(self, name: str, most: int, model: ModelConfig) -> Codes:
        row = self._row(name)
        if row.dim() != 1 or row.is_floating_point() or not 1 <= len(row) <= most:
            raise self.wrong(name, f"is {row.dtype} {tuple(row.shape)} and must be 1 to {most} codes")
        if row.min() < 0 or row.max() >= model.codes:
            raise self.wrong(name, f"holds codes outside 0 to {model.codes - 1}")
        values: Codes = row.long().contiguous().numpy()
        return values

    def count(self, name: str, most: int) -> int:
        """A number of tokens; as many as there are where it is left out."""
        if self._tensors.get(name) is None:
            return most
        row = self._row(name)
        if row.dim() or row.is_floating_point() or not 1 <= int(row) <= most:
            raise self.wrong(name, f"must be 1 to {most}")
        return int(row)

    def wrong(self, name: str, reason: str) -> ConfigError:
        return ConfigError("voice", str(self._path), f"{self._half}.{name} {reason}")

    def _row(self, name: str) -> Tensor:
        tensor = self._tensors.get(name)
        if not isinstance(tensor, Tensor) or not tensor.dim() or len(tensor) != 1:
            raise self.wrong(name, "must be a tensor of one row")
        return tensor[0].detach()
