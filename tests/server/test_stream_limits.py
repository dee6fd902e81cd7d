"""`/v1/stream` at its edges: wrong and too much input, readers that stop, clients that leave, cut text."""

import asyncio
import contextlib
import json
import random
import socket
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from server.call import MAX_WAITING_MARKS, MAX_WAITING_UTTERANCES
from telephony.encoder import LineEncoder
from tests.fakes import slow_backend
from tests.server.process import server_process
from tests.server.running import RunningServer, running_server
from tests.server.test_protocol import Listener
from tests.server.test_stream import TEXT, streaming
from tests.server.waiting import until


async def closed_with(connection: ClientConnection) -> tuple[int | None, str | None]:
    """(code, reason), once everything that came before it has been read."""

    async def read_on() -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await connection.recv()

    await asyncio.wait_for(read_on(), 10)
    return connection.close_code, connection.close_reason


async def last_error(connection: ClientConnection) -> dict[str, Any]:
    error: dict[str, Any] = json.loads(await asyncio.wait_for(connection.recv(), 5))
    assert error["type"] == "error"
    return error


# Before start


BAD_STARTS: list[tuple[str | bytes, str, str | None]] = [
    ('{"type": "text", "text": "Hello."}', "start_expected", "type"),
    ('{"type": "close"}', "start_expected", "type"),
    ("hello", "start_expected", None),
    (b"hello", "start_expected", None),
    ('{"type": "start", "colour": "red"}', "start_expected", "colour"),
    ('{"type": "start", "voice": "nobody"}', "invalid_start", "voice"),
    ('{"type": "start", "voice": "' + "é" * 199 + '"}', "invalid_start", "voice"),
    ('{"type": "start", "encoding": "opus"}', "invalid_start", "encoding"),
    ('{"type": "start", "encoding": "mulaw", "sample_rate": 16000}', "invalid_start", "sample_rate"),
]


async def test_a_connection_that_does_not_begin_with_a_good_start_is_closed_1008() -> None:
    async with running_server() as running:
        for first, code, field in BAD_STARTS:
            async with connect(running.stream_url) as connection:
                await connection.send(first)
                error = await last_error(connection)
                assert (error["code"], error["field"], error["fatal"]) == (code, field, True), first
                assert (await closed_with(connection))[0] == 1_008


async def test_a_connection_that_says_nothing_is_closed_in_time_and_takes_no_place() -> None:
    async with running_server(start_timeout_s=0.1) as running, connect(running.stream_url) as connection:
        assert running.services.door.in_use == 0
        assert (await last_error(connection))["code"] == "start_expected"
        assert (await closed_with(connection))[0] == 1_008


async def test_a_full_server_closes_1013_and_says_when_to_come_back() -> None:
    async with running_server(places=1) as running, streaming(running):
        async with connect(running.stream_url) as connection:
            await connection.send('{"type": "start"}')
            assert (await last_error(connection))["code"] == "full"
            assert await closed_with(connection) == (1_013, "all 1 places are taken; try again in 1 s")
        assert (
            running.services.metrics.registry.get_sample_value("talkspurt_rejected_total", {"reason": "full"})
            == 1
        )


# Wrong messages: named, and the call goes on


WRONG: list[tuple[str | bytes, str, str | None]] = [
    (b"\x00\x01", "malformed", None),
    ("", "malformed", None),
    ("{", "malformed", None),
    ("[" * 10_000, "malformed", None),
    ("5", "malformed", None),
    ('{"type": "say"}', "malformed", "type"),
    ('{"type": "text", "text": 5}', "malformed", "text"),
    ('{"type": "text", "text": "\\ud800"}', "malformed", None),
    ('{"type": "mark", "name": "\\ud800"}', "malformed", None),
    ('{"type": "flush", "\\ud800": 1}', "malformed", None),
    ('{"type": "clear", "played_ms": Infinity}', "malformed", "played_ms"),
    ('{"type": "clear", "played_ms": 20}', "malformed", "played_ms"),  # realtime: we know
    ('{"type": "clear", "utterance": 1}', "malformed", "utterance"),
    ('{"type": "start"}', "unexpected", "type"),
    (json.dumps({"type": "text", "text": "a" * 4_097}), "text_too_long", "text"),
]


