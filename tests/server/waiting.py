"""Waiting for something to become so: bounded, and the one place where a test polls."""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable

POLL_S = 0.005


async def until(holds: Callable[[], bool | Awaitable[bool]], timeout_s: float = 5.0) -> None:
    """Return once ``holds`` does. Fails by TimeoutError."""

    async def poll() -> None:
        while not await _answer(holds):  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(POLL_S)

    await asyncio.wait_for(poll(), timeout_s)


async def _answer(holds: Callable[[], bool | Awaitable[bool]]) -> bool:
    answer = holds()
    return await answer if isawaitable(answer) else answer
