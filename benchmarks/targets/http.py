"""POST /v1/audio/speech: one request, audio bytes as they are synthesised."""

from typing import Any

import httpx

from benchmarks.errors import TargetMissing
from benchmarks.record import COMPLETED, Journal, Verdict
from benchmarks.targets.base import MAX_AUDIO_BYTES, Ask, failed, refused
from telephony.format import AudioFormat, Encoding

_CONNECT_TIMEOUT_S = 5.0
_REFUSED_STATUS = 503
_OPENAI_RATE_HZ = 24_000


class HttpTarget:
    """Connections are kept and shared, as a client library would; their number has no bound of its own."""

    def __init__(self, url: str, audio_format: AudioFormat, voice: str, timeout_s: float) -> None:
        self._url = url
        self._format = audio_format
        self._voice = voice
        self._timeout = httpx.Timeout(timeout_s, connect=_CONNECT_TIMEOUT_S)
        self._client: httpx.AsyncClient | None = None

    async def open(self) -> None:
        self._client = open_client(self._url, self._timeout)

    async def describe(self) -> dict[str, Any]:
        return await describe_server(self._open_client)

    async def request(self, ask: Ask, journal: Journal) -> Verdict:
        journal.dispatched()
        try:
            async with self._open_client.stream("POST", "/v1/audio/speech", json=self._body(ask)) as response:
                if response.status_code != 200:
                    await response.aread()
                    return refusal_or_failure(response)
                return await _listen(response, journal)
        except httpx.HTTPError as error:
            return failed(f"{type(error).__name__}: {error}")

    async def close(self) -> None:
        await self._open_client.aclose()

    @property
    def _open_client(self) -> httpx.AsyncClient:
        assert self._client is not None, "the target is open"
        return self._client

    def _body(self, ask: Ask) -> dict[str, Any]:
        body = {"model": "tts-1", "input": ask.text, "voice": self._voice, "response_format": "pcm"}
        # 24 kHz PCM16 is what "pcm" means by itself: any server of this contract can be measured with it.
        if (self._format.encoding, self._format.rate_hz) == (Encoding.PCM16, _OPENAI_RATE_HZ):
            return body
        return {**body, "encoding": self._format.encoding.value, "sample_rate": self._format.rate_hz}


def open_client(url: str, timeout: httpx.Timeout) -> httpx.AsyncClient:
    """A client that never queues a request of ours, and goes through no proxy."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    return httpx.AsyncClient(base_url=url, timeout=timeout, limits=limits, trust_env=False)


async def describe_server(client: httpx.AsyncClient) -> dict[str, Any]:
    """GET /ready, if it answers with a JSON object. Raises TargetMissing if nobody listens."""
    try:
        value = (await client.get("/ready")).json()
    except httpx.ConnectError as error:
        raise TargetMissing(f"nothing answers at {client.base_url}: {error}") from error
    except (httpx.HTTPError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def refusal_or_failure(response: httpx.Response) -> Verdict:
    """A read answer that is not the one hoped for."""
    reason = f"{response.status_code} {_error_code(response)}".strip()
    return refused(reason) if response.status_code == _REFUSED_STATUS else failed(reason)


async def _listen(response: httpx.Response, journal: Journal) -> Verdict:
    journal.admitted()
    content_type = response.headers.get("content-type", "")
    if content_type.startswith(("text/", "application/json")):
        return failed(f"content-type: {content_type!r} is not audio")
    async for piece in response.aiter_raw():
        journal.received(piece)
        if journal.received_bytes > MAX_AUDIO_BYTES:
            return failed(f"more than {MAX_AUDIO_BYTES} bytes of audio")
    journal.finished()
    return COMPLETED if journal.received_bytes else failed("no audio")


def _error_code(response: httpx.Response) -> str:
    try:
        error = response.json()["error"]
        return str(error["code"] or error["type"])
    except (ValueError, KeyError, TypeError):
        return ""
