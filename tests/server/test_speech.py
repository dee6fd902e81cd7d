"""`/v1/audio/speech`: OpenAI's contract by its own client, telephone formats, and every early end."""

import base64
import io
import json
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
from server.speech import OPENAI_VOICES, SpeechBody
from tests.server.running import RunningServer, running_server

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


def test_a_name_of_openai_s_is_the_default_voice_until_one_is_enrolled_under_it() -> None:
    asked = SpeechBody.model_validate({"input": "Hello.", "voice": "nova"})
    assert asked.voice_among({"default"}) == "default"
    assert asked.voice_among({"default", "nova"}) == "nova"
    assert SpeechBody.model_validate({"input": "Hello.", "voice": "anna"}).voice_among({"default"}) == "anna"
