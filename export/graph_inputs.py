"""Seeded inputs for every graph at any sizes of its axes, of values that it meets when it speaks.

A graph is traced with them once, and verified with others.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.backends import signature
from engines.backends.signature import CACHED_MEL_FRAMES, GraphSpec, TensorSpec
from engines.model import ModelConfig
from engines.rates import MEL_FRAMES_PER_TOKEN

Arrays = dict[str, NDArray[Any]]
Sizes = Mapping[str, int]
"""Axis to size. F and 2P follow from N and P."""

_STORED = 70  # places of a key/value store: more than the block of 64 that stores grow by

CASES: Mapping[str, tuple[Sizes, ...]] = {
    signature.T3_STEP: (
        {"B": 2, "S": 3, "C": 5},
        {"B": 1, "S": 6, "C": 0},
        {"B": 3, "S": 1, "C": _STORED},
        {"B": 2, "S": 4, "C": 64},
        {"B": 5, "S": 9, "C": 0},
    ),
    signature.S3_CHUNK: (
        {"B": 2, "N": 9, "W": 10, "K": CACHED_MEL_FRAMES},
        {"B": 1, "N": 20, "W": 26, "K": 0},
        {"B": 3, "N": 13, "W": 6, "K": CACHED_MEL_FRAMES},
        {"B": 1, "N": 4, "W": 2, "K": 0},
    ),
    signature.S3_PROMPT: ({"B": 1, "N": 9}, {"B": 1, "N": 4}, {"B": 1, "N": 40}),
    signature.S3_CACHED_CHUNK: (
        {"B": 2, "N": 9, "W": 10, "K": CACHED_MEL_FRAMES, "P": 6},
        {"B": 1, "N": 16, "W": 26, "K": 0, "P": 37},
        {"B": 3, "N": 4, "W": 2, "K": CACHED_MEL_FRAMES, "P": 1},
    ),
    signature.VOICE_XVECTOR: ({"T": 240}, {"T": 8}, {"T": 501}),
    signature.VOICE_CODES: ({"T": 60}, {"T": 4}, {"T": 403}),
    signature.VOICE_SPEAKER: ({"B": 2}, {"B": 1}, {"B": 7}),
}
"""Sizes that each graph is run at; the first of them traces it, and so has no axis of size 1 by chance."""


def draw_inputs(spec: GraphSpec, model: ModelConfig, sizes: Sizes, seed: int) -> Arrays:
    """One array an input, in the graph's order; float32 where the signature says `compute`."""
    draw = np.random.default_rng(seed)
    sizes = {**sizes, **_derived(sizes)}
    return {each.name: _draw(each, model, sizes, draw) for each in spec.inputs}


def _derived(sizes: Sizes) -> Sizes:
    rate = MEL_FRAMES_PER_TOKEN
    return {twice: rate * sizes[axis] for axis, twice in (("N", "F"), ("P", "2P")) if axis in sizes}


def _draw(each: TensorSpec, model: ModelConfig, sizes: Sizes, draw: np.random.Generator) -> NDArray[Any]:
    shape = tuple(axis if isinstance(axis, int) else sizes[axis] for axis in each.axes)
    if each.dtype == "int64":
        low, high = _range(each.name, model, sizes)
        values: NDArray[Any] = draw.integers(low, high, shape, np.int64, endpoint=True)
        return values
    if each.name in ("phase", "fade_weight"):
        return draw.random(shape, np.float32)
    values = draw.standard_normal(shape, np.float32)
    if each.name == "harmonic_phase":
        values[:, 0] = 0
    if each.name in ("mel_cache", "fade_mel", "cond"):
        values -= 5  # where log-mel lies
    return values


def _range(name: str, model: ModelConfig, sizes: Sizes) -> tuple[int, int]:
    """The least and the greatest that a whole-numbered input may be."""
    if name == "ids":
        return 0, model.t3.speaker_id
    if name == "ids_length":
        return 1, sizes["S"]
    if name == "past_length":
        return 0, sizes["C"]
    if name == "tokens":
        return 0, model.codes - 1
    if name == "tokens_length":
        least = sizes["N"] if sizes["B"] == 1 else 1  # a prompt, which is alone, has no padding
        return least, sizes["N"]
    assert name == "first_frame", f"{name} is an input that nobody has told of"
    return 0, sizes["F"] - sizes["W"]
