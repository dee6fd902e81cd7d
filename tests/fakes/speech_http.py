"""A server of /v1/audio/speech and /v1/calls that misbehaves as told, down to the bytes of HTTP."""

import asyncio
import json
import socket
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from telephony.format import AudioFormat
from telephony.rtcp import Goodbye, ReceiverReport, SourceDescription, serialize_compound
from telephony.rtp import RtpPacket
from tests.fakes.speech_audio import silence_then_tone

SSRC = 0x5EED
LEADING_SILENCE_MS = 40
TONE_MS = 60


class Manner(Enum):
    SPEAK = auto()
    REFUSE = auto()
    FAIL = auto()
    CUT = auto()
    """The connection ends in mid-audio; a call gets packets and never a BYE."""
    SLOW = auto()
    EMPTY = auto()
    GARBAGE = auto()
    """Bytes that are not HTTP; a call gets datagrams that are not RTP, then a BYE."""
    JSON_INSTEAD = auto()
    HANG = auto()


@dataclass(slots=True)
class FakeSpeechHttp:
    """Listens on a free port of 127.0.0.1 while entered."""

    manner: Manner = Manner.SPEAK
    manners: list[Manner] = field(default_factory=list)
    """Of the first requests, one each; `manner` is that of the others."""
    piece_bytes: int = 400
    engine_ms: float | None = 7.0
    asked: list[dict[str, Any]] = field(default_factory=list)
    hung_up: list[str] = field(default_factory=list)
    url: str = ""
    _server: "asyncio.Server | None" = None
    _tasks: "set[asyncio.Task[None]]" = field(default_factory=set)

    async def __aenter__(self) -> "FakeSpeechHttp":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, path, _ = head.split(" ", 2)
        sizes = [line for line in head.lower().splitlines() if line.startswith("content-length")]
        body = await reader.readexactly(int(sizes[0].split(":")[1])) if sizes else b""
        if (method, path) == ("POST", "/v1/audio/speech"):
            return await self._speak(json.loads(body), writer)
        if (method, path) == ("POST", "/v1/calls"):
            return await self._call(json.loads(body), writer)
        if method == "DELETE":
            self.hung_up.append(path)
        known: dict[str, dict[str, Any]] = {
            "/ready": {"ready": True, "config": "c0ffee"},
            "/v1/calls/7": {"engine_ms": self.engine_ms},
        }
        return await _send_json(writer, "200 OK" if path in known else "404 Not Found", known.get(path, {}))

    def _next_manner(self) -> Manner:
        return self.manners.pop(0) if self.manners else self.manner

    async def _speak(self, asked: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
        self.asked.append(asked)
        manner = self._next_manner()
        if manner in _PLAIN:
            return await _send_json(writer, *_PLAIN[manner])
        if manner is Manner.HANG:
            await asyncio.sleep(60)
        if manner is Manner.GARBAGE:
            writer.write(b"\x00\x01\x02 what is this\r\n\r\n")
            return False
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: audio/basic\r\ntransfer-encoding: chunked\r\n\r\n")
        audio_format = AudioFormat.of(asked.get("encoding", "pcm16"), asked.get("sample_rate", 24_000))
        audio = silence_then_tone(audio_format, LEADING_SILENCE_MS, TONE_MS)
        audio = b"" if manner is Manner.EMPTY else audio
        for start in range(0, len(audio), self.piece_bytes):
            piece = audio[start : start + self.piece_bytes]
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
            await asyncio.sleep(0.05 if manner is Manner.SLOW else 0.001)
            if manner is Manner.CUT:
                return False
        writer.write(b"0\r\n\r\n")
        return True

    async def _call(self, asked: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
        self.asked.append(asked)
        manner = self._next_manner()
        if manner in _PLAIN:
            return await _send_json(writer, *_PLAIN[manner])
        _, host, port = asked["to"].split(":")
        task = asyncio.ensure_future(self._send_rtp(manner, (host, int(port)), asked["encoding"]))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await _send_json(writer, "201 Created", {"call_id": "7", "ssrc": SSRC, "local_port": 1})

    async def _send_rtp(self, manner: Manner, remote: tuple[str, int], encoding: str) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
            for datagram in make_datagrams(encoding, manner):
                sending.sendto(datagram, remote)
                await asyncio.sleep(0.05 if manner is Manner.SLOW else 0.002)
            if manner not in (Manner.CUT, Manner.HANG):
                description = SourceDescription.of_cname(SSRC, "fake")
                bye = serialize_compound(ReceiverReport(SSRC), description, Goodbye((SSRC,)))
                sending.sendto(bye, (remote[0], remote[1] + 1))


_PLAIN: dict[Manner, tuple[str, dict[str, Any]]] = {
    Manner.REFUSE: ("503 Service Unavailable", {"error": {"type": "server_error", "code": "full"}}),
    Manner.FAIL: ("500 Internal Server Error", {"error": {"type": "server_error", "code": "speech_failed"}}),
    Manner.JSON_INSTEAD: ("200 OK", {"surprise": True}),
}


def make_datagrams(encoding: str, manner: Manner = Manner.SPEAK) -> list[bytes]:
    """Two packets of silence, then three of tone, the first of which is marked; sequence and time wrap."""
    if manner is Manner.EMPTY:
        return []
    audio = silence_then_tone(AudioFormat.of(encoding), LEADING_SILENCE_MS, TONE_MS)
    frames = [audio[start : start + 160] for start in range(0, len(audio), 160)]
    if manner is Manner.GARBAGE:
        return [b"not RTP", b"\xff" * 172]
    payload_type = 0 if encoding == "mulaw" else 8
    return [
        RtpPacket(
            payload_type, 65_534 + k & 0xFFFF, 2**32 - 200 + 160 * k & 0xFFFFFFFF, SSRC, frame, k == 2
        ).serialize()
        for k, frame in enumerate(frames)
    ]


async def _send_json(writer: asyncio.StreamWriter, status: str, value: dict[str, Any]) -> bool:
    body = json.dumps(value).encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
    return True
