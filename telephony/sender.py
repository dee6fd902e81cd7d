"""One RTP stream's sending half, pure: ticks become packets, counts become reports.

Sequence numbers count packets; timestamps count time and run on through silence (RFC 3550 section 5.1,
RFC 3551 section 4.1). The wall clock is an argument and is read for NTP stamps alone.
"""

from collections import deque
from enum import Enum

from telephony.format import AudioFormat
from telephony.playout import Tick
from telephony.rtcp import (
    Goodbye,
    ReceiverReport,
    SenderReport,
    SourceDescription,
    ntp_stamp,
    serialize_compound,
)
from telephony.rtp import HEADER, VERSION, seq_add, ts_add

_FLAGS = VERSION << 6
_MARKER = 0x80


class Silence(str, Enum):
    """What the line carries between talkspurts."""

    PACKETS = "packets"
    """Silent frames: keeps NAT bindings and RTP inactivity timers content."""
    NONE = "none"
    """Nothing: half the bandwidth, for peers that make their own comfort noise."""


class RtpSender:
    """Makes the packets of one SSRC. First sequence number and timestamp should be random (section 5.1)."""

    def __init__(
        self,
        audio_format: AudioFormat,
        payload_type: int,
        ssrc: int,
        first_sequence: int,
        first_timestamp: int,
        *,
        cname: str,
        silence: Silence = Silence.PACKETS,
    ) -> None:
        self.ssrc = ssrc
        self.packets = 0
        self.octets = 0
        self._frame_samples = audio_format.frame_samples
        self._payload_type = payload_type
        self._sequence_number = first_sequence
        self._timestamp = first_timestamp
        self._quiet = silence is Silence.NONE
        self._description = SourceDescription.of_cname(ssrc, cname)
        # Packets counted at the last report and at the one before it.
        self._packets_reported = deque((0, 0), maxlen=2)

    @property
    def next_timestamp(self) -> int:
        """Timestamp of the next tick's frame."""
        return self._timestamp

    def packet(self, tick: Tick) -> bytes | None:
        """The datagram of this tick, or None for a silence that is not sent."""
        timestamp = self._timestamp
        self._timestamp = ts_add(timestamp, self._frame_samples)
        if self._quiet and not tick.speech:
            return None
        sequence_number = self._sequence_number
        self._sequence_number = seq_add(sequence_number, 1)
        self.packets += 1
        self.octets += len(tick.payload)
        kind = self._payload_type | _MARKER if tick.marker else self._payload_type
        return HEADER.pack(_FLAGS, kind, sequence_number, timestamp, self.ssrc) + tick.payload

    def skip(self, frames: int) -> None:
        """Let time pass for ticks that the pacer left out; the receiver sees silence, not loss."""
        self._timestamp = ts_add(self._timestamp, frames * self._frame_samples)

    def report(self, wall_ns: int) -> bytes:
        """SR and SDES at the last tick; RR if nothing was sent since the report before last (section 6.4)."""
        report = self._make_report(wall_ns)
        self._packets_reported.append(self.packets)
        return serialize_compound(report, self._description)

    def bye(self, wall_ns: int) -> bytes:
        """The last compound: report, SDES, BYE."""
        return serialize_compound(self._make_report(wall_ns), self._description, Goodbye((self.ssrc,)))

    def _make_report(self, wall_ns: int) -> SenderReport | ReceiverReport:
        if self.packets == self._packets_reported[0]:
            return ReceiverReport(self.ssrc)
        now_timestamp = ts_add(self._timestamp, -self._frame_samples)
        return SenderReport(self.ssrc, ntp_stamp(wall_ns), now_timestamp, self.packets, self.octets)
