"""What a line carries: an encoding, its rate and the length of one frame."""

from dataclasses import dataclass
from enum import Enum

from telephony.errors import UnsupportedFormat

SOURCE_RATE_HZ = 24_000
"""Rate of the float chunks that enter this package; all output rates divide it or its double."""

PTIME_MS = 20


class Encoding(str, Enum):
    """How a sample is written. The value is the name on every API."""

    MULAW = "mulaw"
    ALAW = "alaw"
    PCM16 = "pcm16"


RATES_HZ: dict[Encoding, tuple[int, ...]] = {
    Encoding.MULAW: (8_000,),
    Encoding.ALAW: (8_000,),
    Encoding.PCM16: (8_000, 16_000, 24_000),
}

_SAMPLE_BYTES = {Encoding.MULAW: 1, Encoding.ALAW: 1, Encoding.PCM16: 2}

# Code of the sample 0: ITU-T G.711 tables 2a and 1a (A-law inverted on even bits).
_SILENCE_CODE = {Encoding.MULAW: b"\xff", Encoding.ALAW: b"\xd5", Encoding.PCM16: b"\x00"}


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """One line's format. Build it with :meth:`of`, which refuses what no line speaks."""

    encoding: Encoding
    rate_hz: int
    ptime_ms: int = PTIME_MS

    @classmethod
    def of(cls, encoding: str, rate_hz: int | None = None, ptime_ms: int = PTIME_MS) -> "AudioFormat":
        """Check and build. Without a rate: the encoding's lowest.

        Raises UnsupportedFormat naming the field ``encoding``, ``sample_rate`` or ``ptime``.
        """
        try:
            known = Encoding(encoding)
        except ValueError:
            allowed = ", ".join(each.value for each in Encoding)
            raise UnsupportedFormat("encoding", encoding, allowed) from None
        rates = RATES_HZ[known]
        rate = rates[0] if rate_hz is None else rate_hz
        if rate not in rates:
            allowed = " or ".join(str(each) for each in rates)
            raise UnsupportedFormat("sample_rate", rate, f"{allowed} for {known.value}")
        if ptime_ms not in (10, 20, 30, 40, 60):
            raise UnsupportedFormat("ptime", ptime_ms, "10, 20, 30, 40 or 60")
        return cls(known, rate, ptime_ms)

    @property
    def frame_samples(self) -> int:
        """Samples in one frame: 160 at 8 kHz and 20 ms."""
        return self.rate_hz * self.ptime_ms // 1000

    @property
    def sample_bytes(self) -> int:
        return _SAMPLE_BYTES[self.encoding]

    @property
    def payload_bytes(self) -> int:
        """Bytes of one frame once encoded."""
        return self.frame_samples * self.sample_bytes

    @property
    def silence(self) -> bytes:
        """The payload of one frame of digital silence."""
        return _SILENCE_CODE[self.encoding] * (self.payload_bytes // len(_SILENCE_CODE[self.encoding]))


TELEPHONE = AudioFormat(Encoding.MULAW, 8_000)
"""PCMU, what most of the world's telephone lines carry."""
