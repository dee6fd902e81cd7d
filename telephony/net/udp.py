"""A call on the wire: one playout, one SSRC and a pair of UDP sockets, driven by the ticker.

The thin shell over playout and sender. It sends from the port it listens on (RFC 4961) and never waits:
a refusal, an unreachable network and a full socket buffer are counted, and the call goes on.
"""

import asyncio
import contextlib
import random
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from telephony.errors import RtpError
from telephony.format import TELEPHONE, AudioFormat
from telephony.net.clock import Ticker
from telephony.net.control import MAX_DATAGRAM_BYTES, Address, ControlLink, LineQuality
from telephony.net.ports import RTP_PORTS, open_port_pair
from telephony.playout import Cleared, Playout, PlayoutEvent, PlayoutState
from telephony.rtp import RtpPacket, static_payload_type
from telephony.sender import RtpSender, Silence

_NS_PER_MS = 1_000_000
_NEVER_NS = 1 << 63
_DRAIN_SLACK_S = 1.0


@dataclass(frozen=True, slots=True)
class CallOptions:
    """How one call speaks."""

    payload_type: int | None = None
    """Defaults to the static one of the encoding. pcm16 has none, and is L16 on the wire: whoever gives it a
    dynamic type pushes network byte order (RFC 3551 section 4.5.11)."""
    silence: Silence = Silence.PACKETS
    prebuffer_frames: int = 0
    capacity_frames: int | None = None
    latch: bool = False
    """Send to wherever the first valid RTP packet comes from: for peers behind NAT. Whoever sends first is
    believed, so leave it off where the address of the peer is known."""
    quiet_start: bool = False
    """Send nothing until there is something to say: the first frame then goes out at once, where a call that
    sends comfort silence from the start must wait for its next instant."""
    local_host: str | None = None
    """Address to bind; all interfaces by default."""
    ports: range = RTP_PORTS


@dataclass(frozen=True, slots=True)
class CallStats:
    """Counts since the call opened."""

    packets: int
    octets: int
    dropped_packets: int
    """The socket buffer was full."""
    refused_packets: int
    """ICMP said that nobody listens."""
    failed_packets: int
    """Any other refusal of the network."""
    skipped_frames: int
    """Ticks that the pacer left out after a suspension."""
    malformed_datagrams: int
    stray_datagrams: int
    """RTCP from another host."""
    underruns: int
    underrun_frames: int
    quality: LineQuality | None
    peer_left: bool
    """The peer has sent BYE."""


