import asyncio
import random
import socket
import time

import pytest

from benchmarks.metrics import leading_silence_ms
from benchmarks.record import COMPLETED, Journal, Outcome
from benchmarks.targets import rtp
from benchmarks.targets.rtp import CallReceiver, RtpTarget
from telephony.format import TELEPHONE, AudioFormat
from tests.benchmarks.targets.requesting import request
from tests.fakes.speech_http import LEADING_SILENCE_MS, FakeSpeechHttp, Manner, make_datagrams

ALAW = AudioFormat.of("alaw")


def make_target(url: str, audio_format: AudioFormat = TELEPHONE, ask_engine_ms: bool = False) -> RtpTarget:
    return RtpTarget(url, audio_format, "default", 5.0, ask_engine_ms=ask_engine_ms)


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtp, "_SILENT_S", 0.3)
    monkeypatch.setattr(rtp, "_ASK_EVERY_S", 0.01)


@pytest.mark.parametrize("audio_format", [TELEPHONE, ALAW])
async def test_a_call_that_hangs_up_is_completed(audio_format: AudioFormat) -> None:
    async with FakeSpeechHttp() as server:
        record = await request(make_target(server.url, audio_format), "Say this.", audio_format)
    assert (record.outcome, record.reason) == (Outcome.COMPLETED, "")
    assert record.reception is not None
    assert (record.reception.packets, record.reception.lost, record.reception.foreign) == (5, 0, 0)
    assert leading_silence_ms(record, 0) == [LEADING_SILENCE_MS]
    assert record.first_speech_ns == record.deliveries.at_ns[2]
    assert server.hung_up == []


async def test_the_call_goes_to_an_even_port_of_ours() -> None:
    async with FakeSpeechHttp() as server:
        await request(make_target(server.url), "Say this.")
    (asked,) = server.asked
    scheme, host, port = asked.pop("to").split(":")
    assert (scheme, host, int(port) % 2) == ("rtp", "127.0.0.1", 0)
    assert asked == {"text": "Say this.", "voice": "default", "encoding": "mulaw", "hang_up": True}


async def test_a_full_server_has_refused_and_not_failed() -> None:
    async with FakeSpeechHttp(Manner.REFUSE) as server:
        record = await request(make_target(server.url))
    assert (record.outcome, record.reason) == (Outcome.REFUSED, "503 full")


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        (Manner.FAIL, "500 speech_failed"),
        (Manner.CUT, "no packet and no BYE"),
        (Manner.EMPTY, "no audio"),
        (Manner.GARBAGE, "no audio"),
        (Manner.JSON_INSTEAD, "200"),
    ],
)
async def test_a_call_that_is_not_whole_has_failed(manner: Manner, reason: str) -> None:
    async with FakeSpeechHttp(manner) as server:
        record = await request(make_target(server.url))
    assert record.outcome is Outcome.FAILED
    assert reason in record.reason


async def test_a_broken_call_is_hung_up_and_what_came_is_kept() -> None:
    async with FakeSpeechHttp(Manner.CUT) as server:
        record = await request(make_target(server.url))
    assert server.hung_up == ["/v1/calls/7"]
    assert len(record.deliveries.at_ns) == 5


async def test_a_request_that_is_cancelled_hangs_up() -> None:
    async with FakeSpeechHttp(Manner.HANG) as server:
        target = make_target(server.url)
        task = asyncio.create_task(request(target))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert server.hung_up == ["/v1/calls/7"]


async def test_garbage_is_counted() -> None:
    async with FakeSpeechHttp(Manner.GARBAGE) as server:
        record = await request(make_target(server.url))
    assert record.reception is not None
    assert record.reception.foreign == 2


async def test_the_engines_part_is_asked_for_only_on_demand() -> None:
    async with FakeSpeechHttp() as server:
        assert (await request(make_target(server.url, ask_engine_ms=True))).engine_ms == 7.0
        assert (await request(make_target(server.url))).engine_ms is None


async def test_an_engines_part_that_the_server_does_not_know_is_none() -> None:
    async with FakeSpeechHttp(engine_ms=None) as server:
        record = await request(make_target(server.url, ask_engine_ms=True))
    assert (record.outcome, record.engine_ms) == (Outcome.COMPLETED, None)


async def test_reordered_lost_and_doubled_packets_are_heard_for_what_they_are() -> None:
    journal = Journal(TELEPHONE, time.monotonic_ns)
    datagrams = make_datagrams("mulaw")
    receiver = CallReceiver("127.0.0.1", TELEPHONE, journal, random.Random(1))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
        for index in (0, 2, 1, 1, 4):
            sending.sendto(datagrams[index], ("127.0.0.1", receiver.port))
            await asyncio.sleep(0.005)
    receiver.reception.report(journal)
    receiver.close()
    found = journal.reception
    assert found is not None
    assert (found.packets, found.lost, found.reordered, found.duplicates) == (4, 1, 1, 1)
    assert journal.deliveries.first_sample == (0, 160, 320, 640)


async def test_a_packet_is_stamped_when_it_arrives_and_not_when_it_is_read() -> None:
    loop = asyncio.get_running_loop()
    journal = Journal(TELEPHONE, lambda: int(loop.time() * 1e9))
    receiver = CallReceiver("127.0.0.1", TELEPHONE, journal, random.Random(1))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
        sent_ns = journal.now_ns()
        sending.sendto(make_datagrams("mulaw")[0], ("127.0.0.1", receiver.port))
    hold_up_the_loop(0.1)
    await asyncio.sleep(0.01)
    receiver.reception.report(journal)
    receiver.close()
    assert journal.first_byte_ns is not None
    assert journal.first_byte_ns - sent_ns < 30_000_000


def hold_up_the_loop(seconds: float) -> None:
    time.sleep(seconds)


async def test_a_bye_ends_the_call_even_before_the_last_packets_are_read() -> None:
    journal = Journal(TELEPHONE, lambda: 0)
    receiver = CallReceiver("127.0.0.1", TELEPHONE, journal, random.Random(1))
    receiver._bye.set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
        sending.sendto(make_datagrams("mulaw")[0], ("127.0.0.1", receiver.port))
    assert await receiver.until_bye() == COMPLETED
    receiver.close()
