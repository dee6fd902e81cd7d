"""`/v1/calls`: paced RTP to a given address, and a look at every call under way."""

import asyncio
import contextlib
import ipaddress
import re
import secrets
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from engines import SpeechRequest
from engines.errors import InvalidRequest
from server.admission import Place, Refusal
from server.call import Call, CallRefused, CallSetup
from server.config import MOST_TEXT_CHARS
from server.errors import ApiError
from server.line import RtpLine
from server.messages import Cleared, Error, ServerMessage, UtteranceStarted
from server.services import Services
from telephony.format import AudioFormat, Encoding
from telephony.net.udp import CallOptions, RtpCall
from telephony.sdp import describe_sender


class CallBody(BaseModel):
    """A call to make. Unknown keys are refused by name."""

    model_config = ConfigDict(extra="forbid")

    to: str = Field(description="rtp:HOST:PORT", max_length=300)
    text: str = Field("", max_length=MOST_TEXT_CHARS)
    voice: str = "default"
    encoding: str = "mulaw"
    seed: int = Field(0, ge=0, lt=2**32)
    hang_up: bool = Field(True, description="End the call when the text has been spoken.")


class TextBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: str = Field(min_length=1, max_length=MOST_TEXT_CHARS)


_RTP_TARGET = re.compile(r"rtp:(?:\[([0-9A-Fa-f:.]+(?:%\w+)?)\]|([\w.-]+)):([0-9]{1,5})")


def parse_rtp_target(to: str) -> tuple[str, int]:
    """``rtp:HOST:PORT`` (an IPv6 host in brackets). Raises InvalidRequest."""
    target = _RTP_TARGET.fullmatch(to)
    if target is None:
        raise InvalidRequest("to", to, "is not rtp:HOST:PORT")
    host, port = target[1] or target[2], int(target[3])
    # RTCP goes to the next port, so the last one cannot be RTP's.
    if not 1 <= port <= 65_534:
        raise InvalidRequest("to", to, "has a port outside 1 to 65534")
    return host, port


@dataclass(slots=True)
class RtpRecord:
    """One RTP call under way."""

    call: Call
    wire: RtpCall
    first: list[UtteranceStarted]  # its first utterance's start, once that has been heard
    task: "asyncio.Task[None] | None" = None

    def describe(self) -> dict[str, Any]:
        """What `GET /v1/calls/{call_id}` answers beside the call itself."""
        stats = self.wire.stats
        started = self.first[0] if self.first else None
        return {
            "ssrc": self.wire.ssrc,
            "local_port": self.wire.local[1],
            "remote": f"{self.wire.remote[0]}:{self.wire.remote[1]}",
            "packets": stats.packets,
            "underruns": stats.underruns,
            "ttfa_ms": started.ttfa_ms if started else None,
            "engine_ms": started.engine_ms if started else None,
        }


