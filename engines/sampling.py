"""From logits to a speech code, pure: the reference's filters in its order, and one uniform number.

Temperature, top-k, top-p, then the repetition penalty over what the filters left. Numbers drawn are
addressed by (seed, position), so that a code does not depend on who shared the batch.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.errors import ConfigError

Logits = NDArray[np.float32]
Heard = NDArray[np.bool_]
"""By code: whether the row has it already."""

_SEED_MASK = (1 << 64) - 1
_STREAM = int.from_bytes(b"t3 codes", "little")
"""Half of the generator's key: no other use of a seed meets these numbers."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How codes are chosen; the reference's numbers unless told otherwise."""

    temperature: float = 0.8  # 0: the most likely code, filters or not
    top_k: int = 1_000  # 0: all
    top_p: float = 0.95  # 1: all
    repetition_penalty: float = 1.2  # 1: none

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 10:
            raise ConfigError("temperature", self.temperature, "must be from 0 to 10")
        if self.top_k < 0:
            raise ConfigError("top_k", self.top_k, "must be 0 (all codes) or more")
        if not 0 < self.top_p <= 1:
            raise ConfigError("top_p", self.top_p, "must be over 0 and at most 1")
        if not 0.1 <= self.repetition_penalty <= 10:
            raise ConfigError("repetition_penalty", self.repetition_penalty, "must be from 0.1 to 10")


def choose(logits: Logits, heard: Heard, sampling: Sampling, uniform: float) -> int:
    """A code. ``logits`` (codes,) hold no NaN and one number above -inf; ``uniform`` is in [0, 1)."""
    if sampling.temperature == 0:
        return int(_penalised(logits, heard, sampling.repetition_penalty).argmax())
    codes, shares = _kept(logits, heard, sampling)
    mass = shares.cumsum()
    return int(codes[min(mass.searchsorted(uniform * mass[-1], "right"), len(codes) - 1)])


def distribution(logits: Logits, heard: Heard, sampling: Sampling) -> NDArray[np.float64]:
    """The probability of each code, as `choose` draws them."""
    probabilities = np.zeros(len(logits))
    if sampling.temperature == 0:
        probabilities[choose(logits, heard, sampling, 0.0)] = 1
        return probabilities
    codes, shares = _kept(logits, heard, sampling)
    probabilities[codes] = shares / shares.sum()
    return probabilities


def uniform_at(seed: int, position: int) -> float:
    """The number in [0, 1) that decides the code at ``position`` (Philox, counted, not drawn in order)."""
    key = np.array([seed & _SEED_MASK, _STREAM], np.uint64)
    counter = np.array([position, 0, 0, 0], np.uint64)
    raw = np.random.Philox(key=key, counter=counter).random_raw()
    return float(int(raw) >> 11) * 2.0**-53


def _kept(logits: Logits, heard: Heard, sampling: Sampling) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The codes that the filters leave, in order, and their shares, which add up to anything."""
    scores = logits / np.float32(sampling.temperature)
    codes = np.flatnonzero(scores >= _kth_best(scores, sampling.top_k))  # of equals at the edge, all
    codes = _nucleus(codes, scores[codes], sampling.top_p)
    kept = _penalised(scores[codes], heard[codes], sampling.repetition_penalty)
    return codes, _exponentials(kept)


def _kth_best(scores: Logits, top_k: int) -> float:
    if not 0 < top_k < len(scores):
        return -math.inf
    return float(np.partition(scores, -top_k)[-top_k])


def _nucleus(codes: NDArray[np.intp], scores: Logits, top_p: float) -> NDArray[np.intp]:
    """The likeliest codes that hold ``top_p`` of the mass: the fewest, and at least one.

    Counted up from the least likely, as the reference does: what is dropped holds at most 1 - top_p.
    """
    if top_p == 1:
        return codes
    order = scores.argsort(kind="stable")
    mass = _exponentials(scores[order]).cumsum()
    dropped = mass.searchsorted((1 - top_p) * mass[-1], "right")
    return np.sort(codes[order[min(dropped, len(codes) - 1) :]])


def _penalised(scores: Logits, heard: Heard, penalty: float) -> Logits:
    if penalty == 1:
        return scores
    factor = np.float32(penalty)
    return np.where(heard, np.where(scores < 0, scores * factor, scores / factor), scores)


def _exponentials(scores: Logits) -> NDArray[np.float64]:
    """Of the distance to the best score: a softmax but for its sum."""
    shares: NDArray[np.float64] = np.exp(scores.astype(np.float64) - scores.max())
    return shares
