"""Pure: one RTP stream as it arrives, counted by the book (RFC 3550 appendix A.1, A.3 and A.8)."""

from benchmarks.audible import Onset, SampleReader
from benchmarks.record import Deliveries, Journal, Reception
from telephony.errors import RtpError
from telephony.format import AudioFormat
from telephony.rtp import RtpPacket

_SEQUENCES = 1 << 16
_TIMESTAMPS = 1 << 32
_NS_PER_S = 1_000_000_000
_MS_PER_S = 1000

MAX_PACKETS = 500_000
"""Bound of one stream: nearly three hours. Packets beyond it are foreign."""


class RtpReception:
    """Takes the datagrams of one socket; the first SSRC that speaks is the stream."""

    def __init__(self, audio_format: AudioFormat) -> None:
        self.first_speech_ns: int | None = None
        self.octets = 0
        self._format = audio_format
        self._ssrc: int | None = None
        self._first_sequence = self._last_sequence = 0  # extended: they do not wrap
        self._first_timestamp = self._last_timestamp = 0
        self._arrived: dict[int, tuple[int, int, bytes]] = {}  # extended sequence: at_ns, timestamp, payload
        self._foreign = self._duplicates = self._reordered = 0
        self._transit: float | None = None
        self._jitter_samples = 0.0

    @property
    def packets(self) -> int:
        """Packets of the stream so far, each counted once."""
        return len(self._arrived)

    def push(self, datagram: bytes, at_ns: int) -> None:
        """One datagram has come."""
        try:
            packet = RtpPacket.parse(datagram)
        except RtpError:
            self._foreign += 1
            return
        if self._ssrc is None:
            self._begin(packet)
        if packet.ssrc != self._ssrc or len(self._arrived) >= MAX_PACKETS:
            self._foreign += 1
            return
        sequence = _unwrap(packet.sequence_number, self._last_sequence, _SEQUENCES)
        if sequence in self._arrived:
            self._duplicates += 1
            return
        self._reordered += sequence < self._last_sequence
        timestamp = _unwrap(packet.timestamp, self._last_timestamp, _TIMESTAMPS)
        self._take(packet, sequence, timestamp, at_ns)

    def report(self, journal: Journal) -> None:
        """Write the stream into a request's journal: deliveries in the order of the audio, onset, counts."""
        in_order = sorted(self._arrived.values(), key=lambda each: each[1])
        origin = in_order[0][1] if in_order else 0
        sample_bytes = self._format.sample_bytes
        journal.deliveries = Deliveries(
            tuple(at_ns for at_ns, _, _ in in_order),
            tuple(timestamp - origin for _, timestamp, _ in in_order),
            tuple(len(payload) // sample_bytes for _, _, payload in in_order),
        )
        journal.first_byte_ns = min((at_ns for at_ns, _, _ in in_order), default=None)
        journal.first_speech_ns = self.first_speech_ns or journal.first_byte_ns
        journal.received_bytes = self.octets
        self._find_onset(in_order, origin, journal.onset)
        journal.reception = self._reception()

    def _begin(self, packet: RtpPacket) -> None:
        self._ssrc = packet.ssrc
        self._first_sequence = self._last_sequence = packet.sequence_number
        self._first_timestamp = self._last_timestamp = packet.timestamp

    def _take(self, packet: RtpPacket, sequence: int, timestamp: int, at_ns: int) -> None:
        self._arrived[sequence] = (at_ns, timestamp, packet.payload)
        self.octets += len(packet.payload)
        if packet.marker and self.first_speech_ns is None:
            self.first_speech_ns = at_ns
        self._first_sequence = min(self._first_sequence, sequence)
        self._last_sequence = max(self._last_sequence, sequence)
        self._last_timestamp = max(self._last_timestamp, timestamp)
        # Appendix A.8, in timestamp units; origins cancel in the difference.
        transit = at_ns * self._format.rate_hz / _NS_PER_S - timestamp
        if self._transit is not None:
            self._jitter_samples += (abs(transit - self._transit) - self._jitter_samples) / 16
        self._transit = transit

    def _find_onset(self, in_order: list[tuple[int, int, bytes]], origin: int, onset: Onset) -> None:
        reader = SampleReader(self._format.encoding)
        end = origin
        for _, timestamp, payload in in_order:
            onset.skip(max(timestamp - end, 0))
            samples = reader.push(payload)
            if onset.push(samples) is not None:
                return
            end = timestamp + len(samples)

    def _reception(self) -> Reception:
        expected = self._last_sequence - self._first_sequence + 1 if self._arrived else 0
        jitter_ms = self._jitter_samples * _MS_PER_S / self._format.rate_hz
        return Reception(
            self.packets,
            expected - self.packets,
            self._reordered,
            self._duplicates,
            self._foreign,
            jitter_ms,
        )


def _unwrap(value: int, near: int, modulus: int) -> int:
    """The number congruent to `value` that is nearest to `near`: wrap-around undone."""
    ahead = (value - near) % modulus
    return near + ahead - (modulus if ahead >= modulus // 2 else 0)
