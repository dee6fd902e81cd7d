"""Calls over loopback sockets: what leaves, what is learnt from the peer, and that nothing is left behind.

Ticks are given by hand wherever pace is not the subject, so that no test waits for audio.
"""

import asyncio
import gc
import os
import random
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from telephony.errors import IllegalMove, UnsupportedFormat
from telephony.format import TELEPHONE, AudioFormat
from telephony.net.clock import Ticker
from telephony.net.ports import open_port_pair
from telephony.net.udp import CallOptions, RtpCall
from telephony.playout import MarkPlayed, PlayoutEvent, UtteranceEnded, UtteranceStarted
from telephony.rtcp import (
    Goodbye,
    ReceiverReport,
    ReportBlock,
    SenderReport,
    SourceDescription,
    ntp_middle,
    parse_compound,
    serialize_compound,
)
from telephony.rtp import RtpPacket
from telephony.sender import Silence
from tests.fakes.clock import FakeClock

SPEECH = bytes(range(160))
PTIME_NS = 20_000_000
LOCAL = CallOptions(local_host="127.0.0.1")


class Phone:
    """A peer: one socket for RTP, one for RTCP on the next port."""

    def __init__(self) -> None:
        ports = range(12_000, 16_000, 2)
        self.rtp, self.rtcp = open_port_pair(socket.AF_INET, "127.0.0.1", ports, random.SystemRandom())
        self.address: tuple[str, int] = self.rtp.getsockname()

    def packets(self) -> list[RtpPacket]:
        return [RtpPacket.parse(datagram) for datagram, _ in received(self.rtp)]

    def close(self) -> None:
        self.rtp.close()
        self.rtcp.close()


def received(bound: socket.socket) -> list[tuple[bytes, tuple[str, int]]]:
    """All that waits on a non-blocking socket; loopback delivers before send returns."""
    datagrams = []
    while True:
        try:
            datagrams.append(bound.recvfrom(2048))
        except BlockingIOError:
            return datagrams


@pytest.fixture
def phone() -> Iterator[Phone]:
    phone = Phone()
    yield phone
    phone.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ticker(clock: FakeClock) -> Ticker:
    return Ticker(clock)


@asynccontextmanager
async def calling(
    ticker: Ticker,
    remote: tuple[str, int],
    options: CallOptions = LOCAL,
    events: list[PlayoutEvent] | None = None,
) -> AsyncIterator[RtpCall]:
    on_event = None if events is None else events.append
    call = await RtpCall.open(ticker, remote, TELEPHONE, options, on_event=on_event, rng=random.Random(1))
    try:
        yield call
    finally:
        await call.close()


async def settled() -> None:
    """Let the loop's readers run: one turn to poll, one to be sure."""
    for _ in range(3):
        await asyncio.sleep(0.001)


async def test_frames_leave_one_per_ptime_and_in_order(
    phone: Phone, clock: FakeClock, ticker: Ticker
) -> None:
    events: list[PlayoutEvent] = []
    async with calling(ticker, phone.address, events=events) as call:
        call.push([SPEECH, SPEECH[::-1]], "u1")
        call.mark("m")
        call.finish("u1")
        clock.advance(3 * PTIME_NS)
        packets = phone.packets()
    assert [packet.payload for packet in packets] == [SPEECH, SPEECH[::-1], TELEPHONE.silence]
    assert [packet.marker for packet in packets] == [True, False, False]
    assert {packet.ssrc for packet in packets} == {call.ssrc}
    assert {(b.timestamp - a.timestamp) % 2**32 for a, b in pairwise(packets)} == {160}
    first_ns = events[0].at_ns
    assert events == [
        UtteranceStarted("u1", first_ns),
        MarkPlayed("m", first_ns + PTIME_NS),
        UtteranceEnded("u1", first_ns + PTIME_NS, 2),
    ]


