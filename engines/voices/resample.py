"""Sample rates of recordings. soxr is imported here alone, and only when first used.

Two roads lead from 24 to 16 kHz, because the reference takes both and its nets were trained so:
T3's prompt and its speaker come by soxr, S3Gen's by a short sinc kernel under a Hann window.
"""

from math import ceil, gcd
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from engines.contract import Samples
from engines.errors import BackendUnavailable
from engines.rates import SAMPLE_RATE_HZ
from engines.voices.features import RATE_16K_HZ

_ZERO_CROSSINGS = 6
_ROLLOFF = 0.99  # of the lower rate's half


def resample(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """By soxr, high quality: (n,) -> (ceil(n to_hz / from_hz),).

    Raises BackendUnavailable when soxr is not installed.
    """
    if from_hz == to_hz:
        return samples
    resampled = _soxr().resample(samples, from_hz, to_hz, quality="HQ")
    wanted = -(-len(samples) * to_hz // from_hz)
    return np.pad(resampled[:wanted], (0, max(wanted - len(resampled), 0))).astype(np.float32)


def to_16k(samples_24k: Samples) -> Samples:
    """`resample` to what T3's prompt and the voice encoder are made from."""
    return resample(samples_24k, SAMPLE_RATE_HZ, RATE_16K_HZ)


def sinc_24k_to_16k(samples_24k: Samples) -> Samples:
    """By the short sinc kernel, to what S3Gen's prompt and x-vector are made from: (ceil(2 n / 3),)."""
    common = gcd(SAMPLE_RATE_HZ, RATE_16K_HZ)
    taken, given = SAMPLE_RATE_HZ // common, RATE_16K_HZ // common  # 3 samples in, 2 out
    kernel, reach = _sinc_kernel(taken, given)
    padded = np.pad(samples_24k.astype(np.float64), (reach, reach + taken))
    windows = sliding_window_view(padded, kernel.shape[1])[::taken]
    resampled = (windows @ kernel.T).reshape(-1)
    return resampled[: -(-len(samples_24k) * given // taken)].astype(np.float32)


def _sinc_kernel(taken: int, given: int) -> tuple[NDArray[np.float64], int]:
    """One row of taps for each of the ``given`` phases, and how many samples they reach back."""
    cutoff = min(taken, given) * _ROLLOFF
    reach = ceil(_ZERO_CROSSINGS * taken / cutoff)
    taps_s = np.arange(-reach, reach + taken) / taken
    phases_s = np.arange(given)[:, None] / given
    zeros = np.clip((taps_s - phases_s) * cutoff, -_ZERO_CROSSINGS, _ZERO_CROSSINGS)
    window = np.cos(zeros * np.pi / _ZERO_CROSSINGS / 2) ** 2
    return np.sinc(zeros) * window * (cutoff / taken), reach


def _soxr() -> Any:
    try:
        import soxr
    except ImportError as error:
        message = "resampling a recording needs soxr: pip install 'talkspurt[onnx]' or 'talkspurt[pytorch]'"
        raise BackendUnavailable(message) from error
    return soxr