class RtpCall:
    """One call. Build it with :meth:`open`; everything but :meth:`close` is immediate."""

    @classmethod
    async def open(
        cls,
        ticker: Ticker,
        remote: tuple[str, int],
        audio_format: AudioFormat = TELEPHONE,
        options: CallOptions | None = None,
        *,
        on_event: Callable[[PlayoutEvent], None] | None = None,
        rng: random.Random | None = None,
    ) -> "RtpCall":
        """Bind a port pair and begin to send to `remote`: silence until frames are pushed.

        Raises OSError (no port, no route, unknown host) and UnsupportedFormat; both leave nothing behind.
        """
        assert ticker.ptime_ms == audio_format.ptime_ms, "a ticker serves one ptime"
        options = options or CallOptions()
        rng = rng or random.SystemRandom()
        family, address = await _resolve(remote)
        local_host = options.local_host or ("::" if family == socket.AF_INET6 else "0.0.0.0")
        sender = _make_sender(audio_format, options, rng)
        rtp, rtcp = open_port_pair(family, local_host, options.ports, rng)
        control = ControlLink(rtcp, sender, audio_format.rate_hz, rng, latch=options.latch)
        playout = Playout(audio_format, options.prebuffer_frames, options.capacity_frames)
        call = cls(ticker, playout, sender, rtp, control, on_event)
        try:
            call._start(address, latch=options.latch, quiet=options.quiet_start)
        except BaseException:
            call._hang_up()
            raise
        return call

    def __init__(
        self,
        ticker: Ticker,
        playout: Playout,
        sender: RtpSender,
        rtp: socket.socket,
        control: ControlLink,
        on_event: Callable[[PlayoutEvent], None] | None,
    ) -> None:
        self.playout = playout
        self._ticker = ticker
        self._sender = sender
        self._rtp = rtp
        self._send: Callable[[bytes], int] = rtp.send
        self._control = control
        self._on_event = on_event
        self._local: Address = rtp.getsockname()
        self._remote: Address = ("", 0)
        self._loop = asyncio.get_running_loop()
        self._period_ns = playout.format.ptime_ms * _NS_PER_MS
        self._expected_ns = _NEVER_NS
        self._drained: asyncio.Future[None] | None = None
        self._joined = self._closed = False
        self._dropped = self._refused = self._failed = self._skipped = self._malformed = 0

    def __repr__(self) -> str:
        return (
            f"<RtpCall ssrc={self.ssrc:08x} local={self.local[1]} remote={self.remote[0]}:{self.remote[1]}>"
        )

    @property
    def ssrc(self) -> int:
        return self._sender.ssrc

    @property
    def local(self) -> tuple[str, int]:
        """Host and port that RTP leaves from; RTCP is on the next port."""
        return self._local[0], self._local[1]

    @property
    def remote(self) -> tuple[str, int]:
        """Where RTP goes now."""
        return self._remote[0], self._remote[1]

    @property
    def lead_frames(self) -> int:
        return self.playout.lead_frames

    @property
    def room_frames(self) -> int:
        return self.playout.room_frames

    @property
    def stats(self) -> CallStats:
        return CallStats(
            self._sender.packets,
            self._sender.octets,
            self._dropped,
            self._refused,
            self._failed + self._control.failed,
            self._skipped,
            self._malformed + self._control.malformed,
            self._control.strays,
            self.playout.underruns,
            self.playout.underrun_frames,
            self._control.quality,
            self._control.peer_left,
        )

    def push(self, payloads: Iterable[bytes], utterance_id: str = "") -> None:
        """See Playout.push: PlayoutFull beyond `room_frames`, IllegalMove once closed."""
        self.playout.push(payloads, utterance_id)
        if self.playout.lead_frames:
            self._join()

    def mark(self, name: str) -> None:
        """See Playout.mark."""
        self.playout.mark(name)
        self._join()

    def finish(self, utterance_id: str = "") -> None:
        """See Playout.finish."""
        self.playout.finish(utterance_id)
        self._join()

    def clear(self) -> Cleared:
        """See Playout.clear. What has been sent is beyond recall: the peer's jitter buffer still plays."""
        cleared = self.playout.clear()
        self._note_drained()
        return cleared

    def tick(self, now_ns: int) -> None:
        """Send this ptime's packet. The ticker's to call."""
        if now_ns > self._expected_ns:
            skipped = (now_ns - self._expected_ns) // self._period_ns
            self._skipped += skipped
            self._sender.skip(skipped)
        self._expected_ns = now_ns + self._period_ns
        tick = self.playout.tick(now_ns)
        packet = self._sender.packet(tick)
        if packet is not None:
            try:
                self._send(packet)
            except OSError as error:
                self._note_unsent(packet, error)
        if tick.events:
            self._deliver(tick.events)
        if now_ns >= self._control.due_ns:
            self._control.report(now_ns)

    async def close(self, drain: bool = False) -> None:
        """Hang up: BYE, sockets closed, no tick more. With `drain`, finish and let the queue play out first.

        Cancelling a drain hangs up at once. Later calls do nothing.
        """
        try:
            if drain and not self._closed:
                await self._drain()
        finally:
            self._hang_up()

    async def _drain(self) -> None:
        open_id = self.playout.open_id
        if open_id is not None:
            self.playout.finish(open_id)
        if self.playout.state is not PlayoutState.DRAINING or not self._ticker.serves(self):
            return
        self._drained = self._loop.create_future()
        lead_s = self.playout.lead_frames * self.playout.format.ptime_ms / 1000
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._drained, lead_s + _DRAIN_SLACK_S)

    def _hang_up(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._ticker.unsubscribe(self)
        self._control.close()
        self._loop.remove_reader(self._rtp)
        self._rtp.close()
        self.playout.close()

    def _deliver(self, events: tuple[PlayoutEvent, ...]) -> None:
        self._note_drained()
        if self._on_event:
            for event in events:
                self._on_event(event)

    def _note_unsent(self, packet: bytes, error: OSError) -> None:
        if isinstance(error, ConnectionRefusedError):
            # ICMP's answer to an earlier packet, handed over instead of sending this one: send it again, so
            # that a peer that comes up late misses no packet that it could have had.
            self._refused += 1
            with contextlib.suppress(OSError):
                self._send(packet)
        elif isinstance(error, BlockingIOError):
            self._dropped += 1
        else:
            self._failed += 1

    def _note_drained(self) -> None:
        if self._drained and not self._drained.done() and self.playout.state is PlayoutState.IDLE:
            self._drained.set_result(None)

    def _start(self, remote: Address, *, latch: bool, quiet: bool) -> None:
        self._aim(remote)
        if latch:
            self._send = self._send_unlatched
            self._loop.add_reader(self._rtp, self._read_rtp)
        else:
            self._settle()
        if not quiet:
            self._joined = True
            self._ticker.subscribe(self)

    def _join(self) -> None:
        """Begin to send, if the call has been quiet so far."""
        if not self._joined:
            self._joined = True
            self._ticker.subscribe(self, soon=True)

    def _aim(self, remote: Address) -> None:
        self._remote = remote
        self._control.aim(remote)

    def _settle(self) -> None:
        """Connect: the kernel routes once, refuses strangers, and reports ICMP errors to us."""
        self._rtp.connect(self._remote)
        self._local = self._rtp.getsockname()
        self._send = self._rtp.send
        # Nobody reads RTP from here on; let the kernel keep next to none of it.
        self._rtp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)

    def _send_unlatched(self, packet: bytes, /) -> int:
        return self._rtp.sendto(packet, self._remote)

    def _read_rtp(self) -> None:
        """Before latching: the first valid packet tells where the peer really is."""
        try:
            datagram, source = self._rtp.recvfrom(MAX_DATAGRAM_BYTES)
            RtpPacket.parse(datagram)
        except RtpError:
            self._malformed += 1
        except OSError:
            return
        else:
            self._loop.remove_reader(self._rtp)
            self._aim(source)
            self._settle()


def _make_sender(audio_format: AudioFormat, options: CallOptions, rng: random.Random) -> RtpSender:
    payload_type = options.payload_type
    if payload_type is None:
        payload_type = static_payload_type(audio_format)
    return RtpSender(
        audio_format,
        payload_type,
        rng.getrandbits(32),
        rng.getrandbits(16),
        rng.getrandbits(32),
        # RFC 7022 section 4.2: a per-call name that says nothing about the host.
        cname=f"{rng.getrandbits(96):024x}",
        silence=options.silence,
    )


async def _resolve(remote: tuple[str, int]) -> tuple[int, Address]:
    """Family and address; a numeric host needs no resolver thread."""
    host, port = remote
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    family, _, _, _, address = found[0]
    return family, address
