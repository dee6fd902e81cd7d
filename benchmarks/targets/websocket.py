"""/v1/stream: each request is a call of its own, which says one utterance."""

import json
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from benchmarks.record import COMPLETED, Journal, Verdict
from benchmarks.targets.base import MAX_AUDIO_BYTES, Ask, failed, refused
from benchmarks.targets.http import describe_server, open_client
from telephony.format import AudioFormat

_OPEN_TIMEOUT_S = 5.0
_CLOSE_TIMEOUT_S = 2.0
_REFUSED_STATUS = 503
_REFUSED_CLOSE_CODE = 1013
_MAX_MESSAGE_BYTES = 4 << 20


class WebSocketTarget:
    """A call is set up first; its text is dispatched once the server has said `ready`."""

    def __init__(self, url: str, audio_format: AudioFormat, voice: str, pacing: str) -> None:
        self._url = url
        self._stream_url = "ws" + url.removeprefix("http") + "/v1/stream"
        self._start = {
            "type": "start",
            "voice": voice,
            "encoding": audio_format.encoding.value,
            "sample_rate": audio_format.rate_hz,
            "pacing": pacing,
        }

    async def open(self) -> None:
        """Nothing is shared by calls."""

    async def describe(self) -> dict[str, Any]:
        async with open_client(self._url, httpx.Timeout(_OPEN_TIMEOUT_S)) as client:
            return await describe_server(client)

    async def request(self, ask: Ask, journal: Journal) -> Verdict:
        try:
            async with connect(
                self._stream_url,
                open_timeout=_OPEN_TIMEOUT_S,
                close_timeout=_CLOSE_TIMEOUT_S,
                max_size=_MAX_MESSAGE_BYTES,
                compression=None,
                proxy=None,
            ) as connection:
                return await self._call(connection, ask, journal)
        except InvalidStatus as error:
            status = error.response.status_code
            return refused(str(status)) if status == _REFUSED_STATUS else failed(f"handshake: {status}")
        except ConnectionClosed as error:
            return _closed(error)
        except (WebSocketException, OSError, TimeoutError) as error:
            return failed(f"{type(error).__name__}: {error}")

    async def close(self) -> None:
        """Every call has closed its own connection."""

    async def _call(self, connection: ClientConnection, ask: Ask, journal: Journal) -> Verdict:
        await connection.send(json.dumps(self._start))
        verdict = await self._await_ready(connection, journal)
        if verdict is not None:
            return verdict
        journal.dispatched()
        await connection.send(json.dumps({"type": "text", "text": ask.text}))
        await connection.send('{"type": "flush"}')
        verdict = await self._listen(connection, journal)
        journal.finished()
        await connection.send('{"type": "close"}')
        return verdict

    async def _await_ready(self, connection: ClientConnection, journal: Journal) -> Verdict | None:
        message = _parse(await connection.recv())
        if message.get("type") == "ready":
            journal.admitted()
            return None
        return _judge(message) or failed(f"{message.get('type')!r} came instead of 'ready'")

    async def _listen(self, connection: ClientConnection, journal: Journal) -> Verdict:
        async for raw in connection:
            if isinstance(raw, bytes):
                journal.received(raw)
                if journal.received_bytes > MAX_AUDIO_BYTES:
                    return failed(f"more than {MAX_AUDIO_BYTES} bytes of audio")
                continue
            message = _parse(raw)
            verdict = _judge(message)
            if verdict is not None:
                return verdict
            if message.get("type") == "utterance_started":
                journal.engine_ms = _number(message.get("engine_ms"))
            if message.get("type") == "utterance_ended":
                return _ended(message, journal)
        return failed("closed before the utterance ended")


def _parse(raw: str | bytes) -> dict[str, Any]:
    """A control message; of anything else, an empty one, which no caller takes for an answer."""
    try:
        message = json.loads(raw)
    except ValueError:
        return {"type": "error", "code": "not JSON"}
    return message if isinstance(message, dict) else {"type": "error", "code": "not an object"}


def _judge(message: dict[str, Any]) -> Verdict | None:
    if message.get("type") != "error":
        return None
    code = str(message.get("code"))
    return refused(code) if code == "full" else failed(code)


def _ended(message: dict[str, Any], journal: Journal) -> Verdict:
    if message.get("reason") != "completed":
        return failed(f"utterance ended as {message.get('reason')!r}")
    return COMPLETED if journal.received_bytes else failed("no audio")


def _closed(error: ConnectionClosed) -> Verdict:
    if error.rcvd is None:
        return failed("connection lost")
    if error.rcvd.code == _REFUSED_CLOSE_CODE:
        return refused(str(error.rcvd.code))
    return failed(f"closed {error.rcvd.code} {error.rcvd.reason}".strip())


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
