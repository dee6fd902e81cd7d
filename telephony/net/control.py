"""The control half of a call: our reports go out on the RTCP port, the peer's view of the line comes in."""

import asyncio
import random
import socket
import time
from dataclasses import dataclass
from typing import Any

from telephony.errors import RtcpError
from telephony.rtcp import (
    Goodbye,
    ReceiverReport,
    ReportBlock,
    SenderReport,
    parse_compound,
    report_interval_ns,
)
from telephony.sender import RtpSender

Address = tuple[Any, ...]
"""A socket address of either family: host, port, and for IPv6 two more."""

MAX_DATAGRAM_BYTES = 2048


@dataclass(frozen=True, slots=True)
class LineQuality:
    """The peer's latest report about our stream (RFC 3550 section 6.4.1)."""

    fraction_lost: float
    lost_packets: int
    jitter_ms: float
    round_trip_ms: float | None


class ControlLink:
    """Owns the RTCP socket of one call; reads it by itself, reports when told."""

    def __init__(
        self, rtcp: socket.socket, sender: RtpSender, rate_hz: int, rng: random.Random, *, latch: bool
    ) -> None:
        """With `latch`, answer to the port that the peer's RTCP comes from."""
        self.due_ns = 0
        """When :meth:`report` wants to be called."""
        self.quality: LineQuality | None = None
        self.peer_left = False
        self.malformed = self.strays = self.failed = 0
        self._rtcp = rtcp
        self._sender = sender
        self._rate_hz = rate_hz
        self._rng = rng
        self._latch = latch
        self._remote: Address = ()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(rtcp, self._read)

    def aim(self, rtp_remote: Address) -> None:
        """Report to the port after the peer's RTP port (RFC 3550 section 11)."""
        self._remote = (rtp_remote[0], rtp_remote[1] + 1, *rtp_remote[2:])

    def report(self, now_ns: int) -> None:
        """Send a report and set the time of the next; the first call only sets the time."""
        first = self.due_ns == 0
        self.due_ns = now_ns + report_interval_ns(self._rng, first)
        if not first:
            self._send(self._sender.report(time.time_ns()))

    def close(self) -> None:
        """Say BYE and close the socket."""
        # Section 6.3.7: who has never sent does not say goodbye.
        if self._sender.packets:
            self._send(self._sender.bye(time.time_ns()))
        self._loop.remove_reader(self._rtcp)
        self._rtcp.close()

    def _send(self, datagram: bytes) -> None:
        try:
            self._rtcp.sendto(datagram, self._remote)
        except OSError:
            self.failed += 1

    def _read(self) -> None:
        try:
            datagram, source = self._rtcp.recvfrom(MAX_DATAGRAM_BYTES)
        except OSError:
            return
        if source[0] != self._remote[0]:
            self.strays += 1
            return
        try:
            packets = parse_compound(datagram)
        except RtcpError:
            self.malformed += 1
            return
        if self._latch:
            self._remote = source
        for packet in packets:
            if isinstance(packet, Goodbye):
                self.peer_left = True
            elif isinstance(packet, (SenderReport, ReceiverReport)):
                self._hear(packet.blocks)

    def _hear(self, blocks: tuple[ReportBlock, ...]) -> None:
        for block in blocks:
            if block.ssrc == self._sender.ssrc:
                self.quality = LineQuality(
                    block.fraction_lost,
                    block.cumulative_lost,
                    block.jitter_samples * 1000 / self._rate_hz,
                    block.round_trip_ms(time.time_ns()),
                )
