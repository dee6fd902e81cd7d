"""RTCP compound packets, pure: reports, SDES and BYE; bytes in, values or one RtcpError out.

Source: RFC 3550 section 6; the header checks are those of appendix A.2. Wall clocks are arguments.
"""

import random
import struct
from dataclasses import dataclass

from telephony.errors import RtcpError

VERSION = 2
SR, RR, SDES, BYE = 200, 201, 202, 203
CNAME = 1

REPORT_INTERVAL_NS = 5_000_000_000
"""The smallest mean interval between reports that RFC 3550 section 6.2 recommends."""

_NTP_UNIX_S = 2_208_988_800  # 1900-01-01 to 1970-01-01
_NS_PER_S = 1_000_000_000
_WORD_BYTES = 4
_MAX_COUNT = 31
_MAX_TEXT_BYTES = 255
_HEADER = struct.Struct("!BBH")
_SSRC = struct.Struct("!I")
_SENDER = struct.Struct("!IQIII")
_BLOCK = struct.Struct("!IIIIII")


def ntp_stamp(wall_ns: int) -> int:
    """64-bit NTP stamp (32.32 fixed point since 1900) of `wall_ns` nanoseconds since 1970; wraps in 2036."""
    seconds, rest_ns = divmod(wall_ns, _NS_PER_S)
    return (seconds + _NTP_UNIX_S) % (1 << 32) << 32 | (rest_ns << 32) // _NS_PER_S


def ntp_middle(stamp: int) -> int:
    """The middle 32 bits of an NTP stamp: 16.16 fixed-point seconds, as LSR carries them."""
    return stamp >> 16 & 0xFFFFFFFF


def report_interval_ns(rng: random.Random, first: bool = False) -> int:
    """Time to the next report: 0.5 to 1.5 times the mean, so that calls never fall in step (section 6.2)."""
    mean_ns = REPORT_INTERVAL_NS // 2 if first else REPORT_INTERVAL_NS
    return int(mean_ns * (0.5 + rng.random()))


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """What a receiver says of one source (section 6.4.1). Jitter is in timestamp units."""

    ssrc: int
    fraction_lost: float
    cumulative_lost: int
    highest_sequence: int
    jitter_samples: int
    last_sr: int
    delay_since_last_sr: int

    def round_trip_ms(self, arrived_wall_ns: int) -> float | None:
        """Round trip by section 6.4.1, DLSR; None before the receiver has had a sender report.

        Clocks that stepped meanwhile give a negative answer: also None.
        """
        if self.last_sr == 0:
            return None
        arrived = ntp_middle(ntp_stamp(arrived_wall_ns))
        round_trip = (arrived - self.last_sr - self.delay_since_last_sr) & 0xFFFFFFFF
        return None if round_trip >= 1 << 31 else round_trip * 1000 / 65536

    def serialize(self) -> bytes:
        lost = round(self.fraction_lost * 256) << 24 | self.cumulative_lost & 0xFFFFFF
        return _BLOCK.pack(
            self.ssrc,
            lost,
            self.highest_sequence,
            self.jitter_samples,
            self.last_sr,
            self.delay_since_last_sr,
        )


@dataclass(frozen=True, slots=True)
class SenderReport:
    """SR: the sender's clocks side by side and what it has sent; octets are of payload alone."""

    ssrc: int
    ntp: int
    rtp_timestamp: int
    packets: int
    octets: int
    blocks: tuple[ReportBlock, ...] = ()

    def serialize(self) -> bytes:
        sender = _SENDER.pack(
            self.ssrc, self.ntp, self.rtp_timestamp, self.packets & 0xFFFFFFFF, self.octets & 0xFFFFFFFF
        )
        return _wrap(SR, len(self.blocks), sender + b"".join(block.serialize() for block in self.blocks))


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """RR: of a member that has sent no RTP lately."""

    ssrc: int
    blocks: tuple[ReportBlock, ...] = ()

    def serialize(self) -> bytes:
        body = _SSRC.pack(self.ssrc) + b"".join(block.serialize() for block in self.blocks)
        return _wrap(RR, len(self.blocks), body)


@dataclass(frozen=True, slots=True)
class SdesChunk:
    """One source's description: (item type, UTF-8 text) pairs in the order of the wire."""

    ssrc: int
    items: tuple[tuple[int, bytes], ...]

    def serialize(self) -> bytes:
        body = _SSRC.pack(self.ssrc)
        for kind, text in self.items:
            assert len(text) <= _MAX_TEXT_BYTES, "an SDES item holds 255 octets"
            body += bytes((kind, len(text))) + text
        # Section 6.5: the item list ends with a null octet, then nulls up to the next word.
        return body + bytes(_WORD_BYTES - len(body) % _WORD_BYTES)


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """SDES: who the sources are."""

    chunks: tuple[SdesChunk, ...]

    @classmethod
    def of_cname(cls, ssrc: int, cname: str) -> "SourceDescription":
        """Describe one source by its canonical name, which every compound must carry (section 6.1)."""
        return cls((SdesChunk(ssrc, ((CNAME, cname.encode()),)),))

    def serialize(self) -> bytes:
        return _wrap(SDES, len(self.chunks), b"".join(chunk.serialize() for chunk in self.chunks))


@dataclass(frozen=True, slots=True)
class Goodbye:
    """BYE: these sources leave; the reason is for people."""

    ssrcs: tuple[int, ...]
    reason: bytes = b""

    def serialize(self) -> bytes:
        assert len(self.reason) <= _MAX_TEXT_BYTES, "a BYE reason holds 255 octets"
        body = struct.pack(f"!{len(self.ssrcs)}I", *self.ssrcs)
        if self.reason:
            reason = bytes((len(self.reason),)) + self.reason
            body += reason + bytes(-len(reason) % _WORD_BYTES)
        return _wrap(BYE, len(self.ssrcs), body)


