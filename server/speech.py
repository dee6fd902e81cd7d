"""`POST /v1/audio/speech`: OpenAI's contract, streamed as it is synthesised, plus telephone formats."""

import asyncio
import base64
import json
import logging
import time
from collections.abc import AsyncIterator, Collection
from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import Message, Receive, Scope, Send

from engines import SpeechRequest
from engines.errors import InvalidRequest, SpeechFailed
from engines.rates import SAMPLE_RATE_HZ, TOKEN_SAMPLES
from server.admission import Place, Refusal
from server.container import COMPRESSED, CompressedContainer, Container, RawContainer
from server.errors import ApiError
from server.metrics import UtteranceMeter
from server.outbox import SlowReader
from server.services import Services
from server.tempo import Tempo
from telephony.format import AudioFormat

log = logging.getLogger("talkspurt.speech")

OPENAI_VOICES = frozenset(
    {"alloy", "ash", "ballad", "cedar", "coral", "echo", "fable"}
    | {"marin", "nova", "onyx", "sage", "shimmer", "verse"}
)
"""Names that OpenAI's clients insist on; each is the default voice."""


class VoiceReference(BaseModel):
    """OpenAI's other way to name a voice."""

    model_config = ConfigDict(extra="forbid")
    id: str


class SpeechBody(BaseModel):
    """The request. Unknown keys are refused by name."""

    model_config = ConfigDict(extra="forbid")

    input: str = Field(min_length=1)
    model: str = "talkspurt"
    voice: str | VoiceReference = "default"
    instructions: str | None = None  # taken for compatibility: the model has no such input
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] | None = None
    speed: float = Field(1.0, ge=0.25, le=4.0)
    stream_format: Literal["audio", "sse"] = "audio"
    encoding: str | None = None
    sample_rate: int | None = None
    seed: int = Field(0, ge=0, lt=2**32)

    def voice_among(self, known: Collection[str]) -> str:
        """The voice to speak with: as named, and for OpenAI's own names the default unless it is known."""
        name = self.voice if isinstance(self.voice, str) else self.voice.id
        return "default" if name in OPENAI_VOICES and name not in known else name


class SpokenRequest:
    """One request under way: its utterance, its container and its place, left together."""

    def __init__(self, services: Services, body: SpeechBody, container: Container, place: Place) -> None:
        self._body = body
        self._container = container
        self._place = place
        self._tempo = Tempo(body.speed) if body.speed != 1.0 else None
        asked_ns = time.monotonic_ns()
        request = SpeechRequest(voice=body.voice_among(services.engine.voices), seed=body.seed)
        self._speech = services.engine.speak(body.input, request)
        self._meter = UtteranceMeter(services.metrics, "http", asked_ns, asked_ns)
        self._pieces = self._encode()
        self._samples = 0

    async def first_bytes(self) -> bytes:
        """Wait for the first audio. Raises ApiError when there is none to come."""
        try:
            return await anext(self._pieces)
        except StopAsyncIteration:
            raise ApiError(
                400,
                f"input: {self._body.input[:60]!r} holds nothing to speak",
                code="invalid_value",
                param="input",
            ) from None
        except SpeechFailed as error:
            raise ApiError(500, str(error), code="speech_failed") from None

    async def body(self, first: bytes) -> AsyncIterator[bytes]:
        """The answer's body, from the first audio on."""
        self._meter.handed_on()
        wrap = _delta if self._body.stream_format == "sse" else bytes
        yield wrap(first)
        async for piece in self._pieces:
            yield wrap(piece)
        if self._body.stream_format == "sse":
            yield _done(len(self._body.input), self._samples)

    def leave(self) -> None:
        """Cancel what is still under way and give the place back."""
        if self._speech.finish_reason is None:
            self._speech.cancel()
        self._meter.ended(self._speech.finish_reason)
        self._place.leave()

    async def _encode(self) -> AsyncIterator[bytes]:
        """Non-empty pieces of the container, which ends but once: there is one such iterator a request."""
        async for chunk in self._speech:
            self._meter.chunk(chunk)
            self._samples += len(chunk.samples)
            samples = self._tempo.push(chunk.samples) if self._tempo else chunk.samples
            if piece := self._container.push(samples):
                yield piece
        if not self._samples:
            return
        if self._tempo and (piece := self._container.push(self._tempo.flush())):
            yield piece
        if piece := self._container.flush():
            yield piece


