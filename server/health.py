"""`/health`, `/ready`, `/metrics`, and what may be asked for: `/v1/models`."""

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from server.services import Services


def health_routes(services: Services) -> APIRouter:
    router = APIRouter()

    @router.get("/health")
    async def health() -> JSONResponse:
        """Alive: 503 once the engine thread has died, so that a supervisor restarts us."""
        alive = services.engine.alive
        return JSONResponse({"status": "ok" if alive else "engine stopped"}, 200 if alive else 503)

    @router.get("/ready")
    async def ready() -> JSONResponse:
        """Whether to send calls here: warmed up, and not stopping."""
        door, engine = services.door, services.engine
        able = door.opened.is_set() and engine.alive and not door.draining
        body = {
            "ready": able,
            "engine": engine.backend_name,
            "runs": dict(engine.details),
            "config": engine.config.digest,
            "places": door.places,
            "in_use": door.in_use,
            "draining": door.draining,
        }
        return JSONResponse(body, 200 if able else 503)

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(services.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @router.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": "talkspurt", "object": "model", "owned_by": "talkspurt"}]}

    return router
