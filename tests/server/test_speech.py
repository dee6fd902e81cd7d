"""`/v1/audio/speech`: OpenAI's contract by its own client, telephone formats, and every early end."""

import asyncio
import base64
import io
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import av
import httpx
import numpy as np
import openai
import pytest
from numpy.typing import NDArray

from engines.rates import SAMPLE_RATE_HZ, TOKEN_SAMPLES
from server.speech import OPENAI_VOICES
from tests.fakes import slow_backend
from tests.server.running import RunningServer, running_server
from tests.server.waiting import until

TEXT = "Your appointment is on Tuesday, the third of March, at half past four."
FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")


@asynccontextmanager
async def speaking(**settings: Any) -> AsyncIterator[tuple[RunningServer, httpx.AsyncClient]]:
    async with (
        running_server(**settings) as running,
        httpx.AsyncClient(base_url=running.url, timeout=20) as client,
    ):
        yield running, client


async def speech(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    return await client.post("/v1/audio/speech", json={"input": TEXT, **body})


async def audio(client: httpx.AsyncClient, **body: Any) -> bytes:
    answer = await speech(client, **body)
    assert answer.status_code == 200, answer.text
    return answer.content


def decode(body: bytes) -> tuple[NDArray[np.float32], int]:
    """(samples, rate) of a file in any container that PyAV reads."""
    with av.open(io.BytesIO(body)) as container:
        track = container.streams.audio[0]
        to_float = av.AudioResampler(format="flt", layout="mono")
        pieces = [
            piece.to_ndarray()[0]
            for frame in container.decode(track)  # type: ignore[union-attr]
            for piece in to_float.resample(frame)
        ]
        return np.concatenate(pieces), track.rate


def metric(running: RunningServer, name: str, **labels: str) -> float:
    return running.services.metrics.registry.get_sample_value(f"talkspurt_{name}", labels) or 0.0


# What comes out


async def test_every_format_decodes_to_the_same_speech() -> None:
    async with speaking() as (_, client):
        pcm = np.frombuffer(await audio(client, response_format="pcm"), "<i2") / 32_768
        types = {}
        for response_format in FORMATS[:-1]:
            answer = await speech(client, response_format=response_format)
            types[response_format] = answer.headers["content-type"]
            samples, rate_hz = decode(answer.content)
            assert len(samples) / rate_hz == pytest.approx(len(pcm) / SAMPLE_RATE_HZ, abs=0.1), (
                response_format
            )
            assert np.std(samples) == pytest.approx(np.std(pcm), rel=0.1), response_format
    assert types == {
        "mp3": "audio/mpeg",
        "opus": "audio/ogg",
        "aac": "audio/aac",
        "flac": "audio/flac",
        "wav": "audio/wav",
    }


async def test_flac_and_wav_hold_the_very_samples_of_pcm() -> None:
    async with speaking() as (_, client):
        pcm = np.frombuffer(await audio(client, response_format="pcm"), "<i2")
        for response_format in ("flac", "wav"):
            samples, rate_hz = decode(await audio(client, response_format=response_format))
            assert rate_hz == SAMPLE_RATE_HZ
            exact = np.rint(samples * 32_768).astype(int)[: len(pcm)]
            # Ours rounds by 32768 for a line and by 32767 for a codec: one step apart at the loudest.
            assert np.abs(exact - pcm[: len(exact)]).max() <= 1
            assert len(samples) == pytest.approx(len(pcm), abs=SAMPLE_RATE_HZ // 50)


async def test_mp3_is_what_comes_when_nothing_is_asked_for() -> None:
    async with speaking() as (_, client):
        answer = await speech(client)
    assert answer.headers["content-type"] == "audio/mpeg"
    with av.open(io.BytesIO(answer.content)) as container:
        assert container.format.name == "mp3"


TELEPHONE_FORMATS = [
    ("mulaw", 8_000, 1, "audio/PCMU;rate=8000"),
    ("alaw", 8_000, 1, "audio/PCMA;rate=8000"),
    ("pcm16", 8_000, 2, "audio/pcm;rate=8000"),
    ("pcm16", 16_000, 2, "audio/pcm;rate=16000"),
    ("pcm16", 24_000, 2, "audio/pcm;rate=24000"),
]


async def test_raw_telephone_formats_last_as_long_as_their_bytes_say() -> None:
    async with speaking() as (_, client):
        wanted_s = len(await audio(client, response_format="pcm")) / 2 / SAMPLE_RATE_HZ
        for encoding, rate_hz, sample_bytes, media_type in TELEPHONE_FORMATS:
            answer = await speech(client, encoding=encoding, sample_rate=rate_hz)
            assert answer.headers["content-type"] == media_type
            assert len(answer.content) % (rate_hz // 50 * sample_bytes) == 0, "whole frames of 20 ms"
            assert len(answer.content) / sample_bytes / rate_hz == pytest.approx(wanted_s, abs=0.045)


async def test_wav_holds_the_bytes_of_raw_behind_a_header_of_44() -> None:
    async with speaking() as (_, client):
        for encoding, rate_hz, sample_bytes, _ in TELEPHONE_FORMATS:
            wanted = {"encoding": encoding, "sample_rate": rate_hz}
            raw = await audio(client, **wanted)
            wav = await audio(client, **wanted, response_format="wav")
            assert wav[44:] == raw
            samples, decoded_hz = decode(wav)
            assert (len(samples), decoded_hz) == (len(raw) // sample_bytes, rate_hz)


async def test_a_rate_alone_means_pcm16() -> None:
    async with speaking() as (_, client):
        answer = await speech(client, sample_rate=8_000)
    assert answer.headers["content-type"] == "audio/pcm;rate=8000"


async def test_speed_divides_the_duration_in_every_container() -> None:
    async with speaking() as (_, client):
        normal_s = len(await audio(client, response_format="pcm")) / 2 / SAMPLE_RATE_HZ
        for speed in (0.25, 0.5, 0.8, 1.5, 4.0):
            fast_s = len(await audio(client, response_format="pcm", speed=speed)) / 2 / SAMPLE_RATE_HZ
            assert fast_s == pytest.approx(normal_s / speed, rel=0.03)
            samples, rate_hz = decode(await audio(client, response_format="flac", speed=speed))
            assert len(samples) / rate_hz == pytest.approx(fast_s, abs=0.1)


async def test_the_shortest_word_in_any_format_at_any_speed_is_whole() -> None:
    async with speaking() as (_, client):
        for response_format in FORMATS:
            for speed in (0.25, 1.0, 4.0):
                answer = await speech(client, input="I", response_format=response_format, speed=speed)
                assert answer.status_code == 200, (response_format, speed)
                assert answer.content


async def test_equal_requests_get_equal_bytes_and_a_seed_is_taken() -> None:
    async with speaking() as (_, client):
        first = await audio(client, encoding="mulaw", seed=7)
        assert await audio(client, encoding="mulaw", seed=7) == first


async def test_a_voice_is_a_name_an_object_or_one_of_openais() -> None:
    async with speaking() as (_, client):
        default = await audio(client, encoding="mulaw")
        assert await audio(client, encoding="mulaw", voice={"id": "default"}) == default
        assert await audio(client, encoding="mulaw", voice=sorted(OPENAI_VOICES)[0]) == default
        assert await audio(client, encoding="mulaw", voice={"id": "nova"}) == default
        assert await audio(client, encoding="mulaw", voice="preview-low") != default


async def test_instructions_and_any_model_are_taken() -> None:
    async with speaking() as (_, client):
        await audio(client, model="gpt-4o-mini-tts", instructions="Speak like a pirate.")


# Events


def events(body: bytes) -> list[dict[str, Any]]:
    lines = body.decode().split("\n\n")
    assert lines.pop() == ""
    return [json.loads(line.removeprefix("data: ")) for line in lines]


async def test_events_carry_the_bytes_of_the_plain_answer_then_usage() -> None:
    async with speaking() as (_, client):
        plain = await audio(client, response_format="pcm")
        answer = await speech(client, response_format="pcm", stream_format="sse")
    assert answer.headers["content-type"].startswith("text/event-stream")
    *deltas, done = events(answer.content)
    assert {each["type"] for each in deltas} == {"speech.audio.delta"}
    assert b"".join(base64.b64decode(each["audio"]) for each in deltas) == plain
    tokens = len(plain) // 2 // TOKEN_SAMPLES
    assert done["type"] == "speech.audio.done"
    assert done["usage"]["input_tokens"] == len(TEXT)
    assert done["usage"]["output_tokens"] == pytest.approx(tokens, abs=1)
    assert done["usage"]["total_tokens"] == len(TEXT) + done["usage"]["output_tokens"]


# OpenAI's own client


def openai_client(running: RunningServer) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0)


async def test_openais_client_streams_each_format() -> None:
    async with running_server() as running, openai_client(running) as client:
        for response_format in FORMATS:
            async with client.audio.speech.with_streaming_response.create(
                model="gpt-4o-mini-tts",
                voice="alloy",
                input=TEXT,
                response_format=response_format,  # type: ignore[arg-type]
            ) as answer:
                body = b"".join([piece async for piece in answer.iter_bytes()])
            assert len(body) > 10_000, response_format


async def test_openais_client_gets_telephone_bytes_and_events_by_its_extra_body() -> None:
    async with running_server() as running, openai_client(running) as client:
        create = client.audio.speech.with_streaming_response.create
        asked = {"model": "tts-1", "voice": "nova", "input": TEXT}
        async with create(**asked, extra_body={"encoding": "mulaw"}) as answer:  # type: ignore[arg-type]
            raw = await answer.read()
        async with create(**asked, stream_format="sse", extra_body={"encoding": "mulaw"}) as answer:  # type: ignore[arg-type]
            *deltas, _ = events(await answer.read())
    assert b"".join(base64.b64decode(each["audio"]) for each in deltas) == raw


async def test_openais_client_raises_its_own_errors() -> None:
    async with running_server(places=1) as running, openai_client(running) as client:
        asked = {"model": "tts-1", "input": TEXT}
        with pytest.raises(openai.BadRequestError) as bad:
            await client.audio.speech.create(**asked, voice="nobody")  # type: ignore[arg-type]
        assert bad.value.body["param"] == "voice"  # type: ignore[index]
        place = running.services.enter()
        with pytest.raises(openai.InternalServerError) as full:
            await client.audio.speech.create(**asked, voice="alloy")  # type: ignore[arg-type]
        assert full.value.status_code == 503
        assert full.value.code == "full"
        place.leave()  # type: ignore[union-attr]


# Streaming


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
