"""Pure: what can be measured of an utterance without understanding it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engines.rates import HOP_SAMPLES, SAMPLE_RATE_HZ
from engines.voices.features import prompt_mel

Floats = NDArray[np.float32]

SEAM_S = 0.010
"""What is near a seam: this much before and after it."""

LEAST_RATIO, MOST_RATIO = 0.8, 1.25
"""Of an utterance's length to its source's: outside of these, words were lost or said again."""

_LEAST_SAMPLES = 4 * HOP_SAMPLES
_LOOP_TIMES = 3
_LOOP_WORDS = 4
_SILENT_LOG = np.log(1e-4)


def seam_jump(samples: Floats, seams: Sequence[int]) -> float | None:
    """The largest step between samples near the seams over the largest elsewhere; None without seams."""
    steps = np.abs(np.diff(samples))
    near = np.zeros(len(steps), np.bool_)
    reach = round(SEAM_S * SAMPLE_RATE_HZ)
    for seam in seams:
        near[max(seam - reach, 0) : seam + reach] = True
    if not near.any() or near.all():
        return None
    elsewhere = float(steps[~near].max())
    return float(steps[near].max()) / elsewhere if elsewhere else None


def heard_mel(samples: Floats) -> Floats:
    """S3Gen's log-mel of (n,) at 24 kHz: (frames, 80), none of less than a spectrum's window."""
    if len(samples) < _LEAST_SAMPLES:
        return prompt_mel(np.zeros(_LEAST_SAMPLES, np.float32))[:0]
    return prompt_mel(samples)


def mel_l1(one: Floats, other: Floats) -> float | None:
    """Mean difference of two log-mels (frames, 80), in nepers; None when their lengths differ or are 0."""
    if one.shape != other.shape or not len(one):
        return None
    return float(np.abs(one - other).mean(dtype=np.float64))


def timbre(samples: Floats) -> Floats:
    """The mean log-mel (80,) of the louder half of an utterance: of its vowels, mostly.

    Less its own mean, so that loudness is no part of it.
    """
    mel = heard_mel(samples)
    level = mel.mean(1)
    spectrum = np.maximum(mel[level >= np.median(level)], _SILENT_LOG).mean(0)
    colour: Floats = (spectrum - spectrum.mean()).astype(np.float32)
    return colour


def looped(said: Sequence[str], heard: Sequence[str]) -> bool:
    """Whether a phrase of up to four words was heard three times in a row and is not said so."""
    return any(
        _longest_run(heard, words) >= max(_LOOP_TIMES, _longest_run(said, words) + 1)
        for words in range(1, _LOOP_WORDS + 1)
    )


def _longest_run(words: Sequence[str], phrase: int) -> int:
    """How often at most a phrase of so many words follows itself, itself included."""
    longest = 1
    for start in range(len(words) - phrase):
        run = 1
        at = start + phrase
        while words[at : at + phrase] == words[start : start + phrase]:
            run, at = run + 1, at + phrase
        longest = max(longest, run)
    return longest
