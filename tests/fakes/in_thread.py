"""Runs an asynchronous fake on a loop of its own thread, for tests of programs that own theirs."""

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from threading import Thread
from typing import TypeVar

Entered = TypeVar("Entered")


@contextlib.contextmanager
def in_thread(fake: AbstractAsyncContextManager[Entered]) -> Iterator[Entered]:
    """Enter it there; leave it, and join the thread, at the end."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(fake.__aenter__(), loop).result(10)
        asyncio.run_coroutine_threadsafe(fake.__aexit__(None, None, None), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