async def test_each_wrong_message_is_named_and_the_call_goes_on() -> None:
    async with running_server() as running, streaming(running) as listener:
        for message, code, field in WRONG:
            await listener.connection.send(message)
            error = await listener.control()
            assert (error["type"], error["code"], error["field"], error["fatal"]) == (
                "error",
                code,
                field,
                False,
            ), message
        await listener.say(type="text", text="Still here.")
        await listener.say(type="flush")
        assert (await listener.until("utterance_ended"))["reason"] == "completed"


async def test_text_over_the_limit_is_dropped_whole_and_what_was_there_is_spoken() -> None:
    async with running_server(max_text_chars=100) as running, streaming(running, pacing="fast") as listener:
        await listener.say(type="text", text="a" * 99 + " ")
        await listener.say(type="text", text="b")
        assert (await listener.until("error"))["code"] == "text_too_long"
        await listener.say(type="flush")
        assert (await listener.until("utterance_ended"))["reason"] == "completed"


async def test_marks_and_utterances_beyond_the_bound_are_dropped_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with slow_backend.install(monkeypatch) as script:
        async with running_server(engine="slow") as running, streaming(running) as listener:
            script.open_windows = script.windows
            for number in range(MAX_WAITING_UTTERANCES + 1):
                await listener.say(type="text", text=f"Number {number}. ")
                await listener.say(type="flush")
            assert (await listener.control())["code"] == "too_many"
            for number in range(MAX_WAITING_MARKS + 1):
                await listener.say(type="mark", name=str(number))
            assert (await listener.control())["code"] == "too_many"
            await listener.say(type="clear")
            script.gate.set()
            marks = [await listener.control() for _ in range(MAX_WAITING_MARKS)]
            assert [mark["name"] for mark in marks] == [str(number) for number in range(MAX_WAITING_MARKS)]
            assert (await listener.control())["type"] == "cleared"
            await listener.say(type="text", text="Room again. ")
            await listener.say(type="mark", name="again")
            await listener.say(type="flush")
            assert (await listener.until("mark"))["state"] == "played"


async def test_messages_after_close_are_refused_and_what_was_said_is_played() -> None:
    async with running_server() as running, streaming(running) as listener:
        await listener.say(type="text", text="Goodbye. ")
        await listener.say(type="close")
        await listener.say(type="text", text="One more thing. ")
        assert (await listener.until("error"))["code"] == "unexpected"
        assert (await listener.until("utterance_ended"))["reason"] == "completed"
        assert (await closed_with(listener.connection))[0] == 1_000


async def test_a_message_of_more_than_a_mebibyte_is_closed_1009() -> None:
    async with server_process() as running, connect(running.stream_url, max_size=None) as connection:
        await connection.send('{"type": "start"}')
        await connection.recv()
        with contextlib.suppress(ConnectionClosed):
            await connection.send(json.dumps({"type": "text", "text": "a" * (1 << 20)}))
        assert (await closed_with(connection))[0] == 1_009
        async with httpx.AsyncClient(base_url=running.url) as client:

            async def free() -> bool:
                return bool((await client.get("/ready")).json()["in_use"] == 0)

            await until(free)


# Failures


