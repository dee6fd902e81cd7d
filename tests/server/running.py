"""A real server on a free port of loopback, in the test's own event loop, and what it must leave behind."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn

from server.app import create_app
from server.config import ServerConfig
from server.services import Services


@dataclass(frozen=True)
class RunningServer:
    services: Services
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def stream_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/stream"


@asynccontextmanager
async def running_server(**settings: Any) -> AsyncIterator[RunningServer]:
    """Start, warm up, yield; afterwards nothing may be left: no place, utterance, tick, task or thread.

    It speaks with the preview voice, which opens at once, unless told otherwise.
    """
    tasks_before, threads_before = asyncio.all_tasks(), set(threading.enumerate())
    app = create_app(ServerConfig(**{"port": 0, "engine": "preview", **settings}))
    config = uvicorn.Config(app, port=0, log_config=None, ws_per_message_deflate=False)
    server = uvicorn.Server(config)
    serving = asyncio.ensure_future(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
        assert not serving.done(), "the server did not start"
    services: Services = app.state.services
    await asyncio.wait_for(services.door.opened.wait(), 10)
    try:
        yield RunningServer(services, server.servers[0].sockets[0].getsockname()[1])
        await assert_idle(services)
    finally:
        server.should_exit = True
        await asyncio.wait_for(serving, 20)
    left = {task for task in asyncio.all_tasks() - tasks_before if not task.done()}
    assert not left, f"tasks are left: {left}"
    threads = {thread for thread in threading.enumerate() if thread.name.startswith("talkspurt")}
    assert not threads - threads_before, "the engine thread is left"


async def assert_idle(services: Services, timeout_s: float = 5.0) -> None:
    """Every place, utterance, call and tick has been given back."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        held = {
            "places": services.door.in_use,
            "utterances": services.engine.in_use,
            "calls": len(services.calls),
            "ticks": len(services.ticker),
        }
        if not any(held.values()):
            return
        assert asyncio.get_running_loop().time() < deadline, f"held after everyone left: {held}"
        await asyncio.sleep(0.01)