async def test_clear_silences_the_very_next_packet(phone: Phone, clock: FakeClock, ticker: Ticker) -> None:
    async with calling(ticker, phone.address) as call:
        call.push([SPEECH] * 50, "u")
        clock.advance(7 * PTIME_NS)
        cleared = call.clear()
        clock.advance(2 * PTIME_NS)
        spoken = sum(packet.payload == SPEECH for packet in phone.packets())
    assert (cleared.played_frames, cleared.played_ms, cleared.dropped_frames) == (spoken, 140, 43)


async def test_rtp_leaves_an_even_port_and_rtcp_the_next(
    phone: Phone, clock: FakeClock, ticker: Ticker
) -> None:
    async with calling(ticker, phone.address) as call:
        clock.advance(8 * 10**9)
        _, rtp_source = received(phone.rtp)[0]
        _, rtcp_source = received(phone.rtcp)[0]
        assert rtp_source == call.local
    assert rtp_source[1] % 2 == 0
    assert rtcp_source == (rtp_source[0], rtp_source[1] + 1)


async def test_reports_are_a_few_seconds_apart(phone: Phone, clock: FakeClock, ticker: Ticker) -> None:
    async with calling(ticker, phone.address):
        for _ in range(60):
            clock.advance(10**9)
            phone.packets()
        reports = [parse_compound(datagram) for datagram, _ in received(phone.rtcp)]
    assert 8 <= len(reports) <= 24
    assert {tuple(type(packet) for packet in report) for report in reports} == {
        (SenderReport, SourceDescription)
    }


async def test_close_says_bye(phone: Phone, clock: FakeClock, ticker: Ticker) -> None:
    async with calling(ticker, phone.address) as call:
        clock.advance(PTIME_NS)
    (last,) = received(phone.rtcp)
    assert parse_compound(last[0])[-1] == Goodbye((call.ssrc,))


async def test_who_has_sent_nothing_says_no_bye(phone: Phone, ticker: Ticker) -> None:
    async with calling(ticker, phone.address):
        pass
    assert received(phone.rtcp) == []


async def test_quiet_calls_send_between_talkspurts_nothing(
    phone: Phone, clock: FakeClock, ticker: Ticker
) -> None:
    options = CallOptions(local_host="127.0.0.1", silence=Silence.NONE)
    async with calling(ticker, phone.address, options) as call:
        clock.advance(3 * PTIME_NS)
        call.push([SPEECH])
        call.finish()
        clock.advance(3 * PTIME_NS)
        assert [packet.payload for packet in phone.packets()] == [SPEECH]


async def test_a_quiet_start_sends_nothing_before_speech_and_the_first_frame_within_the_next_instants(
    phone: Phone, clock: FakeClock, ticker: Ticker
) -> None:
    async with calling(ticker, phone.address, CallOptions(local_host="127.0.0.1", quiet_start=True)) as call:
        clock.advance(5 * PTIME_NS + 700_000)
        call.push([])
        clock.advance(PTIME_NS)
        assert phone.packets() == []
        call.push([SPEECH])
        call.finish()
        clock.advance(4_000_000)
        (first,) = phone.packets()
        assert first.payload == SPEECH
        assert first.marker
        clock.advance(PTIME_NS)
        assert [packet.payload for packet in phone.packets()] == [TELEPHONE.silence]


async def test_a_peer_that_is_not_there_is_counted_and_never_fatal(clock: FakeClock, ticker: Ticker) -> None:
    phone = Phone()
    phone.close()
    async with calling(ticker, phone.address) as call:
        clock.advance(10 * PTIME_NS)
        stats = call.stats
        assert ticker.serves(call)
    assert stats.packets == 10
    assert stats.refused_packets >= 4


async def test_a_peer_that_comes_up_late_misses_no_packet_from_then_on(
    clock: FakeClock, ticker: Ticker
) -> None:
    phone = Phone()
    phone.close()
    async with calling(ticker, phone.address):
        clock.advance(5 * PTIME_NS)
        late = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        late.bind(phone.address)
        late.setblocking(False)
        clock.advance(5 * PTIME_NS)
        assert len(received(late)) == 5
        late.close()