@pytest.mark.parametrize("pacing", ["realtime", "fast"])
async def test_an_utterance_that_fails_is_reported_and_the_next_is_spoken(
    pacing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with slow_backend.install(monkeypatch, fails_in="window", fails_from_token=10):
        async with running_server(engine="slow") as running, streaming(running, pacing=pacing) as listener:
            await listener.say(type="text", text="This is a broken sentence of some length. ")
            await listener.say(type="flush")
            await listener.say(type="text", text="This is whole. ")
            await listener.say(type="flush")
            error = await listener.until("error")
            assert (error["code"], error["fatal"]) == ("speech_failed", False)
            ended = [await listener.until("utterance_ended") for _ in range(2)]
    assert [(each["utterance"], each["reason"]) for each in ended] == [(1, "failed"), (2, "completed")]


async def test_a_fault_of_ours_closes_1011_and_no_other_call(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_server() as running, streaming(running, pacing="fast") as well:
        async with streaming(running) as listener:
            with monkeypatch.context() as patch:
                patch.setattr(LineEncoder, "push", lambda *_: 1 / 0)
                await listener.say(type="text", text="Hello. ")
                await listener.say(type="flush")
                assert (await listener.until("error"))["code"] == "internal"
                assert (await closed_with(listener.connection))[0] == 1_011
        await well.say(type="text", text="Hello. ")
        await well.say(type="flush")
        assert (await well.until("utterance_ended"))["reason"] == "completed"


# Readers that stop, clients that leave


async def test_a_reader_that_stops_is_closed_1008_and_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    with slow_backend.install(monkeypatch, endless=True):
        async with running_server(engine="slow", slow_reader_s=0.3) as running:
            stuck = socket.socket()
            stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            stuck.connect(("127.0.0.1", running.port))
            stuck.setblocking(False)
            async with connect(running.stream_url, sock=stuck, max_queue=1) as connection:
                listener = Listener(connection)
                await listener.say(type="start", pacing="fast", encoding="pcm16", sample_rate=24_000)
                await listener.say(type="text", text="One endless sentence follows another. " * 30)
                await listener.say(type="flush")
                await listener.until("utterance_started")
                assert running.services.door.in_use == 1
                await until_free(running)
                assert await closed_with(connection) == (1_008, "slow_reader")


async def until_free(running: RunningServer) -> None:
    await until(lambda: not running.services.door.in_use and not running.services.engine.in_use, 8)


@pytest.mark.parametrize("pacing", ["realtime", "fast"])
async def test_a_client_that_leaves_at_any_stage_leaves_nothing(pacing: str) -> None:
    long = TEXT * 5
    stages: list[list[dict[str, Any]]] = [
        [],
        [{"type": "start", "pacing": pacing}],
        [{"type": "start", "pacing": pacing}, {"type": "text", "text": long}],
        [{"type": "start", "pacing": pacing}, {"type": "text", "text": long}, {"type": "mark", "name": "a"}],
        [{"type": "start", "pacing": pacing}, {"type": "text", "text": long}, {"type": "flush"}],
        [{"type": "start", "pacing": pacing}, {"type": "text", "text": long}, {"type": "clear"}],
        [{"type": "start", "pacing": pacing}, {"type": "text", "text": long}, {"type": "close"}],
    ]
    async with running_server() as running:
        for abruptly in (True, False):
            for stage in stages:
                for wait_s in (0.0, 0.05):
                    connection = await connect(running.stream_url, max_queue=None)
                    for message in stage:
                        await connection.send(json.dumps(message))
                    await asyncio.sleep(wait_s)
                    if abruptly:
                        connection.transport.abort()
                    else:
                        await connection.close()


async def test_thirty_connections_that_clear_and_leave_at_random_leave_nothing() -> None:
    """And every one of those that stay is spoken to in full."""

    async def caller(running: RunningServer, rng: random.Random) -> None:
        async with streaming(running, pacing=rng.choice(["realtime", "fast"])) as listener:
            for _ in range(rng.randrange(4)):
                await listener.say(type="text", text=TEXT[: rng.randrange(1, len(TEXT))])
                await listener.say(type="mark", name="here")
                if rng.random() < 0.7:
                    await listener.say(type="flush")
                await asyncio.sleep(rng.random() * 0.1)
                await listener.say(type="clear")
                await listener.until("cleared")
            if rng.random() < 0.5:
                return
            await listener.say(type="text", text="One. ")
            await listener.say(type="close")
            assert (await listener.until("utterance_ended"))["reason"] == "completed"

    async with running_server(places=30) as running:
        callers = [caller(running, random.Random(seed)) for seed in range(30)]
        await asyncio.wait_for(asyncio.gather(*callers), 20)


async def test_a_burst_of_clears_does_not_cost_another_call_its_speech(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Utterances cancelled while a step runs wait for its end; they must not use up the engine's places."""
    with slow_backend.install(monkeypatch, window_s=0.2):
        async with (
            running_server(engine="slow", places=2) as running,
            streaming(running, pacing="fast") as restless,
            streaming(running, pacing="fast") as patient,
        ):
            for _ in range(40):
                await restless.say(type="text", text="This sentence is thrown away at once. ")
                await restless.say(type="flush")
                await asyncio.sleep(0.002)
                await restless.say(type="clear")
                await restless.until("cleared")
                assert running.services.engine.in_use <= 2, "the last one, and one that leaves"
            await patient.say(type="text", text="Here.")
            await patient.say(type="flush")
            while (message := await patient.control())["type"] != "utterance_ended":
                assert message["type"] != "error", message
            assert message["reason"] == "completed"
