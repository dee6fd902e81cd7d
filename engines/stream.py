"""Bounded hand-off of one utterance's audio from the engine thread to asyncio."""

import asyncio
from collections import deque
from contextlib import suppress
from threading import Lock

from engines.contract import AudioChunk, FinishReason
from engines.errors import EngineClosed, EngineError, SpeechFailed


class ChunkStream:
    """Written by the engine thread, read by one task of ``loop``.

    The bound is the scheduler's: it does not step a lane whose unread audio has reached
    max_unread_ms, so a reader that stops costs its own utterance and nobody else's.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._arrived = asyncio.Event()
        self._lock = Lock()
        self._chunks: deque[AudioChunk] = deque()
        self._reason: FinishReason | None = None
        self._error: EngineError | None = None

    def publish(self, chunk: AudioChunk) -> None:
        with self._lock:
            self._chunks.append(chunk)
        self._wake()

    def end(self, reason: FinishReason, error: str = "") -> None:
        with self._lock:
            self._reason = reason
            if reason is FinishReason.FAILED:
                self._error = SpeechFailed(error)
        self._wake()

    def close(self) -> None:
        """The engine stopped before the utterance ended."""
        with self._lock:
            if self._reason is None:
                self._reason, self._error = FinishReason.CANCELLED, EngineClosed("the engine has stopped")
        self._wake()

    @property
    def finish_reason(self) -> FinishReason | None:
        """None while more may come."""
        return self._reason

    async def next(self) -> AudioChunk | None:
        """The next chunk, in order; None at the end. Raises SpeechFailed or EngineClosed."""
        while True:
            with self._lock:
                if self._chunks:
                    return self._chunks.popleft()
                if self._error is not None:
                    raise self._error
                if self._reason is not None:
                    return None
                self._arrived.clear()
            await self._arrived.wait()

    def _wake(self) -> None:
        # RuntimeError: the reader's loop is closed, and nobody is left to wake. Asking first would race.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._arrived.set)
