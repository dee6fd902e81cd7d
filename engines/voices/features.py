"""Spectral features of a recording, each exactly as its net was trained with. Pure numpy.

Everything is computed in float64 and given as float32. Mel filter banks are computed, not stored.
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from engines.contract import Samples
from engines.model import MEL_BANDS
from engines.rates import HOP_SAMPLES, SAMPLE_RATE_HZ

RATE_16K_HZ = 16_000
HOP_16K_SAMPLES = 160

Floats = NDArray[np.floating[Any]]
Features = NDArray[np.float32]

_PROMPT_FFT = 4 * HOP_SAMPLES
_PROMPT_TOP_HZ = 8_000
_FFT_16K = 400
_TOKENIZER_BANDS = 128

_KALDI_WINDOW = 400
_KALDI_FFT = 512
_KALDI_BANDS = 80
_KALDI_BOTTOM_HZ = 20.0
_KALDI_PRE_EMPHASIS = 0.97

_SPEAKER_BANDS = 40
_PARTIAL_FRAMES = 160
_PARTIALS_PER_S = 1.3
_PARTIAL_COVERAGE = 0.8  # the last partial is kept, padded, when at least so much of it is recording
_TRIM_FRAME, _TRIM_HOP = 2_048, 512
_TRIM_POWER = 10 ** (-20 / 10)  # of the loudest frame: 20 dB down is silence


def prompt_mel(samples_24k: Samples) -> Features:
    """S3Gen's mel: natural log of magnitudes in 80 bands to 8 kHz, one frame a hop: (frames, 80)."""
    edge = (_PROMPT_FFT - HOP_SAMPLES) // 2
    padded = np.pad(_wide(samples_24k), edge, mode="reflect")
    power = _power(padded, _hann(_PROMPT_FFT), HOP_SAMPLES)
    bank = slaney_bank(SAMPLE_RATE_HZ, _PROMPT_FFT, MEL_BANDS, _PROMPT_TOP_HZ)
    mel = np.sqrt(power + 1e-9) @ bank.T
    return _narrow(np.log(np.maximum(mel, 1e-5)))


def log_mel_128(samples_16k: Samples) -> Features:
    """The speech tokenizer's log-mel, Whisper's kind: (128, frames), 100 frames a second.

    The scale is the recording's own: nothing is more than 8 decades under the loudest.
    """
    power = _centred_power(samples_16k)[:-1]
    mel = power @ slaney_bank(RATE_16K_HZ, _FFT_16K, _TOKENIZER_BANDS).T
    log = np.log10(np.maximum(mel, 1e-10))
    log = np.maximum(log, log.max() - 8.0)
    return _narrow((log.T + 4.0) / 4.0)


def kaldi_fbank(samples_16k: Samples) -> Features:
    """CAMPPlus's filter banks: Kaldi's defaults, 80 bands, no dither, less their mean: (frames, 80)."""
    frames = sliding_window_view(_wide(samples_16k), _KALDI_WINDOW)[::HOP_16K_SAMPLES]
    frames = frames - frames.mean(1, keepdims=True)
    povey = np.hanning(_KALDI_WINDOW) ** 0.85  # 0 at the first sample, which has none before it to subtract
    emphasised = frames[:, 1:] - _KALDI_PRE_EMPHASIS * frames[:, :-1]
    spectrum = np.fft.rfft(emphasised * povey[1:], _KALDI_FFT)
    energy = (np.abs(spectrum) ** 2) @ _kaldi_bank().T
    log = np.log(np.maximum(energy, np.finfo(np.float32).eps))
    return _narrow(log - log.mean(0))


