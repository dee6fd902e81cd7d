"""Pure: where a stream becomes audible. Payload bytes become samples, samples become an onset.

Audible is decided by short-time level, not by the first non-zero code: G.711 has no exact zero, and
engines begin with a breath of noise. See METHODOLOGY.md, "First audible sample".
"""

import numpy as np
from numpy.typing import NDArray

from telephony.format import Encoding
from telephony.g711 import decode_alaw, decode_mulaw

Samples = NDArray[np.float32]
"""Mono audio, -1..1."""

AUDIBLE_DBOV = -50.0
"""Some 27 dB below active speech at -23 dBov, and 20 dB above the idle noise of G.711."""

WINDOW_MS = 5

_AUDIBLE_AMPLITUDE = 10.0 ** (AUDIBLE_DBOV / 20.0)
_DECODERS = {Encoding.MULAW: decode_mulaw, Encoding.ALAW: decode_alaw}


class SampleReader:
    """Bytes of one stream, cut anywhere, to samples: a sample in two halves waits for the second."""

    def __init__(self, encoding: Encoding) -> None:
        self._decode = _DECODERS.get(encoding)
        self._half = b""

    def push(self, payload: bytes) -> Samples:
        """The samples (n,) that these bytes complete."""
        if self._decode is not None:
            return _to_float(self._decode(np.frombuffer(payload, np.uint8)))
        payload = self._half + payload
        whole_bytes = len(payload) & ~1
        self._half = payload[whole_bytes:]
        return _to_float(np.frombuffer(payload[:whole_bytes], "<i2"))


class Onset:
    """Finds the first audible sample of one stream, cut anywhere.

    It is the first sample at AUDIBLE_DBOV or above inside the first WINDOW_MS whose RMS level is
    AUDIBLE_DBOV or above; the window slides by one sample.
    """

    def __init__(self, rate_hz: int) -> None:
        self.first_audible_sample: int | None = None
        self._window_samples = rate_hz * WINDOW_MS // 1000
        self._kept: Samples = np.zeros(0, np.float32)  # too short for a window yet
        self._kept_from = 0

    def push(self, samples: Samples) -> int | None:
        """Position of the first audible sample in the stream, once it is known."""
        if self.first_audible_sample is not None:
            return self.first_audible_sample
        heard = np.concatenate((self._kept, samples))
        index = _first_audible(heard, self._window_samples)
        if index is not None:
            self.first_audible_sample = self._kept_from + index
            return self.first_audible_sample
        keep = min(len(heard), self._window_samples - 1)
        self._kept_from += len(heard) - keep
        self._kept = heard[len(heard) - keep :]
        return None

    def skip(self, samples: int) -> None:
        """So many samples of silence pass: they were lost, or not sent."""
        if self.first_audible_sample is None:
            near = min(samples, self._window_samples - 1)
            self.push(np.zeros(near, np.float32))
            self._kept_from += samples - near


def first_audible_sample(samples: Samples, rate_hz: int) -> int | None:
    """The same for a whole stream at once; None when nothing in it is audible."""
    return Onset(rate_hz).push(samples)


def _first_audible(samples: Samples, window_samples: int) -> int | None:
    if len(samples) < window_samples:
        return None
    # Squares of windows from scratch, not from a running sum: the result must not depend on the cutting.
    windows = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), window_samples)
    loud = np.flatnonzero(np.einsum("ij,ij->i", windows, windows) >= window_samples * _AUDIBLE_AMPLITUDE**2)
    if not len(loud):
        return None
    first = int(loud[0])
    return first + int(np.argmax(np.abs(windows[first]) >= _AUDIBLE_AMPLITUDE))


def _to_float(pcm: NDArray[np.int16]) -> Samples:
    return pcm.astype(np.float32) / np.float32(32768.0)
