"""RTP packets, pure: bytes in, one value or one RtpError out, and the same bytes back.

Source: RFC 3550 section 5.1 (header), 5.3.1 (extension), appendix A.1 (validity); RFC 1982 (serial numbers).
"""

import struct
from dataclasses import dataclass

from telephony.errors import RtpError, UnsupportedFormat
from telephony.format import AudioFormat, Encoding

VERSION = 2
HEADER = struct.Struct("!BBHII")
"""Version/flags, marker/payload type, sequence number, timestamp, SSRC: the twelve fixed octets."""

_WORD_BYTES = 4
_EXTENSION = struct.Struct("!HH")
_SEQUENCE_MOD = 1 << 16
_TIMESTAMP_MOD = 1 << 32
# RFC 5761 section 4: with these types the second octet is that of an RTCP packet.
_RTCP_TYPES = range(72, 77)
_STATIC_PAYLOAD_TYPES = {Encoding.MULAW: 0, Encoding.ALAW: 8}


def static_payload_type(audio_format: AudioFormat) -> int:
    """Return the payload type that RFC 3551 table 4 gives this encoding; UnsupportedFormat if none."""
    try:
        return _STATIC_PAYLOAD_TYPES[audio_format.encoding]
    except KeyError:
        raise UnsupportedFormat("encoding", audio_format.encoding.value, "mulaw or alaw on RTP") from None


def seq_add(sequence_number: int, packets: int) -> int:
    """Sequence number `packets` later (or earlier), in 16 bits."""
    return (sequence_number + packets) % _SEQUENCE_MOD


def ts_add(timestamp: int, samples: int) -> int:
    """Timestamp `samples` later (or earlier), in 32 bits."""
    return (timestamp + samples) % _TIMESTAMP_MOD


def seq_after(one: int, other: int) -> bool:
    """Whether `one` is later than `other`: less than half the circle ahead (RFC 1982 section 3.2)."""
    return 0 < (one - other) % _SEQUENCE_MOD < _SEQUENCE_MOD // 2


def ts_after(one: int, other: int) -> bool:
    """Whether timestamp `one` is later than `other`: less than half the circle ahead."""
    return 0 < (one - other) % _TIMESTAMP_MOD < _TIMESTAMP_MOD // 2


@dataclass(frozen=True, slots=True)
class RtpExtension:
    """Header extension: 16 profile-defined bits and whole 32-bit words."""

    profile: int
    words: bytes


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """One datagram. `padding_bytes` counts the octets after the payload, their count octet included."""

    payload_type: int
    sequence_number: int
    timestamp: int
    ssrc: int
    payload: bytes
    marker: bool = False
    csrcs: tuple[int, ...] = ()
    extension: RtpExtension | None = None
    padding_bytes: int = 0

    @classmethod
    def parse(cls, datagram: bytes) -> "RtpPacket":
        """Read one datagram; RtpError, and nothing else, if it is not RTP."""
        if len(datagram) < HEADER.size:
            raise RtpError("RTP header is truncated")
        flags, kind, sequence_number, timestamp, ssrc = HEADER.unpack_from(datagram)
        if flags >> 6 != VERSION:
            raise RtpError("RTP version is not 2")
        if kind & 0x7F in _RTCP_TYPES:
            raise RtpError("RTP payload type is an RTCP packet type")
        csrcs, start = _read_csrcs(datagram, flags & 0x0F)
        extension, start = _read_extension(datagram, start) if flags & 0x10 else (None, start)
        padding_bytes = _read_padding(datagram, start) if flags & 0x20 else 0
        payload = datagram[start : len(datagram) - padding_bytes]
        return cls(
            kind & 0x7F,
            sequence_number,
            timestamp,
            ssrc,
            bytes(payload),
            bool(kind & 0x80),
            csrcs,
            extension,
            padding_bytes,
        )

    def serialize(self) -> bytes:
        """Write the datagram; padding octets are zero but for the count."""
        assert len(self.csrcs) <= 15, "an RTP header holds 15 CSRCs"
        assert 0 <= self.payload_type < 128, "an RTP payload type has 7 bits"
        flags = VERSION << 6 | len(self.csrcs)
        flags |= 0x20 if self.padding_bytes else 0
        flags |= 0x10 if self.extension else 0
        kind = self.payload_type | (0x80 if self.marker else 0)
        parts = [HEADER.pack(flags, kind, self.sequence_number, self.timestamp, self.ssrc)]
        parts.append(struct.pack(f"!{len(self.csrcs)}I", *self.csrcs))
        if self.extension:
            words = self.extension.words
            assert len(words) % _WORD_BYTES == 0, "an RTP extension is whole words"
            parts.append(_EXTENSION.pack(self.extension.profile, len(words) // _WORD_BYTES) + words)
        parts.append(self.payload)
        if self.padding_bytes:
            parts.append(bytes(self.padding_bytes - 1) + bytes((self.padding_bytes,)))
        return b"".join(parts)


def _read_csrcs(datagram: bytes, count: int) -> tuple[tuple[int, ...], int]:
    end = HEADER.size + count * _WORD_BYTES
    if len(datagram) < end:
        raise RtpError("RTP CSRC list is truncated")
    return struct.unpack_from(f"!{count}I", datagram, HEADER.size), end


def _read_extension(datagram: bytes, start: int) -> tuple[RtpExtension, int]:
    body = start + _EXTENSION.size
    if len(datagram) < body:
        raise RtpError("RTP extension header is truncated")
    profile, words = _EXTENSION.unpack_from(datagram, start)
    end = body + words * _WORD_BYTES
    if len(datagram) < end:
        raise RtpError("RTP extension is truncated")
    return RtpExtension(profile, bytes(datagram[body:end])), end


def _read_padding(datagram: bytes, start: int) -> int:
    padding_bytes = datagram[-1]
    if not 0 < padding_bytes <= len(datagram) - start:
        raise RtpError("RTP padding length is invalid")
    return padding_bytes
