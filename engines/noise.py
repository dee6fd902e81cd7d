"""Randomness by (seed, place), pure: S3Gen's noise at a mel frame is the same however windows are cut.

Philox is a function of key and counter: the key is a seed and a use, the counter follows from the mel
frame, and every frame takes the same number of draws. Normals are made by Box and Muller's method.
"""

import math
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from engines.model import MEL_BANDS
from engines.rates import HOP_SAMPLES

Noise = NDArray[np.float32]

_SEED_MASK = (1 << 64) - 1
_DRAWS_PER_COUNT = 4
_NORMALS_PER_DRAW = 2
_UNIT = np.float32(2.0**-32)


class Stream(IntEnum):
    """What noise is for: half of the generator's key, so that no two uses meet."""

    MEL = int.from_bytes(b"s3 mel", "little")
    PROMPT = int.from_bytes(b"s3prompt", "little")
    SOURCE = int.from_bytes(b"s3 wave", "little")
    HARMONICS = int.from_bytes(b"s3 phase", "little")


PROMPT_SEED = 0
"""A prompt hears the same noise in every utterance, so that what is computed of it serves them all."""


def mel_noise(seed: int, first_frame: int, frames: int, stream: Stream = Stream.MEL) -> Noise:
    """Standard normals (80, frames) of the mel frames from ``first_frame`` on."""
    return np.ascontiguousarray(_normals(seed, stream, first_frame, frames, MEL_BANDS).T)


def prompt_noise(frames: int) -> Noise:
    """Standard normals (80, frames) of a prompt's first mel frames."""
    return mel_noise(PROMPT_SEED, 0, frames, Stream.PROMPT)


def source_noise(seed: int, first_frame: int, frames: int) -> Noise:
    """Standard normals (frames, 480) of the samples in the mel frames from ``first_frame`` on."""
    return _normals(seed, Stream.SOURCE, first_frame, frames, HOP_SAMPLES)


def harmonic_phase(seed: int, sines: int) -> Noise:
    """Where in its cycle each of ``sines`` begins, from -pi to pi (sines,); the fundamental at 0."""
    phase = math.pi * (2 * _uniforms(_draws(seed, Stream.HARMONICS, 0, -(-sines // 2)))[:sines] - 1)
    phase[0] = 0
    return phase


def _normals(seed: int, stream: Stream, first_frame: int, frames: int, per_frame: int) -> Noise:
    """(frames, per_frame)"""
    draws = per_frame // _NORMALS_PER_DRAW
    assert draws * _NORMALS_PER_DRAW == per_frame, "a frame takes whole draws"
    assert draws % _DRAWS_PER_COUNT == 0, "a frame begins with a count of its own"
    raw = _draws(seed, stream, first_frame * draws // _DRAWS_PER_COUNT, frames * draws)
    radius_place, angle_place = np.ascontiguousarray(_uniforms(raw).reshape(-1, 2).T)
    radius = np.sqrt(-2 * np.log(radius_place))
    angle = np.float32(2 * math.pi) * angle_place
    normals = np.empty((len(raw), _NORMALS_PER_DRAW), np.float32)
    np.multiply(radius, np.cos(angle), out=normals[:, 0])
    np.multiply(radius, np.sin(angle), out=normals[:, 1])
    return normals.reshape(frames, per_frame)


def _draws(seed: int, stream: Stream, count: int, draws: int) -> NDArray[np.uint64]:
    key = np.array([seed & _SEED_MASK, stream], np.uint64)
    counter = np.array([count, 0, 0, 0], np.uint64)
    raw: NDArray[np.uint64] = np.random.Philox(key=key, counter=counter).random_raw(draws)
    return raw


def _uniforms(raw: NDArray[np.uint64]) -> Noise:
    """Two of each draw, from above 0 (a logarithm is taken of them) to 1."""
    halves = raw.astype("<u8", copy=False).view("<u4")
    return (halves.astype(np.float32) + 1) * _UNIT