class RtpCalls:
    """The RTP calls of one server: each holds a place until it hangs up."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._records: dict[str, RtpRecord] = {}

    async def dial(self, body: CallBody) -> dict[str, Any]:
        """Open a call and let it speak. Raises ApiError, InvalidRequest, UnsupportedFormat."""
        audio_format = AudioFormat.of(body.encoding)
        if audio_format.encoding is Encoding.PCM16:
            raise InvalidRequest("encoding", body.encoding, "is not sent over RTP; use mulaw or alaw")
        self._services.engine.require_voice(body.voice)
        remote = await self._permitted(body.to)
        place = self._services.enter()
        if isinstance(place, Refusal):
            raise ApiError.refused(place)
        try:
            record = await self._open(body, remote, audio_format)
        except OSError as error:  # no free port, no route
            place.leave()
            message = f"to: {body.to!r} cannot be sent to: {error.strerror or error}"
            raise ApiError(503, message, code="unreachable", param="to", retry_after_s=1) from None
        except BaseException:
            place.leave()
            raise
        call_id = record.call.setup.call_id
        self._services.calls[call_id] = record.call
        self._records[call_id] = record
        record.task = asyncio.ensure_future(self._serve(record, place, body.hang_up))
        self._services.spawn(record.task)
        return {**self.describe(call_id), "sdp": sdp_of(record.wire, audio_format)}

    def describe(self, call_id: str) -> dict[str, Any]:
        """One call as JSON. Raises ApiError 404."""
        call = self.find(call_id)
        record = self._records.get(call_id)
        return {
            "call_id": call_id,
            "protocol": call.setup.protocol,
            "state": call.state.value,
            "voice": call.setup.request.voice,
            "encoding": call.setup.audio_format.encoding.value,
            "utterances": call.utterances,
            **(record.describe() if record else {}),
        }

    def find(self, call_id: str) -> Call:
        call = self._services.calls.get(call_id)
        if call is None:
            raise ApiError(404, f"call_id: {call_id!r} is not under way", code="not_found", param="call_id")
        return call

    def hang_up(self, call_id: str) -> None:
        """End an RTP call at once. Raises ApiError 404, or 409 for one that is not ours to end."""
        self.find(call_id)
        record = self._records.get(call_id)
        if record is None or record.task is None:
            raise ApiError(409, "a WebSocket call ends with its connection", code="conflict", param="call_id")
        record.task.cancel()

    async def _open(self, body: CallBody, remote: tuple[str, int], audio_format: AudioFormat) -> RtpRecord:
        services = self._services
        setup = CallSetup(
            call_id=secrets.token_hex(8),
            protocol="rtp",
            request=SpeechRequest(voice=body.voice, seed=body.seed),
            audio_format=audio_format,
            paced=True,
            max_text_chars=services.config.max_text_chars,
        )
        first: list[UtteranceStarted] = []

        def notify(message: ServerMessage) -> None:
            if isinstance(message, UtteranceStarted) and not first:
                first.append(message)
            if isinstance(message, Error) and message.fatal:
                self.hang_up(setup.call_id)

        encoder = services.line_encoder(audio_format, body.voice)
        call = Call(setup, services.engine, encoder, services.metrics, notify)
        if body.text:
            _say(call, body.text)
        # With something to say, the first packet says it; without, comfort silence holds the line open.
        options = CallOptions(local_host=str(services.config.rtp_host), quiet_start=bool(body.text))
        wire = await RtpCall.open(services.ticker, remote, audio_format, options, on_event=call.on_line_event)
        call.start(RtpLine(wire))
        await asyncio.sleep(0)  # the engine begins now, and works while the answer is written
        return RtpRecord(call, wire, first)

    async def _permitted(self, to: str) -> tuple[str, int]:
        """Resolve once and check what was resolved, so that a name cannot change its mind."""
        host, port = parse_rtp_target(to)
        try:
            addresses = await _resolve(host, port)
        except (OSError, ValueError):  # ValueError: not even the form of a name
            raise InvalidRequest("to", to, "names a host that does not resolve") from None
        config = self._services.config
        address = next((each for each in addresses if each.version == config.rtp_host.version), None)
        if address is None:
            raise InvalidRequest("to", to, f"has no IPv{config.rtp_host.version} address, as rtp_host is")
        if not any(address in network for network in config.rtp_allow):
            message = f"to: {to!r} is not in a network that rtp_allow names"
            raise ApiError(403, message, code="forbidden", param="to")
        return str(address), port

    async def _serve(self, record: RtpRecord, place: Place, hang_up: bool) -> None:
        """Hold the place until the call has said its text, is hung up (cancelled), or the server stops."""
        call_id = record.call.setup.call_id
        try:
            if not hang_up:
                await self._services.stopping.wait()
            await record.call.drain()
        finally:
            del self._services.calls[call_id], self._records[call_id]
            with place:  # held until the sockets are closed
                await record.call.close()


async def _resolve(host: str, port: int) -> list[IPv4Address | IPv6Address]:
    """Every address of a name; a numeric one costs no resolver thread. Raises OSError, ValueError."""
    with contextlib.suppress(ValueError):
        return [ipaddress.ip_address(host)]
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    return [ipaddress.ip_address(each[4][0]) for each in found]


def sdp_of(wire: RtpCall, audio_format: AudioFormat) -> str:
    """The SDP by which the other end hears the call."""
    description = describe_sender(audio_format, wire.remote, local_host=wire.local[0], session_id=wire.ssrc)
    return description.serialize()


def _say(call: Call, text: str) -> None:
    try:
        call.text(text)
    except CallRefused as error:
        raise ApiError(400, str(error), code=error.code, param=error.field) from None
    call.flush()


def call_routes(services: Services) -> APIRouter:
    router = APIRouter(prefix="/v1/calls")
    calls = RtpCalls(services)

    @router.post("", status_code=201)
    async def dial(body: CallBody) -> dict[str, Any]:
        return await calls.dial(body)

    @router.get("")
    async def every() -> dict[str, Any]:
        return {"calls": [calls.describe(call_id) for call_id in services.calls]}

    @router.get("/{call_id}")
    async def one(call_id: str) -> dict[str, Any]:
        return calls.describe(call_id)

    @router.post("/{call_id}/text", status_code=202)
    async def text(call_id: str, body: TextBody) -> dict[str, Any]:
        _say(calls.find(call_id), body.text)
        return calls.describe(call_id)

    @router.post("/{call_id}/clear")
    async def clear(call_id: str) -> Cleared:
        return calls.find(call_id).clear()

    @router.delete("/{call_id}", status_code=204)
    async def hang_up(call_id: str) -> Response:
        calls.hang_up(call_id)
        return Response(status_code=204)

    return router
