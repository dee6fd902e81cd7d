"""A random Chatterbox of two million numbers, in a folder like the published ones."""

from dataclasses import replace
from pathlib import Path

from engines.model import ModelConfig
from engines.sampling import Sampling
from export.random_weights import write_random
from export.tiny import TINY

__all__ = ["FEWER_CODES", "TINY", "tiny_checkpoint"]

FEWER_CODES = replace(
    TINY,
    name="tiny-729",
    t3=replace(TINY.t3, speech_codes=731),
    codes=729,
    silence_code=0,
    s3_prompt_tokens=75,
    sampling=Sampling(temperature=0.7, top_k=0, top_p=0.9, repetition_penalty=1.1),
    speech_tokenizer=replace(TINY.speech_tokenizer, digits=6),
)
"""TINY with all that a model may say of its codes otherwise than the published ones."""


def tiny_checkpoint(
    folder: Path, model: ModelConfig = TINY, *, seed: int = 0, never_stops: bool = False
) -> Path:
    """Writes the model ``folder`` (0.1 s), which is made if need be, and returns it."""
    write_random(folder, model, seed, never_stops=never_stops)
    return folder
