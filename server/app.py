"""The ASGI application: opens the services, answers while they warm up, closes them in order."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from server.calls import call_routes
from server.config import ServerConfig
from server.errors import install_error_handlers
from server.health import health_routes
from server.services import Services, open_services
from server.speech import speech_routes
from server.stream import stream_routes
from server.voices import voice_routes

log = logging.getLogger("talkspurt.server")

_PAGE = Path(__file__).parent / "page"


def create_app(config: ServerConfig) -> FastAPI:
    """One server. Its engine starts with the application's lifespan and stops with it.

    ``app.state.services`` holds the Services while it runs.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        services = open_services(config)
        app.state.services = services
        for routes in (speech_routes, stream_routes, call_routes, voice_routes, health_routes):
            app.include_router(routes(services))
        _add_page(app)
        services.spawn(asyncio.ensure_future(_warm_up(services)))
        try:
            yield
        finally:
            await services.close()

    app = FastAPI(title="Talkspurt", lifespan=lifespan, docs_url="/docs", redoc_url=None)
    install_error_handlers(app)
    return app


async def _warm_up(services: Services) -> None:
    try:
        await services.warm_up()
    except Exception:  # the task's outermost line: /ready stays 503, the log says why
        log.exception("warm-up failed")


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(_PAGE / "index.html")

    app.mount("/page", StaticFiles(directory=_PAGE), name="page")
