"""Runs the application under uvicorn; a first signal drains calls, a second one ends them."""

import asyncio
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

_SWITCH_INTERVAL_S = 0.001
"""The engine thread gives way to the ticker within this; Python's default of 5 ms is a quarter of a frame."""

_MAX_MESSAGE_BYTES = 1 << 20


class DrainingServer(uvicorn.Server):
    """Stops in two steps: refuse newcomers while calls finish, then close."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app
        self._forced = asyncio.Event()
        self._greeting: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
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
        if self.should_exit:
            self.force_exit = True
            asyncio.get_running_loop().call_soon_threadsafe(self._forced.set)
        super().handle_exit(sig, frame)

    async def _greet(self) -> None:
        """Once it can speak: three things to try."""
        services: Services = self._app.state.services
        await services.door.opened.wait()
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


def run_server(config: ServerConfig) -> int:
    """Serve until a signal. Returns the exit status: 0 after a clean stop, 3 when it did not start."""
    configure_logs(config.log_format, config.log_level)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    app = create_app(config)
    settings = uvicorn.Config(
        app,
        host=config.host,
        port=config.port,
        log_config=None,
        ws_max_size=_MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,  # compressed speech does not compress, and costs latency
        server_header=False,
    )
    server = DrainingServer(settings, app)
    server.run()
    return 0 if server.started else 3
