"""G.711 by table: every one of the 65,536 samples and 256 codes as ITU-T G.191 has it, bit for bit.

Source: ITU-T G.711 (11/88) tables 1 and 2, in the reading of G.191's ulaw_compress, ulaw_expand,
alaw_compress and alaw_expand on 16-bit samples. Other tables in use differ on negative samples.
"""

import numpy as np
from numpy.typing import NDArray

# Order of the samples as their bit patterns: 0, 1, ... 32767, -32768, ... -1. A table is indexed by the
# pattern, so that a sample needs no offset and no check.
_PATTERNS = np.arange(1 << 16, dtype=np.uint16)
_CODES = np.arange(1 << 8, dtype=np.int32)

_SIGN = 0x80
# Table 1 of G.711: A-law travels with its even bits inverted.
_ALAW_TOGGLE = 0x55
_MULAW_BIAS = 33
_MULAW_MAX = 0x1FFF


def _bit_length(values: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.frexp(values)[1].astype(np.int32)


def _magnitudes() -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Magnitude and sign bit of every sample. G.191 takes the ones' complement: -1 and 0 are both 0."""
    samples = _PATTERNS.view(np.int16).astype(np.int32)
    return np.where(samples >= 0, samples, ~samples), np.where(samples >= 0, _SIGN, 0).astype(np.int32)


def _mulaw_codes() -> NDArray[np.uint8]:
    magnitudes, signs = _magnitudes()
    biased = np.minimum((magnitudes >> 2) + _MULAW_BIAS, _MULAW_MAX)
    segments = _bit_length(biased >> 6)
    steps = biased >> (segments + 1) & 0x0F
    codes: NDArray[np.int32] = signs | (7 - segments) << 4 | 15 - steps
    return codes.astype(np.uint8)


def _mulaw_samples() -> NDArray[np.int16]:
    inverted = ~_CODES & 0x7F
    magnitudes = (((inverted & 0x0F) << 3) + 4 * _MULAW_BIAS << (inverted >> 4)) - 4 * _MULAW_BIAS
    return np.where(_CODES & _SIGN, magnitudes, -magnitudes).astype(np.int16)


def _alaw_codes() -> NDArray[np.uint8]:
    magnitudes, signs = _magnitudes()
    steps = magnitudes >> 4
    # Segments 0 and 1 have the same step; each later one doubles it.
    doublings = np.maximum(_bit_length(steps) - 5, 0)
    codes: NDArray[np.int32] = (signs | (steps >> doublings) + 16 * doublings) ^ _ALAW_TOGGLE
    return codes.astype(np.uint8)


def _alaw_samples() -> NDArray[np.int16]:
    codes = _CODES ^ _ALAW_TOGGLE
    segments = codes >> 4 & 0x07
    # Half a step is added: the decoder answers the middle of the interval.
    middles = ((codes & 0x0F) << 4) + 8
    magnitudes = np.where(segments, middles + 256 << np.maximum(segments - 1, 0), middles)
    return np.where(codes & _SIGN, magnitudes, -magnitudes).astype(np.int16)


_MULAW_CODES = _mulaw_codes()
_MULAW_SAMPLES = _mulaw_samples()
_ALAW_CODES = _alaw_codes()
_ALAW_SAMPLES = _alaw_samples()


def encode_mulaw(pcm: NDArray[np.int16]) -> NDArray[np.uint8]:
    """16-bit samples, any shape, to mu-law codes of the same shape (G.711 table 2)."""
    return _MULAW_CODES.take(pcm.view(np.uint16))


def decode_mulaw(codes: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Mu-law codes, any shape, to 16-bit samples of the same shape; the peak is ±32124."""
    return _MULAW_SAMPLES[codes]


def encode_alaw(pcm: NDArray[np.int16]) -> NDArray[np.uint8]:
    """16-bit samples, any shape, to A-law codes of the same shape (G.711 table 1)."""
    return _ALAW_CODES.take(pcm.view(np.uint16))


def decode_alaw(codes: NDArray[np.uint8]) -> NDArray[np.int16]:
    """A-law codes, any shape, to 16-bit samples of the same shape; the peak is ±32256."""
    return _ALAW_SAMPLES[codes]
