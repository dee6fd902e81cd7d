"""POST /v1/calls: the server sends paced RTP to a port of ours, and a BYE when it hangs up."""

import asyncio
import contextlib
import random
import socket
from typing import Any

import httpx

from benchmarks.reception import RtpReception
from benchmarks.record import COMPLETED, Journal, Outcome, Verdict
from benchmarks.targets.base import Ask, failed
from benchmarks.targets.http import describe_server, open_client, refusal_or_failure
from benchmarks.targets.stamp import receive_aged, stamp_arrivals
from telephony.errors import RtcpError
from telephony.format import AudioFormat
from telephony.net.ports import RTP_PORTS, open_port_pair
from telephony.rtcp import Goodbye, parse_compound

_ADMITTED_STATUS = 201
_SILENT_S = 5.0
"""A line that carries nothing for so long is broken: paced RTP has a packet every 20 ms."""
_GRACE_S = 0.05
"""After BYE: RTP that was sent before it but is read after it, on another socket."""
_ASK_EVERY_S = 0.2
_ASK_TIMES = 10
_MAX_DATAGRAM_BYTES = 2048


class RtpTarget:
    """Each request is a call with its own pair of ports."""

    def __init__(
        self,
        url: str,
        audio_format: AudioFormat,
        voice: str,
        timeout_s: float,
        rtp_host: str = "127.0.0.1",
        ask_engine_ms: bool = False,
    ) -> None:
        """`rtp_host` is our address, that the server sends to. `ask_engine_ms` costs a GET or more a call."""
        self._url = url
        self._format = audio_format
        self._voice = voice
        self._timeout = httpx.Timeout(timeout_s)
        self._rtp_host = rtp_host
        self._ask_engine_ms = ask_engine_ms
        self._rng = random.Random()
        self._client: httpx.AsyncClient | None = None

    async def open(self) -> None:
        self._client = open_client(self._url, self._timeout)

    async def describe(self) -> dict[str, Any]:
        return await describe_server(self._open_client)

    async def request(self, ask: Ask, journal: Journal) -> Verdict:
        try:
            receiver = CallReceiver(self._rtp_host, self._format, journal, self._rng)
        except OSError as error:
            return failed(f"our own socket: {error.strerror}")
        with contextlib.closing(receiver):
            try:
                return await self._call(ask, journal, receiver)
            except httpx.HTTPError as error:
                return failed(f"{type(error).__name__}: {error}")
            finally:
                receiver.reception.report(journal)

    async def close(self) -> None:
        await self._open_client.aclose()

    @property
    def _open_client(self) -> httpx.AsyncClient:
        assert self._client is not None, "the target is open"
        return self._client

    async def _call(self, ask: Ask, journal: Journal, receiver: "CallReceiver") -> Verdict:
        journal.dispatched()
        response = await self._open_client.post("/v1/calls", json=self._body(ask, receiver.port))
        if response.status_code != _ADMITTED_STATUS:
            return refusal_or_failure(response)
        journal.admitted()
        path = _call_path(response)
        if path is None:
            return failed("the answer names no call")
        hung_up = False
        try:
            verdict = await self._follow(path, journal, receiver)
            hung_up = verdict.outcome is Outcome.COMPLETED
            return verdict
        finally:
            if not hung_up:
                await self._hang_up(path)

    async def _follow(self, path: str, journal: Journal, receiver: "CallReceiver") -> Verdict:
        asking = asyncio.create_task(self._ask(path, journal)) if self._ask_engine_ms else None
        try:
            verdict = await receiver.until_bye()
            journal.finished()
            if asking is not None and journal.engine_ms is None:
                await asyncio.wait({asking}, timeout=_ASK_EVERY_S)
            return verdict
        finally:
            if asking is not None:
                asking.cancel()

    async def _ask(self, path: str, journal: Journal) -> None:
        """Ask for the engine's part until the server knows it."""
        for _ in range(_ASK_TIMES):
            with contextlib.suppress(httpx.HTTPError, ValueError, AttributeError):
                value = (await self._open_client.get(path)).json().get("engine_ms")
                if isinstance(value, int | float):
                    journal.engine_ms = float(value)
                    return
            await asyncio.sleep(_ASK_EVERY_S)

    async def _hang_up(self, path: str) -> None:
        # Shielded: a request that ran out of time must not leave a call behind.
        with contextlib.suppress(httpx.HTTPError):
            await asyncio.shield(self._open_client.delete(path))

    def _body(self, ask: Ask, port: int) -> dict[str, Any]:
        return {
            "to": f"rtp:{self._rtp_host}:{port}",
            "text": ask.text,
            "voice": self._voice,
            "encoding": self._format.encoding.value,
            "hang_up": True,
        }


class CallReceiver:
    """A pair of UDP sockets that listens to one call. Raises OSError when no pair is free."""

    def __init__(self, host: str, audio_format: AudioFormat, journal: Journal, rng: random.Random) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._rtp, self._rtcp = open_port_pair(family, host, RTP_PORTS, rng)
        stamp_arrivals(self._rtp)
        self.reception = RtpReception(audio_format)
        self._journal = journal
        self._bye = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._rtp, self._read_rtp)
        self._loop.add_reader(self._rtcp, self._read_rtcp)

    @property
    def port(self) -> int:
        port: int = self._rtp.getsockname()[1]
        return port

    async def until_bye(self) -> Verdict:
        """Listen until the server hangs up, or the line has been silent for too long."""
        heard = -1
        while not self._bye.is_set():
            if self.reception.packets == heard:
                return failed(f"no packet and no BYE for {_SILENT_S:g} s")
            heard = self.reception.packets
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._bye.wait(), _SILENT_S)
        await asyncio.sleep(_GRACE_S)
        return COMPLETED if self.reception.packets else failed("no audio")

    def close(self) -> None:
        for each in (self._rtp, self._rtcp):
            self._loop.remove_reader(each)
            each.close()

    def _read_rtp(self) -> None:
        # One datagram a wake: a second recv would nearly always find nothing, and cost as much.
        with contextlib.suppress(BlockingIOError):
            datagram, age_ns = receive_aged(self._rtp, _MAX_DATAGRAM_BYTES)
            self.reception.push(datagram, self._journal.now_ns() - age_ns)

    def _read_rtcp(self) -> None:
        with contextlib.suppress(BlockingIOError, RtcpError):
            for packet in parse_compound(self._rtcp.recv(_MAX_DATAGRAM_BYTES)):
                if isinstance(packet, Goodbye):
                    self._bye.set()


def _call_path(response: httpx.Response) -> str | None:
    try:
        call_id = response.json()["call_id"]
    except (ValueError, KeyError, TypeError):
        return None
    return f"/v1/calls/{call_id}" if isinstance(call_id, str) and call_id.isascii() else None
