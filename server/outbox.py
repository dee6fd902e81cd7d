"""The single writer of one WebSocket: control and audio in one order, bounded, and given up on when stuck."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

ROOM_MESSAGES = 8
"""A fast line waits while more than these are unsent: a barge-in should find little to drop."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message; ``frames`` of audio in it, 0 for control."""

    body: str | bytes
    frames: int = 0


class SlowReader(Exception):
    """The client did not take what it asked for."""


class Outbox:
    """Put from the event loop, sent by :meth:`run`, the only task that writes."""

    def __init__(
        self, send: Callable[[str | bytes], Awaitable[None]], max_messages: int, timeout_s: float
    ) -> None:
        self._send = send
        self._max_messages = max_messages
        self._timeout_s = timeout_s
        self._waiting: deque[Outgoing] = deque()
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._overflowed = False
        self._closing = False
        self._stuck = False

    def put(self, message: Outgoing) -> None:
        """Never blocks. Past the bound the whole outbox is given up: run raises SlowReader."""
        if len(self._waiting) >= self._max_messages:
            self._overflowed = True
        elif not self._closing:
            self._waiting.append(message)
        if len(self._waiting) > ROOM_MESSAGES:
            self._room.clear()
        self._changed.set()

    def drop_audio(self) -> int:
        """Forget audio not yet sent; control stays in its order. Returns the frames dropped."""
        dropped = sum(message.frames for message in self._waiting)
        self._waiting = deque(message for message in self._waiting if not message.frames)
        self._note_room()
        return dropped

    async def room(self) -> None:
        """Return once most of what was put has been sent."""
        await self._room.wait()

    def close(self) -> None:
        """Let run send what is left and return; nothing more is taken."""
        self._closing = True
        self._changed.set()

    async def run(self) -> None:
        """Send until closed. Raises SlowReader when a message is not taken in time."""
        while True:
            while self._waiting and not self._overflowed:
                await self._send_one(self._waiting.popleft())
            if self._overflowed:
                raise SlowReader
            if self._closing:
                return
            self._changed.clear()
            await self._changed.wait()

    async def _send_one(self, message: Outgoing) -> None:
        # A timer, not wait_for: that would cost a task a frame.
        sending = asyncio.current_task()
        assert sending is not None, "run is a task"
        timer = asyncio.get_running_loop().call_later(self._timeout_s, self._give_up, sending)
        try:
            await self._send(message.body)
        except asyncio.CancelledError:
            if self._stuck:
                raise SlowReader from None
            raise
        finally:
            timer.cancel()
        self._note_room()

    def _note_room(self) -> None:
        if len(self._waiting) <= ROOM_MESSAGES:
            self._room.set()

    def _give_up(self, sending: "asyncio.Task[None]") -> None:
        self._stuck = True
        sending.cancel()
