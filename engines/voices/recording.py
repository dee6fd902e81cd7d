"""What a reference recording must be before a voice is made of it. Pure numpy.

A voice copies its recording: too little speech, clipping or a broken sound card are heard in every
call, so they are refused here, with the reason.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engines.contract import Samples
from engines.errors import InvalidRequest
from engines.rates import SAMPLE_RATE_HZ
from engines.voices.loudness import loudness_lufs

MIN_SECONDS = 5.0
MAX_SECONDS = 30.0
MIN_SPEECH_SECONDS = 3.0
SILENCE_DBFS = -60.0
MAX_CLIPPED_SHARE = 0.001

_FRAME_SAMPLES = SAMPLE_RATE_HZ * 20 // 1_000
_SPEECH_RANGE_DB = 30.0  # a frame so far under the loud ones is a pause
_LOUD_PERCENTILE = 95
_FULL_SCALE = 0.99  # a clipped wave, resampled, ripples about full scale
_CLIPPED_RUN_SAMPLES = 3  # fewer are a peak
_MAX_OFFSET = 0.2  # the mean, of the deviation about it


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A recording that passed, and what was measured of it."""

    samples: Samples = field(repr=False)  # (n,) mono, 24 kHz
    seconds: float
    speech_seconds: float
    loudness_lufs: float
    peak: float
    clipped_share: float  # of its samples

    @classmethod
    def check(cls, samples_24k: Samples) -> "Recording":
        """Raises InvalidRequest (field `recording`) naming the first thing that is wrong with it."""
        samples = np.asarray(samples_24k, np.float32)
        seconds = _checked_seconds(samples)
        speech_seconds = _checked_speech_seconds(samples)
        clipped = _clipped_share(samples)
        if clipped > MAX_CLIPPED_SHARE:
            raise _refused(
                f"{clipped:.1%} clipped", f"is over the {MAX_CLIPPED_SHARE:.1%} allowed; record lower"
            )
        return cls(
            samples, seconds, speech_seconds, loudness_lufs(samples), float(np.abs(samples).max()), clipped
        )


def _refused(value: str, reason: str) -> InvalidRequest:
    return InvalidRequest("recording", value, reason)


def _checked_seconds(samples: Samples) -> float:
    if samples.ndim != 1:
        raise _refused(f"shape {samples.shape}", "is not mono")
    seconds = len(samples) / SAMPLE_RATE_HZ
    if seconds < MIN_SECONDS:
        raise _refused(f"{seconds:.1f} s", f"is too short; {MIN_SECONDS:g} to {MAX_SECONDS:g} s are needed")
    if seconds > MAX_SECONDS:
        raise _refused(f"{seconds:.1f} s", f"is too long; at most {MAX_SECONDS:g} s are taken")
    if not np.isfinite(samples).all():
        raise _refused("NaN or infinity", "is no sample")
    return seconds


def _checked_speech_seconds(samples: Samples) -> float:
    """Seconds that are neither pause nor silence."""
    mean, deviation = float(samples.mean(dtype=np.float64)), float(samples.std(dtype=np.float64))
    levels = _frame_levels_dbfs(samples)
    loud = float(np.percentile(levels, _LOUD_PERCENTILE))
    if loud < SILENCE_DBFS:
        raise _refused(f"{loud:.0f} dBFS", f"is silence; speech is over {SILENCE_DBFS:g} dBFS")
    if abs(mean) > _MAX_OFFSET * deviation:
        raise _refused(f"mean {mean:+.3f}", "is a constant offset; the line-in or the file is faulty")
    active = levels > max(loud - _SPEECH_RANGE_DB, SILENCE_DBFS)
    seconds = float(active.sum() * _FRAME_SAMPLES / SAMPLE_RATE_HZ)
    if seconds < MIN_SPEECH_SECONDS:
        raise _refused(f"{seconds:.1f} s of speech", f"is too little; {MIN_SPEECH_SECONDS:g} s are needed")
    return seconds


def _frame_levels_dbfs(samples: Samples) -> NDArray[np.float64]:
    """RMS of each whole frame of 20 ms about its mean; 0 dBFS is a square wave of full scale."""
    frames = samples[: len(samples) // _FRAME_SAMPLES * _FRAME_SAMPLES].reshape(-1, _FRAME_SAMPLES)
    power = frames.var(1, dtype=np.float64)
    levels: NDArray[np.float64] = 10 * np.log10(np.maximum(power, 1e-12))
    return levels


def _clipped_share(samples: Samples) -> float:
    """The share of samples that lie in runs at or beyond full scale, each of one sign."""
    clipped = 0
    for signed in (samples, -samples):
        full = np.concatenate(([False], signed >= _FULL_SCALE, [False]))
        edges = np.flatnonzero(full[1:] != full[:-1])
        runs = edges[1::2] - edges[::2]
        clipped += int(runs[runs >= _CLIPPED_RUN_SAMPLES].sum())
    return clipped / len(samples)