class TimedResponse(StreamingResponse):
    """Streams; whatever happens, ``request`` is left. A reader too slow to take a piece is left too."""

    def __init__(
        self, request: SpokenRequest, pieces: AsyncIterator[bytes], media_type: str, timeout_s: float
    ) -> None:
        super().__init__(pieces, media_type=media_type)
        self._request = request
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def timed_send(message: Message) -> None:
            try:
                await asyncio.wait_for(send(message), self._timeout_s)
            except asyncio.TimeoutError:
                raise SlowReader from None

        try:
            await super().__call__(scope, receive, timed_send)
        except SlowReader:
            # Not ours to log with a trace. Returned from unfinished, the connection is broken off.
            log.warning("slow reader", extra={"timeout_s": self._timeout_s})
        finally:
            self._request.leave()


def speech_routes(services: Services) -> APIRouter:
    router = APIRouter()

    @router.post("/v1/audio/speech")
    async def speech(body: SpeechBody, connection: Request) -> TimedResponse:
        container = _open_container(services, body)
        place = services.enter()
        if isinstance(place, Refusal):
            raise ApiError.refused(place)
        try:
            request = SpokenRequest(services, body, container, place)
        except BaseException:
            place.leave()
            raise
        try:
            first = await _unless_gone(connection, asyncio.ensure_future(request.first_bytes()))
        except BaseException:
            request.leave()
            raise
        media_type = "text/event-stream" if body.stream_format == "sse" else container.media_type
        return TimedResponse(request, request.body(first), media_type, services.config.slow_reader_s)

    return router


async def _unless_gone(connection: Request, waiting: "asyncio.Task[bytes]") -> bytes:
    """What is waited for; raises ApiError as soon as the client no longer does."""
    leaving = asyncio.ensure_future(_until_gone(connection))
    try:
        await asyncio.wait((waiting, leaving), return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return waiting.result()
        raise ApiError(499, "the client has left", code="client_left")  # 499: as nginx counts them
    finally:
        for each in (waiting, leaving):
            each.cancel()
        await asyncio.gather(waiting, leaving, return_exceptions=True)


async def _until_gone(connection: Request) -> None:
    while (await connection.receive())["type"] != "http.disconnect":
        pass


def _open_container(services: Services, body: SpeechBody) -> Container:
    """Check text, voice and formats together. Raises InvalidRequest, UnsupportedFormat."""
    if len(body.input) > (limit := services.config.max_text_chars):
        raise InvalidRequest("input", body.input, f"is longer than {limit} characters")
    voice = body.voice_among(services.engine.voices)
    services.engine.require_voice(voice)
    telephone = body.encoding is not None or body.sample_rate is not None
    response_format = body.response_format or ("pcm" if telephone else "mp3")
    if response_format in COMPRESSED:
        if telephone:
            raise InvalidRequest("response_format", response_format, "takes no encoding; use pcm or wav")
        return CompressedContainer(response_format)
    if telephone:
        audio_format = AudioFormat.of(body.encoding or "pcm16", body.sample_rate)
    else:
        audio_format = AudioFormat.of("pcm16", SAMPLE_RATE_HZ)
    encoder = services.line_encoder(audio_format, voice)
    return RawContainer(audio_format, encoder, wav=response_format == "wav")


def _delta(piece: bytes) -> bytes:
    return _event({"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()})


def _done(input_chars: int, samples: int) -> bytes:
    """Usage counts characters in and speech tokens out: what this model bills its time by."""
    tokens = samples // TOKEN_SAMPLES
    usage = {"input_tokens": input_chars, "output_tokens": tokens, "total_tokens": input_chars + tokens}
    return _event({"type": "speech.audio.done", "usage": usage})


def _event(value: dict[str, object]) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()
