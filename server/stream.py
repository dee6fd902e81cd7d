"""`/v1/stream`: one WebSocket is one call. The thin shell around Call; its wire is messages.py."""

import asyncio
import base64
import contextlib
import secrets

from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from engines import SpeechRequest
from engines.errors import InvalidRequest
from server.admission import Refusal
from server.call import Call, CallRefused, CallSetup
from server.line import FastLine, Line, PacedLine
from server.messages import (
    Audio,
    Clear,
    ClientMessage,
    Close,
    Error,
    Flush,
    Mark,
    MessageError,
    Ready,
    ServerMessage,
    Start,
    Text,
    UtteranceStarted,
    parse_message,
)
from server.outbox import Outbox, Outgoing, SlowReader
from server.services import Services
from telephony.errors import UnsupportedFormat
from telephony.format import AudioFormat

# RFC 6455 section 7.4.1; 1013 is registered with IANA as "try again later".
NORMAL, GOING_AWAY, POLICY, INTERNAL, TRY_AGAIN_LATER = 1000, 1001, 1008, 1011, 1013

_MAX_REASON_BYTES = 123  # RFC 6455 section 5.5: 125 with the code

_CLOSE_TIMEOUT_S = 2.0
_OUTBOX_MESSAGES = 2_000  # 10 s of frames, four times over


def stream_routes(services: Services) -> APIRouter:
    router = APIRouter()

    @router.websocket("/v1/stream")
    async def stream(socket: WebSocket) -> None:
        await StreamConnection(services, socket).serve()

    return router


