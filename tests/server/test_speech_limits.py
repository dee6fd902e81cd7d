"""`/v1/audio/speech` at its edges: streaming, refusals by field, full places, failures, early departures."""

import asyncio
import json
import socket
from typing import Any

import httpx
import pytest

from tests.fakes import slow_backend
from tests.server.running import RunningServer
from tests.server.test_speech import FORMATS, TEXT, metric, speaking, speech
from tests.server.waiting import until

STREAMED: list[dict[str, str]] = [{"response_format": each} for each in FORMATS] + [
    {"encoding": "mulaw"},
    {"encoding": "mulaw", "response_format": "wav"},
    {"response_format": "pcm", "stream_format": "sse"},
]


async def test_first_bytes_arrive_while_the_second_window_is_not_synthesized(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with slow_backend.install(monkeypatch) as script:
        async with speaking(engine="slow") as (_, client):
            for body in STREAMED:
                script.gate.clear()
                script.open_windows = script.windows + 1
                async with client.stream("POST", "/v1/audio/speech", json={"input": TEXT, **body}) as answer:
                    pieces = answer.aiter_bytes()
                    assert await asyncio.wait_for(anext(pieces), 5), body
                    assert script.windows == script.open_windows
                    script.gate.set()
                    assert [piece async for piece in pieces], body


# Refusals


BAD_BODIES: list[tuple[dict[str, Any], str]] = [
    ({"colour": "red"}, "colour"),
    ({"input": ""}, "input"),
    ({"input": "   "}, "input"),
    ({"input": "*** --- ..."}, "input"),
    ({"input": None}, "input"),
    ({"input": 5}, "input"),
    ({"input": "Half a pair: \ud800."}, "input"),
    ({"input": "word " * 1_000}, "input"),
    ({"voice": "nobody"}, "voice"),
    ({"voice": {"id": "nobody"}}, "voice"),
    ({"voice": {"name": "default"}}, "voice"),
    ({"voice": 5}, "voice"),
    ({"voice": "\ud800"}, "voice"),
    ({"response_format": "midi"}, "response_format"),
    ({"response_format": "mp3", "encoding": "mulaw"}, "response_format"),
    ({"encoding": "opus"}, "encoding"),
    ({"encoding": "mulaw", "sample_rate": 16_000}, "sample_rate"),
    ({"sample_rate": 11_025}, "sample_rate"),
    ({"sample_rate": "many"}, "sample_rate"),
    ({"speed": 0.24}, "speed"),
    ({"speed": 4.01}, "speed"),
    ({"speed": "fast"}, "speed"),
    ({"stream_format": "chunked"}, "stream_format"),
    ({"seed": -1}, "seed"),
    ({"seed": 2**32}, "seed"),
]


async def test_each_wrong_field_is_named_with_400_and_takes_no_place() -> None:
    async with speaking() as (running, client):
        for body, param in BAD_BODIES:
            content = json.dumps({"input": TEXT, **body})
            answer = await client.post(
                "/v1/audio/speech", content=content, headers={"content-type": "application/json"}
            )
            assert answer.status_code == 400, (body, answer.text)
            error = answer.json()["error"]
            assert set(error) == {"message", "type", "param", "code"}
            assert error["type"] == "invalid_request_error"
            assert error["param"] == param, (body, error)
            assert param in error["message"]
            assert running.services.door.in_use == 0


NOT_OBJECTS = [
    b"",
    b"{",
    b'{"input": }',
    b"[]",
    b'"text"',
    b"5",
    b"null",
    b'{"input": "\xff"}',
    b"[" * 100_000,
    b'{"\\ud800": 1}',
]


async def test_a_body_that_is_not_a_json_object_is_400_in_the_documented_form() -> None:
    async with speaking() as (_, client):
        for content in NOT_OBJECTS:
            headers = {"content-type": "application/json"}
            answer = await client.post("/v1/audio/speech", content=content, headers=headers)
            assert answer.status_code == 400, (content[:20], answer.text)
            assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


async def test_the_longest_text_is_spoken_and_one_character_more_is_not() -> None:
    async with speaking(max_text_chars=100) as (_, client):
        assert (await speech(client, input="word " * 20)).status_code == 200
        answer = await speech(client, input="word " * 20 + ".")
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "input"


async def test_exactly_as_many_as_there_are_places_get_in_and_the_rest_hear_when_to_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with slow_backend.install(monkeypatch) as script:
        async with speaking(engine="slow", places=3) as (running, client):
            script.open_windows = script.windows
            asked = [asyncio.ensure_future(speech(client, encoding="mulaw")) for _ in range(8)]
            done, waiting = await asyncio.wait(asked, timeout=0.5)
            assert (len(done), len(waiting)) == (5, 3)
            assert running.services.door.in_use == 3
            for each in done:
                answer = each.result()
                assert answer.status_code == 503
                assert int(answer.headers["retry-after"]) >= 1
                assert answer.json()["error"]["code"] == "full"
                assert answer.json()["error"]["type"] == "server_error"
            script.gate.set()
            assert [(await each).status_code for each in waiting] == [200] * 3
            assert metric(running, "rejected_total", reason="full") == 5
            assert (await speech(client, encoding="mulaw")).status_code == 200


# Failures and departures


@pytest.mark.parametrize("step", ["prefill", "decode", "window"])
async def test_a_failure_before_the_first_audio_is_500_in_json(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with slow_backend.install(monkeypatch, fails_in=step):
        async with speaking(engine="slow") as (running, client):
            answer = await speech(client, input="This is broken speech.")
            assert answer.status_code == 500
            assert answer.json()["error"]["code"] == "speech_failed"
            assert answer.json()["error"]["type"] == "server_error"
            assert metric(running, "utterances_total", reason="failed") == 1
            assert (await speech(client)).status_code == 200, "others go on"


@pytest.mark.parametrize("body", [{"response_format": "wav"}, {"stream_format": "sse"}, {}])
async def test_a_failure_in_mid_stream_breaks_the_connection(
    body: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "This is a broken sentence that goes on for long enough to take quite a few windows to speak."
    with slow_backend.install(monkeypatch, fails_in="window", fails_from_token=30):
        async with speaking(engine="slow") as (running, client):
            asked = {"input": text, **body}
            async with client.stream("POST", "/v1/audio/speech", json=asked) as answer:
                assert answer.status_code == 200
                with pytest.raises(httpx.RemoteProtocolError):
                    await answer.aread()
            assert metric(running, "utterances_total", reason="failed") == 1


async def test_a_client_that_leaves_in_mid_utterance_frees_its_place_and_its_utterance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with slow_backend.install(monkeypatch, endless=True, window_s=0.01):
        async with speaking(engine="slow") as (running, client):
            async with client.stream("POST", "/v1/audio/speech", json={"input": TEXT}) as answer:
                await anext(answer.aiter_bytes())
                assert running.services.door.in_use == 1
            await until_free(running)
            assert metric(running, "utterances_total", reason="cancelled") == 1


async def test_a_client_that_leaves_before_the_first_audio_frees_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with slow_backend.install(monkeypatch) as script:
        async with speaking(engine="slow") as (running, client):
            script.open_windows = script.windows
            with pytest.raises(httpx.ReadTimeout):
                await client.post("/v1/audio/speech", json={"input": TEXT}, timeout=0.2)
            await until(lambda: not running.services.door.in_use)
            script.gate.set()


async def test_a_reader_that_stops_is_left_after_slow_reader_s(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "One endless sentence follows another and nobody listens. " * 20
    with slow_backend.install(monkeypatch, endless=True):
        async with speaking(engine="slow", slow_reader_s=0.3) as (running, _):
            with socket.socket() as stuck:
                stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
                stuck.connect(("127.0.0.1", running.port))
                body = json.dumps({"input": text, "response_format": "pcm"}).encode()
                head = "POST /v1/audio/speech HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                stuck.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
                await asyncio.sleep(0.2)
                assert running.services.door.in_use == 1
                await until_free(running)
                assert metric(running, "utterances_total", reason="cancelled") == 1
                stuck.settimeout(5)
                heard = await asyncio.to_thread(read_to_end, stuck)
    assert not heard.endswith(b"0\r\n\r\n"), "a broken answer must not look whole"


def read_to_end(connection: socket.socket) -> bytes:
    heard = bytearray()
    try:
        while piece := connection.recv(1 << 20):
            heard += piece
    except ConnectionResetError:
        pass
    return bytes(heard)


async def until_free(running: RunningServer, timeout_s: float = 5.0) -> None:
    await until(lambda: not running.services.door.in_use and not running.services.engine.in_use, timeout_s)
