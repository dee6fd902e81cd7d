"""`/v1/stream`: the same audio however the text is cut, in each format, transport and pacing."""

import asyncio
import base64
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.server.running import RunningServer, running_server
from tests.server.test_protocol import Listener

TEXT = "Dr. Smith will see you at 4:30 pm. It costs $12.50, please pay by card! Do you have any questions? "


@asynccontextmanager
async def streaming(running: RunningServer, **start: Any) -> AsyncIterator[Listener]:
    async with connect(running.stream_url) as connection:
        listener = Listener(connection)
        await listener.say(type="start", **start)
        assert (await listener.control())["type"] == "ready"
        yield listener


def cuts(text: str) -> list[list[str]]:
    rng = random.Random(5)
    at_random = []
    for _ in range(2):
        ends = sorted({rng.randrange(1, len(text)) for _ in range(12)} | {len(text)})
        at_random.append([text[start:end] for start, end in zip([0, *ends], ends, strict=False)])
    return [[text], list(text), *at_random]


async def test_text_cut_anywhere_is_spoken_alike_and_as_http_speaks_it() -> None:
    async with running_server() as running, httpx.AsyncClient(base_url=running.url) as client:
        body = {"input": TEXT, "encoding": "mulaw"}
        wanted = (await client.post("/v1/audio/speech", json=body)).content
        for pieces in cuts(TEXT):
            async with streaming(running, pacing="fast") as listener:
                for piece in pieces:
                    await listener.say(type="text", text=piece)
                await listener.say(type="flush")
                await listener.until("utterance_ended")
                assert bytes(listener.audio) == wanted, pieces


async def test_base64_carries_the_bytes_of_binary() -> None:
    async with running_server() as running:
        async with streaming(running, pacing="fast") as binary:
            await say_and_hear(binary, "One, two. ")
        async with streaming(running, pacing="fast", transport="base64") as text:
            heard = await say_and_hear(text, "One, two. ")
        assert not text.messages
        audio = [message for message in heard if message["type"] == "audio"]
        assert {message["utterance"] for message in audio} == {1}
        assert b"".join(base64.b64decode(message["audio"]) for message in audio) == bytes(binary.audio)


async def say_and_hear(listener: Listener, text: str) -> list[dict[str, Any]]:
    await listener.say(type="text", text=text)
    await listener.say(type="flush")
    heard = [await listener.control()]
    while heard[-1]["type"] != "utterance_ended":
        heard.append(await listener.control())
    return heard


async def test_realtime_sends_one_frame_a_message_in_each_format() -> None:
    async def hear(running: RunningServer, encoding: str, rate_hz: int, frame_bytes: int) -> None:
        async with streaming(running, encoding=encoding, sample_rate=rate_hz) as listener:
            ended = (await say_and_hear(listener, "Hi. "))[-1]
            assert {len(message) for message in listener.messages} == {frame_bytes}
            assert ended["played_ms"] == 20 * len(listener.messages)

    async with running_server() as running:
        await asyncio.gather(
            hear(running, "mulaw", 8_000, 160),
            hear(running, "alaw", 8_000, 160),
            hear(running, "pcm16", 8_000, 320),
            hear(running, "pcm16", 16_000, 640),
            hear(running, "pcm16", 24_000, 960),
        )


async def test_with_silence_frames_come_at_the_pace_of_the_clock_from_the_start() -> None:
    async with running_server() as running, streaming(running, silence=True) as listener:
        loop = asyncio.get_running_loop()
        began = loop.time()
        frames = [await asyncio.wait_for(listener.connection.recv(), 1) for _ in range(25)]
        assert loop.time() - began == pytest.approx(0.5, abs=0.1)
        assert set(frames) == {b"\xff" * 160}


async def test_an_utterance_of_nothing_ends_without_audio() -> None:
    async with running_server() as running, streaming(running) as listener:
        for text in ("", "  ", "*** "):
            heard = await say_and_hear(listener, text)
            assert [message["type"] for message in heard] == ["utterance_ended"]
            assert heard[0]["played_ms"] == 0
            assert heard[0]["reason"] == "completed"
    assert not listener.audio


async def test_websockets_own_pings_are_answered() -> None:
    async with running_server() as running, streaming(running) as listener:
        await asyncio.wait_for(await listener.connection.ping(), 2)