async def test_a_full_socket_buffer_is_counted_as_dropped(
    phone: Phone, clock: FakeClock, ticker: Ticker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(packet: bytes) -> int:
        raise BlockingIOError

    async with calling(ticker, phone.address) as call:
        monkeypatch.setattr(call, "_send", full)
        clock.advance(3 * PTIME_NS)
        assert (call.stats.packets, call.stats.dropped_packets) == (3, 3)


async def test_a_suspended_machine_leaves_a_gap_in_time_and_none_in_sequence(
    phone: Phone, clock: FakeClock, ticker: Ticker
) -> None:
    async with calling(ticker, phone.address) as call:
        clock.advance(PTIME_NS)
        clock.spend(100 * PTIME_NS)
        clock.advance(PTIME_NS)
        before, after = phone.packets()
        assert call.stats.skipped_frames == 100
    assert (after.sequence_number - before.sequence_number) % 2**16 == 1
    assert (after.timestamp - before.timestamp) % 2**32 == 101 * 160


async def test_line_quality_is_what_the_receiver_reports(
    phone: Phone, clock: FakeClock, ticker: Ticker
) -> None:
    async with calling(ticker, phone.address) as call:
        clock.advance(8 * 10**9)
        report = parse_compound(received(phone.rtcp)[0][0])[0]
        assert isinstance(report, SenderReport)
        about_us = ReportBlock(call.ssrc, 0.25, 12, 500, 40, ntp_middle(report.ntp), 0)
        about_others = ReportBlock(call.ssrc ^ 1, 0.5, 99, 500, 80, 0, 0)
        answer = ReceiverReport(7, (about_us, about_others))
        compound = serialize_compound(answer, SourceDescription.of_cname(7, "p"), Goodbye((7,)))
        phone.rtcp.sendto(compound, (call.local[0], call.local[1] + 1))
        await settled()
        quality = call.stats.quality
        assert quality is not None
        assert (quality.fraction_lost, quality.lost_packets, quality.jitter_ms) == (0.25, 12, 5.0)
        assert quality.round_trip_ms is not None
        assert 0 <= quality.round_trip_ms < 5_000
        assert call.stats.peer_left


async def test_broken_and_stray_control_packets_are_counted(phone: Phone, ticker: Ticker) -> None:
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stranger.bind(("127.0.0.2", 0))
    async with calling(ticker, phone.address, CallOptions(local_host="127.0.0.1")) as call:
        control = (call.local[0], call.local[1] + 1)
        phone.rtcp.sendto(b"nonsense", control)
        stranger.sendto(ReceiverReport(1).serialize(), control)
        await settled()
        assert (call.stats.malformed_datagrams, call.stats.stray_datagrams) == (1, 1)
    stranger.close()


async def test_latching_follows_the_first_valid_packet_and_only_that(
    phone: Phone, clock: FakeClock, ticker: Ticker
) -> None:
    behind_nat, late = Phone(), Phone()
    hello = RtpPacket(0, 1, 1, 1, SPEECH).serialize()
    options = CallOptions(local_host="127.0.0.1", latch=True)
    async with calling(ticker, phone.address, options) as call:
        clock.advance(PTIME_NS)
        assert len(phone.packets()) == 1
        late.rtp.sendto(b"not rtp", call.local)
        await settled()
        behind_nat.rtp.sendto(hello, call.local)
        await settled()
        late.rtp.sendto(hello, call.local)
        await settled()
        clock.advance(2 * PTIME_NS)
        assert [len(each.packets()) for each in (phone, behind_nat, late)] == [0, 2, 0]
        assert call.remote == behind_nat.address
        behind_nat.rtp.sendto(b"not even read", call.local)
        await settled()
        assert call.stats.malformed_datagrams == 1
    assert len(received(behind_nat.rtcp)) == 1
    behind_nat.close()
    late.close()


async def test_without_latching_inbound_audio_changes_nothing(
    phone: Phone, clock: FakeClock, ticker: Ticker
) -> None:
    other = Phone()
    async with calling(ticker, phone.address) as call:
        other.rtp.sendto(RtpPacket(0, 1, 1, 1, SPEECH).serialize(), call.local)
        await settled()
        clock.advance(PTIME_NS)
        assert [len(each.packets()) for each in (phone, other)] == [1, 0]
    other.close()


async def test_draining_plays_out_what_is_queued_and_then_hangs_up(phone: Phone) -> None:
    ticker = Ticker()
    call = await RtpCall.open(ticker, phone.address, options=LOCAL)
    call.push([SPEECH] * 5, "u")
    await call.close(drain=True)
    assert sum(packet.payload == SPEECH for packet in phone.packets()) == 5
    assert len(ticker) == 0


async def test_a_clear_ends_a_drain(phone: Phone, ticker: Ticker) -> None:
    async with calling(ticker, phone.address) as call:
        call.push([SPEECH] * 1000, "u")
        closing = asyncio.create_task(call.close(drain=True))
        await asyncio.sleep(0)
        call.clear()
        await asyncio.wait_for(closing, 1)


async def test_a_cancelled_drain_hangs_up_at_once(phone: Phone, ticker: Ticker) -> None:
    async with calling(ticker, phone.address) as call:
        call.push([SPEECH] * 1000, "u")
        closing = asyncio.create_task(call.close(drain=True))
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert not ticker.serves(call)


async def test_a_closed_call_takes_nothing_and_closes_again(phone: Phone, ticker: Ticker) -> None:
    async with calling(ticker, phone.address) as call:
        await call.close()
        with pytest.raises(IllegalMove):
            call.push([SPEECH])


async def test_calls_leave_no_socket_reader_or_tick_behind(
    phone: Phone, clock: FakeClock, ticker: Ticker
) -> None:
    loop = asyncio.get_running_loop()
    before = len(os.listdir("/proc/self/fd"))
    calls = [
        await RtpCall.open(
            ticker, phone.address, options=CallOptions(local_host="127.0.0.1", latch=n % 2 == 0)
        )
        for n in range(50)
    ]
    assert len(os.listdir("/proc/self/fd")) == before + 100
    clock.advance(PTIME_NS)
    for call in calls:
        call.push([SPEECH] * 10)
        await call.close()
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before
    assert (len(ticker), clock.pending) == (0, 0)
    await asyncio.sleep(0)
    assert loop.is_running()


@pytest.mark.parametrize(
    ("remote", "audio_format", "failure"),
    [
        (("127.0.0.1", 4000), AudioFormat.of("pcm16"), UnsupportedFormat),
        (("::1", 4000), TELEPHONE, OSError),
    ],
)
async def test_a_call_that_cannot_open_leaves_nothing_behind(
    ticker: Ticker, remote: tuple[str, int], audio_format: AudioFormat, failure: type[Exception]
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(failure):
        await RtpCall.open(ticker, remote, audio_format, LOCAL)
    assert len(os.listdir("/proc/self/fd")) == before
    assert len(ticker) == 0


async def test_a_full_port_range_is_an_error_that_names_it(phone: Phone, ticker: Ticker) -> None:
    options = CallOptions(local_host="127.0.0.1", ports=range(16_200, 16_202, 2))
    async with calling(ticker, phone.address, options):
        with pytest.raises(OSError, match=r"no free pair of UDP ports in 16200-16202 on 127\.0\.0\.1"):
            await RtpCall.open(ticker, phone.address, options=options)


async def test_packets_ask_for_expedited_forwarding() -> None:
    rtp, rtcp = open_port_pair(socket.AF_INET, "127.0.0.1", range(16_204, 16_300, 2), random.Random(1))
    assert [each.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) for each in (rtp, rtcp)] == [0xB8, 0xB8]
    rtp.close()
    rtcp.close()


async def test_a_failing_callback_fails_its_own_call_only(
    phone: Phone, clock: FakeClock, ticker: Ticker, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(event: PlayoutEvent) -> None:
        raise RuntimeError("broken callback")

    broken = await RtpCall.open(ticker, phone.address, options=LOCAL, on_event=fail)
    async with calling(ticker, phone.address) as other:
        broken.push([SPEECH])
        clock.advance(3 * PTIME_NS)
        assert (broken.stats.packets, other.stats.packets) == (1, 3)
    await broken.close(drain=True)
    assert "tick failed" in caplog.text
