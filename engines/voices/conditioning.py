"""What makes a voice for Chatterbox: five parts computed once from a reference recording."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Conditioning:
    """The five parts, as T3 and S3Gen take them; compared by identity, for caches."""

    speaker: NDArray[np.float32] = field(repr=False)  # (256,) voice encoder's, for T3
    t3_prompt: NDArray[np.int64] = field(repr=False)  # (<= 375,) speech codes of the first 15 s
    s3_prompt: NDArray[np.int64] = field(repr=False)  # (<= 250,) speech codes of the first 10 s
    s3_prompt_mel: NDArray[np.float32] = field(repr=False)  # (2 * s3 prompt tokens, 80) log-mel
    embedding: NDArray[np.float32] = field(repr=False)  # (192,) CAMPPlus x-vector, as it comes
    origin: dict[str, Any] = field(default_factory=dict)  # how and from what it was made


UNMEASURED_DBOV = -27.0
"""The level that models are trained to speak at: of a voice whose own nobody has measured."""


def built_in_description(model_name: str) -> str:
    """Of the voice in a model's conditionals."""
    return f"The voice that comes with Chatterbox {model_name.capitalize()}"
