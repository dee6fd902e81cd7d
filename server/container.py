"""What an HTTP answer's audio is wrapped in: raw, WAV, or a compressed container by PyAV."""

import io
import struct
from typing import Any, Protocol, cast

import numpy as np

from engines.contract import Samples
from engines.rates import SAMPLE_RATE_HZ
from telephony.encoder import LineEncoder
from telephony.format import AudioFormat, Encoding

_UNKNOWN_LENGTH = 0xFFFF_FFFF  # a stream's length is not known when its header goes out

# WAVE format tags: RFC 2361 sections A.1, A.4 and A.5.
_WAVE_TAG = {Encoding.PCM16: 0x0001, Encoding.ALAW: 0x0006, Encoding.MULAW: 0x0007}

_RAW_TYPE = {Encoding.PCM16: "audio/pcm", Encoding.ALAW: "audio/PCMA", Encoding.MULAW: "audio/PCMU"}

# Container, codec, bit rate, media type.
COMPRESSED = {
    "mp3": ("mp3", "libmp3lame", 64_000, "audio/mpeg"),
    "opus": ("ogg", "libopus", 32_000, "audio/ogg"),
    "aac": ("adts", "aac", 64_000, "audio/aac"),
    "flac": ("flac", "flac", None, "audio/flac"),
}

# A body cannot be sought in, so mp3 gets no table of contents. An Ogg page goes out each 100 ms, not 1 s.
_MUXER_OPTIONS = {"mp3": {"write_xing": "0"}, "opus": {"page_duration": "100000"}}


class Container(Protocol):
    """Samples in, bytes of the answer's body out."""

    media_type: str

    def push(self, samples: Samples) -> bytes: ...

    def flush(self) -> bytes: ...


class RawContainer:
    """Bare samples in a line's format; with ``wav`` a WAVE header goes ahead of them."""

    def __init__(self, audio_format: AudioFormat, encoder: LineEncoder, wav: bool) -> None:
        self.media_type = "audio/wav" if wav else _raw_type(audio_format)
        self._encoder = encoder
        self._header = wav_header(audio_format, _UNKNOWN_LENGTH) if wav else b""

    def push(self, samples: Samples) -> bytes:
        header, self._header = self._header, b""
        return header + b"".join(self._encoder.push(samples))

    def flush(self) -> bytes:
        return b"".join(self._encoder.flush())


class CompressedContainer:
    """A 24 kHz stream of mp3, opus, aac or flac."""

    def __init__(self, response_format: str) -> None:
        import av  # 60 ms to import: paid by those who ask for it

        container, codec, bit_rate, self.media_type = COMPRESSED[response_format]
        self._av = av
        self._body = _Body()
        self._output = cast(
            Any, av.open(self._body, "w", format=container, options=_MUXER_OPTIONS.get(response_format, {}))
        )
        self._track = self._output.add_stream(codec, rate=SAMPLE_RATE_HZ, layout="mono")
        if bit_rate is not None:
            self._track.bit_rate = bit_rate
        self._samples = 0

    def push(self, samples: Samples) -> bytes:
        if not len(samples):
            return b""
        pcm = np.clip(np.rint(samples * 32_767), -32_768, 32_767).astype(np.int16)
        frame = self._av.AudioFrame.from_ndarray(pcm[np.newaxis, :], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE_HZ
        frame.pts = self._samples
        self._samples += len(samples)
        for packet in self._track.encode(frame):
            self._output.mux(packet)
        return self._body.take()

    def flush(self) -> bytes:
        for packet in self._track.encode(None):
            self._output.mux(packet)
        self._output.close()
        return self._body.take()


class _Body(io.RawIOBase):
    """Collects what a muxer writes; cannot be sought in, as an HTTP body cannot."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        self._pieces.append(bytes(piece))
        return len(piece)

    def take(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


def wav_header(audio_format: AudioFormat, data_bytes: int) -> bytes:
    """RIFF/WAVE header for a mono body of ``data_bytes``; 0xFFFFFFFF when that is not known."""
    sample_bytes = audio_format.sample_bytes
    riff_bytes = data_bytes if data_bytes == _UNKNOWN_LENGTH else data_bytes + 36
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        riff_bytes,
        b"WAVE",
        b"fmt ",
        16,
        _WAVE_TAG[audio_format.encoding],
        1,
        audio_format.rate_hz,
        audio_format.rate_hz * sample_bytes,
        sample_bytes,
        8 * sample_bytes,
        b"data",
        data_bytes,
    )


def _raw_type(audio_format: AudioFormat) -> str:
    return f"{_RAW_TYPE[audio_format.encoding]};rate={audio_format.rate_hz}"
