"""Barge-in: nothing stale follows a clear, and the position it reports is the position heard."""

import asyncio
import socket
from typing import Any

import httpx
import pytest
import websockets

from telephony.format import TELEPHONE
from telephony.rtp import RtpPacket
from tests.server.running import RunningServer, running_server
from tests.server.test_protocol import Listener

LONG = "The quick brown fox jumps over the lazy dog, and then it goes home to sleep for a very long while. "


async def begin(running: RunningServer, connection: Any, **start: Any) -> Listener:
    listener = Listener(connection)
    await listener.say(type="start", **start)
    assert (await listener.control())["type"] == "ready"
    return listener


@pytest.mark.parametrize("heard_ms", [20, 300, 700])
async def test_played_position_after_clear_is_the_frames_that_arrived(heard_ms: int) -> None:
    async with running_server() as running, websockets.connect(running.stream_url) as connection:
        listener = await begin(running, connection)
        await listener.say(type="text", text=LONG)
        await listener.say(type="flush")
        await listener.until("utterance_started")
        while len(listener.audio) < heard_ms * 8:
            message = await connection.recv()
            assert isinstance(message, bytes)
            listener.audio += message
        await listener.say(type="clear")
        cleared = await listener.until("cleared")
        assert cleared["played_ms"] == len(listener.audio) // TELEPHONE.payload_bytes * TELEPHONE.ptime_ms
        assert cleared["text_spoken"] + cleared["text_not_spoken"] == LONG
        assert cleared["text_not_spoken"] != ""


async def test_no_audio_follows_the_answer_to_clear() -> None:
    async with running_server() as running, websockets.connect(running.stream_url) as connection:
        listener = await begin(running, connection)
        await listener.say(type="text", text=LONG)
        await listener.say(type="flush")
        await listener.until("utterance_started")
        await listener.say(type="clear")
        await listener.until("cleared")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(connection.recv(), 0.3)


async def test_text_spoken_grows_with_the_position_and_next_utterance_is_whole() -> None:
    async with running_server() as running, websockets.connect(running.stream_url) as connection:
        listener = await begin(running, connection, pacing="fast", encoding="pcm16", sample_rate=24_000)
        spoken = []
        for utterance, played_ms in enumerate((0, 900, 2_500, 60_000), start=1):
            await listener.say(type="text", text=LONG)
            await listener.say(type="flush")
            await listener.until("utterance_ended")
            await listener.say(type="clear", utterance=utterance, played_ms=played_ms)
            cleared = await listener.until("cleared")
            assert cleared["utterance"] == utterance
            assert cleared["text_spoken"] + cleared["text_not_spoken"] == LONG
            spoken.append(cleared["text_spoken"])
        assert spoken[0] == ""
        assert spoken[-1] == LONG
        assert [len(each) for each in spoken] == sorted({len(each) for each in spoken})


async def test_marks_not_reached_are_reported_as_cleared_before_the_answer() -> None:
    async with running_server() as running, websockets.connect(running.stream_url) as connection:
        listener = await begin(running, connection)
        await listener.say(type="text", text=LONG)
        await listener.say(type="mark", name="end of first")
        await listener.say(type="flush")
        await listener.say(type="text", text="A second utterance waits. ")
        await listener.say(type="mark", name="end of second")
        await listener.until("utterance_started")
        await listener.say(type="clear")
        marks = [await listener.control() for _ in range(2)]
        assert [(mark["name"], mark["state"]) for mark in marks] == [
            ("end of first", "cleared"),
            ("end of second", "cleared"),
        ]
        cleared = await listener.control()
        assert cleared["type"] == "cleared"
        assert cleared["text_spoken"] + cleared["text_not_spoken"] == LONG + "A second utterance waits. "


async def test_at_most_one_stale_packet_follows_a_clear_over_rtp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.bind(("127.0.0.1", 0))
        phone.setblocking(False)
        async with running_server() as running, httpx.AsyncClient(base_url=running.url) as client:
            body = {"to": f"rtp:127.0.0.1:{phone.getsockname()[1]}", "text": LONG, "hang_up": False}
            call = (await client.post("/v1/calls", json=body)).json()
            await asyncio.sleep(0.5)
            cleared = (await client.post(f"/v1/calls/{call['call_id']}/clear")).json()
            before = drain(phone)
            await asyncio.sleep(0.2)
            after = drain(phone)
            await client.delete(f"/v1/calls/{call['call_id']}")
    talkspurt = next(index for index, packet in enumerate(before) if packet.marker)
    stale = [packet for packet in after if packet.payload != TELEPHONE.silence]
    assert len(stale) <= 1
    assert len(after) >= 8, "comfort silence goes on"
    # Between the clear and its answer, one more packet (of silence) may have come.
    assert len(before) - talkspurt - cleared["played_ms"] // TELEPHONE.ptime_ms in (0, 1)


def drain(phone: socket.socket) -> list[RtpPacket]:
    packets = []
    while True:
        try:
            packets.append(RtpPacket.parse(phone.recv(2048)))
        except BlockingIOError:
            return packets
