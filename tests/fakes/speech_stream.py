"""A server of /v1/stream that misbehaves as told."""

import asyncio
import json
from dataclasses import dataclass, field
from enum import Enum, auto
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from telephony.format import AudioFormat
from tests.fakes.speech_audio import silence_then_tone

LEADING_SILENCE_MS = 40
TONE_MS = 60


class StreamManner(Enum):
    SPEAK = auto()
    REFUSE = auto()
    REFUSE_UPGRADE = auto()
    FORBID_UPGRADE = auto()
    FULL_WITHOUT_WORD = auto()
    """1013 and no message before it."""
    FAIL_UTTERANCE = auto()
    ERROR_IN_MIDDLE = auto()
    DROP_IN_MIDDLE = auto()
    CLOSE_IN_MIDDLE = auto()
    NOT_JSON = auto()
    UNREADY = auto()
    """Something else comes instead of `ready`."""
    MUTE = auto()


@dataclass(slots=True)
class FakeSpeechStream:
    """Listens on a free port of 127.0.0.1 while entered."""

    manner: StreamManner = StreamManner.SPEAK
    received: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    _server: Server | None = None

    async def __aenter__(self) -> "FakeSpeechStream":
        self._server = await serve(self._call, "127.0.0.1", 0, process_request=self._greet)
        port = next(iter(self._server.sockets)).getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    def _greet(self, connection: ServerConnection, request: Request) -> Response | None:
        if request.path == "/ready":
            return connection.respond(HTTPStatus.OK, '{"ready": true}')
        if self.manner is StreamManner.REFUSE_UPGRADE:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "full")
        if self.manner is StreamManner.FORBID_UPGRADE:
            return connection.respond(HTTPStatus.FORBIDDEN, "no")
        return None

    async def _call(self, connection: ServerConnection) -> None:
        start = await self._receive(connection)
        if self.manner is StreamManner.REFUSE:
            await _say(connection, type="error", code="full", message="", field=None, fatal=True)
        if self.manner in (StreamManner.REFUSE, StreamManner.FULL_WITHOUT_WORD):
            return await connection.close(1013, "come back in 1 s")
        if self.manner is StreamManner.UNREADY:
            return await _say(connection, type="cleared")
        await _say(connection, type="ready", call_id="7")
        while (await self._receive(connection))["type"] != "flush":
            pass
        await self._speak(connection, start)

    async def _speak(self, connection: ServerConnection, start: dict[str, Any]) -> None:
        await _say(connection, type="utterance_started", utterance=1, ttfa_ms=9.0, engine_ms=6.5)
        audio_format = AudioFormat.of(start["encoding"], start["sample_rate"])
        audio = silence_then_tone(audio_format, LEADING_SILENCE_MS, TONE_MS)
        frame_bytes = audio_format.payload_bytes
        for at in range(0, 0 if self.manner is StreamManner.MUTE else len(audio), frame_bytes):
            await connection.send(audio[at : at + frame_bytes])
            await asyncio.sleep(0.002)
            if at:
                await self._disturb(connection)
        reason = "failed" if self.manner is StreamManner.FAIL_UTTERANCE else "completed"
        await _say(connection, type="utterance_ended", utterance=1, played_ms=100, reason=reason)
        await self._receive(connection)

    async def _disturb(self, connection: ServerConnection) -> None:
        if self.manner is StreamManner.ERROR_IN_MIDDLE:
            await _say(connection, type="error", code="speech_failed", message="", fatal=False)
        elif self.manner is StreamManner.DROP_IN_MIDDLE:
            connection.transport.abort()
        elif self.manner is StreamManner.CLOSE_IN_MIDDLE:
            await connection.close(1001, "bye")
        elif self.manner is StreamManner.NOT_JSON:
            await connection.send("{")

    async def _receive(self, connection: ServerConnection) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await connection.recv())
        self.received.append(message)
        return message


async def _say(connection: ServerConnection, **message: Any) -> None:
    await connection.send(json.dumps(message))
