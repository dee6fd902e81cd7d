"""Line encoder: 24 kHz float chunks in, payloads of exactly one frame out, ready for a packet or message."""

from collections.abc import Callable
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from telephony.format import AudioFormat, Encoding
from telephony.framer import Framer
from telephony.g711 import encode_alaw, encode_mulaw
from telephony.level import NOMINAL_DBOV, TARGET_DBOV, Leveller
from telephony.resample import Resampler

_FULL_SCALE = np.float32(1 << 15)
_LARGEST = np.float32((1 << 15) - 1)


class LineEncoder:
    """Levels, resamples, frames and encodes one call's speech for its line.

    `nominal_dbov` is the voice's usual active speech level, see :class:`Leveller`. With `level=False` the
    audio keeps its level and is clipped at full scale: for files, not for telephones. Samples that are not
    finite are silence: a broken one must not outlive its block in the level estimate.
    """

    def __init__(
        self,
        audio_format: AudioFormat,
        nominal_dbov: float = NOMINAL_DBOV,
        target_dbov: float = TARGET_DBOV,
        *,
        level: bool = True,
    ) -> None:
        self.format = audio_format
        self._leveller = Leveller(nominal_dbov, target_dbov) if level else None
        self._resampler = Resampler(audio_format.rate_hz)
        self._framer = Framer(audio_format.frame_samples)

    @property
    def delay_samples(self) -> int:
        """How late the frames run, in samples at 24 kHz: what went in at n comes out at n plus this."""
        return self._resampler.delay_samples

    def push(self, chunk: NDArray[np.float32]) -> list[bytes]:
        """Take (samples,) at 24 kHz; answer the payloads it completes, `format.payload_bytes` each."""
        if not np.isfinite(chunk).all():
            chunk = np.nan_to_num(chunk, nan=0.0, posinf=0.0, neginf=0.0)
        levelled = [chunk] if self._leveller is None else self._leveller.push(chunk)
        return self._encode(self._frames(self._resampled(levelled)))

    def flush(self) -> list[bytes]:
        """End the utterance: answer what the stages hold, its last frame filled with silence."""
        levelled = [] if self._leveller is None else self._leveller.flush()
        resampled = self._resampled(levelled) + self._resampler.flush()
        return self._encode(self._frames(resampled) + self._framer.flush())

    def clear(self) -> None:
        """Drop what the stages hold. The level estimate stays: after barge-in the same voice goes on."""
        if self._leveller is not None:
            self._leveller.clear()
        self._resampler.clear()
        self._framer.clear()

    def _resampled(self, chunks: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        return list(chain.from_iterable(map(self._resampler.push, chunks)))

    def _frames(self, chunks: list[NDArray[np.float32]]) -> list[NDArray[np.int16]]:
        return list(chain.from_iterable(self._framer.push(_to_pcm16(chunk)) for chunk in chunks))

    def _encode(self, frames: list[NDArray[np.int16]]) -> list[bytes]:
        return encode_payloads(np.stack(frames), self.format.encoding) if frames else []


def encode_payloads(pcm: NDArray[np.int16], encoding: Encoding) -> list[bytes]:
    """Encode (frames, frame_samples) samples, one payload per frame; PCM is little-endian."""
    codes = _ENCODERS[encoding](pcm)
    encoded = codes.tobytes()
    payload_bytes = pcm.shape[1] * codes.itemsize
    return [encoded[start : start + payload_bytes] for start in range(0, len(encoded), payload_bytes)]


def _encode_pcm16(pcm: NDArray[np.int16]) -> NDArray[np.int16]:
    return pcm.astype("<i2", copy=False)


_ENCODERS: dict[Encoding, Callable[[NDArray[np.int16]], NDArray[np.integer]]] = {
    Encoding.MULAW: encode_mulaw,
    Encoding.ALAW: encode_alaw,
    Encoding.PCM16: _encode_pcm16,
}


def _to_pcm16(chunk: NDArray[np.float32]) -> NDArray[np.int16]:
    """Round to the nearest sample, half to even; clip at full scale."""
    scaled = np.rint(chunk * _FULL_SCALE)
    clipped: NDArray[np.float32] = np.minimum(np.maximum(scaled, -_FULL_SCALE), _LARGEST)
    return clipped.astype(np.int16)
