"""Loudness of a recording by ITU-R BS.1770-4 (integrated, gated), and bringing it to a target.

The weighting filters are the cookbook biquads that the reference meters with, so that the gain is its
gain; from 50 Hz to 10 kHz they are within 0.06 dB of the recommendation's tables.
"""

from math import cos, inf, isfinite, log10, pi, sin, sqrt

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from engines.contract import Samples
from engines.rates import SAMPLE_RATE_HZ

TARGET_LUFS = -27.0
"""Where the model expects its reference recordings."""

_BLOCK_SAMPLES = SAMPLE_RATE_HZ * 400 // 1_000
_STEP_SAMPLES = _BLOCK_SAMPLES // 4  # blocks overlap by 75 %
_ABSOLUTE_GATE_LUFS = -70.0
_RELATIVE_GATE_LU = -10.0
_OFFSET_LU = -0.691  # so that a full-scale sine of 997 Hz reads -3.01 LUFS
_RING_SAMPLES = 8_192  # the filters' responses have died to 1e-16 in half of it

Biquad = tuple[NDArray[np.float64], NDArray[np.float64]]


def loudness_lufs(samples_24k: Samples) -> float:
    """Integrated loudness; -inf for silence and for less than one block of 400 ms."""
    if len(samples_24k) < _BLOCK_SAMPLES:
        return -inf
    powers = _block_powers(_weigh(samples_24k))
    powers = powers[powers >= _power_of(_ABSOLUTE_GATE_LUFS)]
    if not len(powers):
        return -inf
    gate = powers.mean() * 10 ** (_RELATIVE_GATE_LU / 10)
    return _OFFSET_LU + 10 * log10(powers[powers > gate].mean())


def normalise(samples_24k: Samples, target_lufs: float = TARGET_LUFS) -> Samples:
    """Scaled to ``target_lufs``; silence stays as it is. Peaks may go beyond full scale."""
    gain = 10 ** ((target_lufs - loudness_lufs(samples_24k)) / 20)
    return samples_24k * np.float32(gain) if isfinite(gain) else samples_24k


def _power_of(lufs: float) -> float:
    return float(10 ** ((lufs - _OFFSET_LU) / 10))


def _block_powers(weighted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean squares of the blocks. The last may reach over the end by up to half a step, as metered."""
    blocks = round((len(weighted) - _BLOCK_SAMPLES) / _STEP_SAMPLES) + 1
    wanted = _BLOCK_SAMPLES + (blocks - 1) * _STEP_SAMPLES
    squares = np.pad(weighted**2, (0, max(wanted - len(weighted), 0)))
    powers: NDArray[np.float64] = sliding_window_view(squares, _BLOCK_SAMPLES)[::_STEP_SAMPLES].mean(1)
    return powers[:blocks]


def _weigh(samples_24k: Samples) -> NDArray[np.float64]:
    """K-weighting, applied in the frequency domain: the padding takes what rings on."""
    length = 1 << (len(samples_24k) + _RING_SAMPLES - 1).bit_length()
    delay = np.exp(-2j * pi * np.arange(length // 2 + 1) / length)  # z to the -1
    response = np.ones_like(delay)
    for b, a in (_head_shelf(), _low_cut()):
        response *= np.polyval(b[::-1], delay) / np.polyval(a[::-1], delay)
    spectrum = np.fft.rfft(samples_24k.astype(np.float64), length)
    return np.fft.irfft(spectrum * response, length)[: len(samples_24k)]


def _head_shelf(gain_db: float = 4.0, q: float = 1 / sqrt(2), corner_hz: float = 1_500.0) -> Biquad:
    """The head's acoustic effect: a high shelf (Audio EQ Cookbook)."""
    amplitude = 10 ** (gain_db / 40)
    omega = 2 * pi * corner_hz / SAMPLE_RATE_HZ
    up, down, turn = amplitude + 1, amplitude - 1, cos(omega)
    slope = 2 * sqrt(amplitude) * sin(omega) / (2 * q)
    b = amplitude * np.array([up + down * turn + slope, -2 * (down + up * turn), up + down * turn - slope])
    a = np.array([up - down * turn + slope, 2 * (down - up * turn), up - down * turn - slope])
    return b, a


def _low_cut(q: float = 0.5, corner_hz: float = 38.0) -> Biquad:
    """A high-pass (Audio EQ Cookbook)."""
    omega = 2 * pi * corner_hz / SAMPLE_RATE_HZ
    turn, slope = cos(omega), sin(omega) / (2 * q)
    b = np.array([(1 + turn) / 2, -(1 + turn), (1 + turn) / 2])
    a = np.array([1 + slope, -2 * turn, 1 - slope])
    return b, a