def voice_encoder_partials(samples_16k: Samples) -> Features:
    """The voice encoder's mel power of overlapping partial utterances: (N, 160, 40).

    Silence at both ends is trimmed first. The last partial may be padded with zeros.
    """
    power = _centred_power(trim_silence(samples_16k))
    mel = power @ slaney_bank(RATE_16K_HZ, _FFT_16K, _SPEAKER_BANDS).T
    step = round(RATE_16K_HZ / _PARTIALS_PER_S / HOP_16K_SAMPLES)
    count, rest = divmod(max(len(mel) - _PARTIAL_FRAMES + step, 0), step)
    if count == 0 or (rest + _PARTIAL_FRAMES - step) / _PARTIAL_FRAMES >= _PARTIAL_COVERAGE:
        count += 1
    wanted = _PARTIAL_FRAMES + step * (count - 1)
    mel = np.pad(mel[:wanted], ((0, max(wanted - len(mel), 0)), (0, 0)))
    partials = sliding_window_view(mel, _PARTIAL_FRAMES, axis=0)[::step]  # (N, 40, 160)
    return _narrow(partials.transpose(0, 2, 1))


def trim_silence(samples: Samples) -> Samples:
    """Less its ends that are 20 dB under the loudest frame of 2048 samples, to a hop of 512."""
    padded = np.pad(_wide(samples), _TRIM_FRAME // 2)
    power = (sliding_window_view(padded, _TRIM_FRAME)[::_TRIM_HOP] ** 2).mean(1)
    loud = np.flatnonzero(power > power.max() * _TRIM_POWER)
    if not len(loud):
        return samples[:0]
    return samples[loud[0] * _TRIM_HOP : (loud[-1] + 1) * _TRIM_HOP]


@cache
def slaney_bank(rate_hz: int, fft: int, bands: int, top_hz: float | None = None) -> Floats:
    """Triangles of equal area on Slaney's mel scale from 0 Hz: (bands, fft / 2 + 1).

    The scale is linear to 1 kHz, 15 mel, and then logarithmic, 27 mel to a factor of 6.4 (Auditory
    Toolbox, 1998).
    """
    top_hz = top_hz or rate_hz / 2
    octave = np.log(6.4) / 27
    top_mel = 15 * top_hz / 1_000 if top_hz < 1_000 else 15 + np.log(top_hz / 1_000) / octave
    mel = np.linspace(0, top_mel, bands + 2)
    edges = np.where(mel < 15, mel * 1_000 / 15, 1_000 * np.exp(octave * (mel - 15)))
    bank = _triangles(np.arange(fft // 2 + 1) * (rate_hz / fft), edges)
    return _frozen(bank * (2 / (edges[2:] - edges[:-2]))[:, None])


@cache
def _kaldi_bank() -> Floats:
    """Triangles of height 1, straight in mel rather than in Hz: (80, 257). HTK's mel scale."""

    def mel(hz: Floats) -> Floats:
        return 1_127 * np.log1p(hz / 700)

    bottom, top = mel(np.array([_KALDI_BOTTOM_HZ, RATE_16K_HZ / 2]))
    edges = np.linspace(bottom, top, _KALDI_BANDS + 2)
    bins = mel(np.arange(_KALDI_FFT // 2 + 1) * (RATE_16K_HZ / _KALDI_FFT))
    return _frozen(_triangles(bins, edges))


def _triangles(bins: Floats, edges: Floats) -> Floats:
    """Triangles from edge to edge, of height 1 at the middle one, at ``bins``: (edges - 2, bins)."""
    left, middle, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (bins - left) / (middle - left)
    falling = (right - bins) / (right - middle)
    heights: Floats = np.maximum(0, np.minimum(rising, falling))
    return heights


def _centred_power(samples_16k: Samples) -> Floats:
    """Power spectra of frames centred on every hop, the ends mirrored: (1 + n / 160, 201)."""
    padded = np.pad(_wide(samples_16k), _FFT_16K // 2, mode="reflect")
    return _power(padded, _hann(_FFT_16K), HOP_16K_SAMPLES)


def _power(samples: Floats, window: Floats, hop: int) -> Floats:
    frames = sliding_window_view(samples, len(window))[::hop]
    spectrum = np.fft.rfft(frames * window)
    return spectrum.real**2 + spectrum.imag**2


def _hann(length: int) -> Floats:
    """The periodic one."""
    return np.hanning(length + 1)[:-1]


def _wide(samples: Samples) -> Floats:
    return samples.astype(np.float64)


def _narrow(features: Floats) -> Features:
    return np.ascontiguousarray(features, np.float32)


def _frozen(bank: Floats) -> Floats:
    bank.setflags(write=False)
    return bank