class FatalError(Exception):
    """Ends the connection: an error message, then this close code."""

    def __init__(self, close_code: int, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.close_code = close_code
        self.error = Error(code=code, message=message, field=field, fatal=True)


class StreamConnection:
    """Reads messages into a call and writes what comes of it. One place is held from start to end."""

    def __init__(self, services: Services, socket: WebSocket) -> None:
        self._services = services
        self._socket = socket
        self._outbox = Outbox(self._send, _OUTBOX_MESSAGES, services.config.slow_reader_s)
        self._base64 = False
        self._utterance = 0
        self._failed = asyncio.Event()
        self._closing = asyncio.Event()

    async def serve(self) -> None:
        """The connection's whole life. Leaves no task, place or tick behind."""
        await self._socket.accept()
        try:
            await self._serve_call(*await self._agree())
            await self._close(NORMAL, "")
        except FatalError as fatal:
            with contextlib.suppress(WebSocketDisconnect, RuntimeError, asyncio.TimeoutError):
                await asyncio.wait_for(self._send(_json(fatal.error)), _CLOSE_TIMEOUT_S)
            await self._close(fatal.close_code, str(fatal))
        except SlowReader:
            await self._close(POLICY, "slow_reader")
        except WebSocketDisconnect:
            return

    async def _agree(self) -> tuple[Start, AudioFormat]:
        """Wait for start and check it. Raises FatalError, WebSocketDisconnect."""
        try:
            message = await asyncio.wait_for(self._receive(), self._services.config.start_timeout_s)
        except asyncio.TimeoutError:
            raise FatalError(POLICY, "start_expected", "no start came in time") from None
        except MessageError as error:
            raise FatalError(POLICY, "start_expected", str(error), error.field or None) from None
        if not isinstance(message, Start):
            text = f"the first message must be start, not {message.type}"
            raise FatalError(POLICY, "start_expected", text, "type")
        try:
            self._services.engine.require_voice(message.voice)
            return message, AudioFormat.of(message.encoding, message.sample_rate)
        except (InvalidRequest, UnsupportedFormat) as error:
            raise FatalError(POLICY, "invalid_start", str(error), error.field) from None

    async def _serve_call(self, start: Start, audio_format: AudioFormat) -> None:
        place = self._services.enter()
        if isinstance(place, Refusal):
            code = "shutting_down" if place.reason == "draining" else "full"
            raise FatalError(
                GOING_AWAY if place.reason == "draining" else TRY_AGAIN_LATER, code, place.message
            )
        with place:
            call = self._open_call(start, audio_format)
            try:
                await self._run(call)
            finally:
                del self._services.calls[call.setup.call_id]
                await call.close()

    def _open_call(self, start: Start, audio_format: AudioFormat) -> Call:
        self._base64 = start.transport == "base64"
        setup = CallSetup(
            call_id=secrets.token_hex(8),
            protocol="websocket",
            request=SpeechRequest(voice=start.voice, seed=start.seed),
            audio_format=audio_format,
            paced=start.pacing == "realtime",
            max_text_chars=self._services.config.max_text_chars,
        )
        encoder = self._services.line_encoder(audio_format, start.voice)
        call = Call(setup, self._services.engine, encoder, self._services.metrics, self.notify)
        call.start(self._open_line(call, start.silence))
        self._services.calls[setup.call_id] = call
        self.notify(
            Ready(
                call_id=setup.call_id,
                voice=start.voice,
                encoding=audio_format.encoding.value,
                sample_rate=audio_format.rate_hz,
                frame_bytes=audio_format.payload_bytes,
                pacing=start.pacing,
                transport=start.transport,
            )
        )
        return call

    def _open_line(self, call: Call, silence: bool) -> Line:
        audio_format = call.setup.audio_format
        if not call.setup.paced:
            return FastLine(audio_format, self, call.on_line_event)
        return PacedLine(audio_format, self._services.ticker, self, call.on_line_event, silence)

    async def _run(self, call: Call) -> None:
        """Until the client closes, something fails, or the server stops: whichever comes first."""
        reading = asyncio.ensure_future(self._read_into(call))
        writing = asyncio.ensure_future(self._outbox.run())
        draining = asyncio.ensure_future(self._drain_when_asked(call))
        failing = asyncio.ensure_future(self._failed.wait())
        tasks = (reading, writing, draining, failing)
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            self._outbox.close()
            await writing
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._failed.is_set():
            raise FatalError(INTERNAL, "internal", "the call failed")
        if not self._closing.is_set():
            raise FatalError(GOING_AWAY, "shutting_down", "the server is stopping")

    async def _drain_when_asked(self, call: Call) -> None:
        """By the client's close, or by the server's stop."""
        asked = [asyncio.ensure_future(event.wait()) for event in (self._closing, self._services.stopping)]
        try:
            await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in asked:
                each.cancel()
        await call.drain()

    async def _read_into(self, call: Call) -> None:
        """Carry out messages until the client is gone: a draining call can still be cleared."""
        while True:
            try:
                self._obey(call, await self._receive())
            except MessageError as error:
                self.notify(Error(code="malformed", message=str(error), field=error.field or None))
            except CallRefused as error:
                self.notify(Error(code=error.code, message=str(error), field=error.field))

    def _obey(self, call: Call, message: ClientMessage) -> None:
        if isinstance(message, Close):
            call.finish()
            self._closing.set()
        elif isinstance(message, Text):
            call.text(message.text)
        elif isinstance(message, Flush):
            call.flush()
        elif isinstance(message, Mark):
            call.mark(message.name)
        elif isinstance(message, Clear):
            given = [key for key, value in message if key != "type" and value is not None]
            if call.setup.paced and given:
                raise MessageError(given[0], f"{given[0]}: the server knows what it played in realtime")
            self.notify(call.clear(message.utterance, message.played_ms))
        else:
            self.notify(Error(code="unexpected", message="the call has started already", field="type"))

    def notify(self, message: ServerMessage) -> None:
        """Queue a message behind everything said before."""
        if isinstance(message, UtteranceStarted):
            self._utterance = message.utterance
        if isinstance(message, Error) and message.fatal:
            self._failed.set()
            return
        self._outbox.put(Outgoing(_json(message)))

    # AudioSink

    def send_frames(self, audio: bytes, frames: int) -> None:
        body: str | bytes = audio
        if self._base64:
            body = _json(Audio(utterance=self._utterance, audio=base64.b64encode(audio).decode()))
        self._outbox.put(Outgoing(body, frames))

    def drop_audio(self) -> int:
        return self._outbox.drop_audio()

    async def room(self) -> None:
        await self._outbox.room()

    # The socket

    async def _receive(self) -> ClientMessage:
        """The next message. Raises MessageError, WebSocketDisconnect."""
        event = await self._socket.receive()
        if event["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(event.get("code", NORMAL))
        text = event.get("text")
        if text is None:
            raise MessageError("", "binary messages are not taken")
        return parse_message(text)

    async def _send(self, body: str | bytes) -> None:
        if isinstance(body, str):
            await self._socket.send_text(body)
        else:
            await self._socket.send_bytes(body)

    async def _close(self, code: int, reason: str) -> None:
        if self._socket.application_state is WebSocketState.CONNECTED:
            with contextlib.suppress(RuntimeError, WebSocketDisconnect, asyncio.TimeoutError):
                await asyncio.wait_for(self._socket.close(code, _cut(reason)), _CLOSE_TIMEOUT_S)


def _cut(reason: str) -> str:
    """What of a reason fits into a close frame, in whole characters."""
    return reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore")


def _json(message: ServerMessage) -> str:
    return message.model_dump_json()