RtcpPacket = SenderReport | ReceiverReport | SourceDescription | Goodbye


def serialize_compound(
    report: SenderReport | ReceiverReport, description: SourceDescription, *rest: RtcpPacket
) -> bytes:
    """Write one datagram in the order that section 6.1 demands: a report, SDES, then the rest."""
    return b"".join(packet.serialize() for packet in (report, description, *rest))


def parse_compound(datagram: bytes) -> list[RtcpPacket]:
    """Read one datagram; RtcpError, and nothing else, if it is not RTCP.

    Packets of other types (APP, feedback, XR) are skipped, as section 6.1 asks.
    """
    packets: list[RtcpPacket] = []
    start = 0
    while start < len(datagram) or start == 0:
        kind, count, end, body = _read_packet(datagram, start)
        if start == 0 and kind not in (SR, RR):
            raise RtcpError("RTCP compound does not begin with a report")
        if kind in (SR, RR):
            packets.append(_read_report(kind, count, body))
        elif kind == SDES:
            packets.append(_read_sdes(count, body))
        elif kind == BYE:
            packets.append(_read_bye(count, body))
        start = end
    return packets


def _wrap(kind: int, count: int, body: bytes) -> bytes:
    assert count <= _MAX_COUNT, "an RTCP packet counts to 31"
    return _HEADER.pack(VERSION << 6 | count, kind, len(body) // _WORD_BYTES) + body


def _read_packet(datagram: bytes, start: int) -> tuple[int, int, int, bytes]:
    """Type, count, end in the datagram, and body without padding."""
    if len(datagram) < start + _HEADER.size:
        raise RtcpError("RTCP header is truncated")
    flags, kind, words = _HEADER.unpack_from(datagram, start)
    if flags >> 6 != VERSION:
        raise RtcpError("RTCP version is not 2")
    end = start + (words + 1) * _WORD_BYTES
    if len(datagram) < end:
        raise RtcpError("RTCP length passes the end of the datagram")
    body = bytes(datagram[start + _HEADER.size : end])
    if flags & 0x20:
        # Section 6.4.1: padding is on the last packet only, and is a multiple of four.
        padding_bytes = body[-1] if body else 0
        if end != len(datagram) or padding_bytes % _WORD_BYTES or not 0 < padding_bytes <= len(body):
            raise RtcpError("RTCP padding is invalid")
        body = body[: len(body) - padding_bytes]
    return kind, flags & 0x1F, end, body


def _read_report(kind: int, count: int, body: bytes) -> SenderReport | ReceiverReport:
    # A profile may append words of its own after the blocks (section 6.4.3): they are not read.
    head = _SENDER if kind == SR else _SSRC
    if len(body) < head.size + count * _BLOCK.size:
        raise RtcpError("RTCP report is truncated")
    blocks = tuple(_read_block(body, head.size + index * _BLOCK.size) for index in range(count))
    if kind == SR:
        ssrc, ntp, rtp_timestamp, packets, octets = _SENDER.unpack_from(body)
        return SenderReport(ssrc, ntp, rtp_timestamp, packets, octets, blocks)
    return ReceiverReport(_SSRC.unpack_from(body)[0], blocks)


def _read_block(body: bytes, start: int) -> ReportBlock:
    ssrc, lost, highest_sequence, jitter_samples, last_sr, delay = _BLOCK.unpack_from(body, start)
    cumulative = lost & 0xFFFFFF
    # 24 bits, signed: duplicates make it negative.
    cumulative -= (cumulative & 0x800000) << 1
    return ReportBlock(ssrc, (lost >> 24) / 256, cumulative, highest_sequence, jitter_samples, last_sr, delay)


def _read_sdes(count: int, body: bytes) -> SourceDescription:
    chunks = []
    start = 0
    for _ in range(count):
        if len(body) < start + _SSRC.size:
            raise RtcpError("RTCP SDES chunk is truncated")
        (ssrc,) = _SSRC.unpack_from(body, start)
        items, start = _read_items(body, start + _SSRC.size)
        chunks.append(SdesChunk(ssrc, items))
    return SourceDescription(tuple(chunks))


def _read_items(body: bytes, start: int) -> tuple[tuple[tuple[int, bytes], ...], int]:
    items = []
    while start < len(body) and body[start] != 0:
        if len(body) < start + 2 or len(body) < start + 2 + body[start + 1]:
            raise RtcpError("RTCP SDES item is truncated")
        text_end = start + 2 + body[start + 1]
        items.append((body[start], body[start + 2 : text_end]))
        start = text_end
    if start >= len(body):
        raise RtcpError("RTCP SDES chunk has no end")
    return tuple(items), start - start % _WORD_BYTES + _WORD_BYTES


def _read_bye(count: int, body: bytes) -> Goodbye:
    ssrcs_end = count * _SSRC.size
    if len(body) < ssrcs_end:
        raise RtcpError("RTCP BYE is truncated")
    ssrcs = struct.unpack_from(f"!{count}I", body)
    if len(body) == ssrcs_end:
        return Goodbye(ssrcs)
    reason_end = ssrcs_end + 1 + body[ssrcs_end]
    if len(body) < reason_end:
        raise RtcpError("RTCP BYE reason is truncated")
    return Goodbye(ssrcs, body[ssrcs_end + 1 : reason_end])
