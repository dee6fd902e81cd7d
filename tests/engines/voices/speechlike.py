"""A recording that looks like speech to features and meters: voiced syllables, fricatives and pauses."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from engines.contract import Samples
from engines.rates import SAMPLE_RATE_HZ

_SYLLABLE_SAMPLES = SAMPLE_RATE_HZ // 5
_VOWELS_HZ = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410))
_BANDWIDTHS_HZ = (60, 90, 150)


def speechlike(seconds: float, seed: int = 0, silent_ends_s: float = 0.0) -> Samples:
    """(n,) at 24 kHz, peak 0.5. Every seventh syllable is a pause; the ends may be near silence."""
    rng = np.random.default_rng(seed)
    count = round(seconds * SAMPLE_RATE_HZ)
    syllables = [_syllable(rng, i) for i in range(count // _SYLLABLE_SAMPLES + 1)]
    audio = np.concatenate(syllables)[:count]
    ends = round(silent_ends_s * SAMPLE_RATE_HZ)
    if ends:
        audio[:ends] = audio[-ends:] = 0
    noise = 1e-4 * rng.standard_normal(count)
    return np.asarray(audio * (0.5 / np.abs(audio).max()) + noise, np.float32)


def _syllable(rng: np.random.Generator, index: int) -> NDArray[Any]:
    if index % 7 == 6:
        return np.zeros(_SYLLABLE_SAMPLES)
    pitch_hz = np.linspace(rng.uniform(90, 180), rng.uniform(90, 180), _SYLLABLE_SAMPLES)
    phase = np.cumsum(pitch_hz) / SAMPLE_RATE_HZ
    voiced = np.diff(np.floor(phase), n=2, prepend=(0, 0))  # pulses, without the offset that lips take away
    hiss = np.diff(rng.standard_normal(_SYLLABLE_SAMPLES), prepend=0)
    source = voiced + 0.02 * hiss
    for centre_hz, width_hz in zip(_VOWELS_HZ[rng.integers(5)], _BANDWIDTHS_HZ, strict=True):
        radius = np.exp(-np.pi * width_hz / SAMPLE_RATE_HZ)
        turn = np.cos(2 * np.pi * centre_hz / SAMPLE_RATE_HZ)
        source = lfilter([1 - radius], [1, -2 * radius * turn, radius**2], source)
    source /= np.abs(source).max()
    source[: _SYLLABLE_SAMPLES // 4] += 0.03 * hiss[: _SYLLABLE_SAMPLES // 4]  # a fricative
    syllable: NDArray[Any] = source * np.hanning(_SYLLABLE_SAMPLES) ** 0.5
    return syllable
