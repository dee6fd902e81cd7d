"""Runs the application under uvicorn; a first signal drains calls, a second one ends them."""

import asyncio
import gc
import logging
import os
import socket
import sys
from types import FrameType

import click
import uvicorn
from fastapi import FastAPI

from server.app import create_app
from server.config import ServerConfig
from server.logs import configure_logs
from server.services import Services

log = logging.getLogger("talkspurt.server")

_SWITCH_INTERVAL_S = 0.001
"""The engine thread gives way to the ticker within this; Python's default of 5 ms is a quarter of a frame."""

_MAX_MESSAGE_BYTES = 1 << 20

_LAST_WORDS_S = 2
"""After draining, connections get this long to take what was written to them."""


class DrainingServer(uvicorn.Server):
    """Stops in two steps: refuse newcomers while calls finish, then close."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, unread_ms: int) -> None:
        super().__init__(config)
        self._app = app
        self._forced = asyncio.Event()
        self._unread_ms = unread_ms
        self._greeting: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._bound_unread_bytes()
            self._greeting = asyncio.ensure_future(self._greet())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._greeting is not None:
            self._greeting.cancel()
        services: Services = self._app.state.services
        draining = asyncio.ensure_future(services.drain())
        forced = asyncio.ensure_future(self._forced.wait())
        await asyncio.wait((draining, forced), return_when=asyncio.FIRST_COMPLETED)
        draining.cancel()
        forced.cancel()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Not uvicorn's own, which raises the signal again at the end: a clean stop ends with status 0.
        if self.should_exit:
            self.force_exit = self._forced.is_set()  # by a third one, without closing what is open
            self.config.timeout_graceful_shutdown = 0
            asyncio.get_running_loop().call_soon_threadsafe(self._forced.set)
        self.should_exit = True

    def _bound_unread_bytes(self) -> None:
        """Let the kernel drop a connection whose client takes nothing: closing alone would wait for it."""
        if sys.platform == "linux":
            for listener in (each for server in self.servers for each in server.sockets):
                # tcp(7); accepted connections inherit it.
                with socket.fromfd(listener.fileno(), listener.family, listener.type) as shared:
                    shared.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, self._unread_ms)

    async def _greet(self) -> None:
        """Once it can speak: three things to try."""
        services: Services = self._app.state.services
        await services.door.opened.wait()
        # What is loaded by now stays: a full collection need not walk it while calls wait.
        gc.collect()
        gc.freeze()
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        click.echo(greeting(url, services.engine.backend_name))


def greeting(url: str, backend: str) -> str:
    """What a person sees first."""
    body = '{"input": "Hello, this is Talkspurt.", "response_format": "wav", "encoding": "mulaw"}'
    return f"""
Talkspurt is speaking at {url} (engine: {backend}). Three things to try:

  a telephone file    curl -s {url}/v1/audio/speech -H 'content-type: application/json' \\
                        -d '{body}' -o hello.wav
  the command line    talkspurt say "Your appointment is on Tuesday, at 4:30 pm." --out hello.wav
  the page            {url}/
"""


def take_realtime_priority(priority: int) -> None:
    """Let no ordinary process delay the ticker (sched(7)); refused without CAP_SYS_NICE, which is logged.

    Threads begun later, the engine's among them, stay ordinary.
    """
    if not priority:
        return
    policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
    try:
        os.sched_setscheduler(0, policy, os.sched_param(priority))
    except PermissionError:
        log.warning("no realtime priority", extra={"realtime_priority": priority, "needs": "CAP_SYS_NICE"})


def run_server(config: ServerConfig) -> int:
    """Serve until a signal. Returns the exit status: 0 after a clean stop, 3 when it did not start."""
    configure_logs(config.log_format, config.log_level)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    take_realtime_priority(config.realtime_priority)
    app = create_app(config)
    settings = uvicorn.Config(
        app,
        host=config.host,
        port=config.port,
        log_config=None,
        ws_max_size=_MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,  # compressed speech does not compress, and costs latency
        server_header=False,
        timeout_graceful_shutdown=_LAST_WORDS_S,
    )
    # Twice, so that who is only slow is told so by us before the kernel hangs up.
    server = DrainingServer(settings, app, round(2_000 * config.slow_reader_s))
    server.run()
    return 0 if server.started else 3
