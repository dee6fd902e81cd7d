"""What orchestrators and people ask a server: alive, ready, and what it can do."""

import asyncio

import httpx
import pytest

from server.app import create_app
from server.config import ServerConfig
from tests.fakes import slow_backend
from tests.server.running import running_server
from tests.server.waiting import until


async def test_a_warm_server_is_alive_and_ready_and_says_what_it_is() -> None:
    async with running_server(places=7) as running, httpx.AsyncClient(base_url=running.url) as client:
        alive = await client.get("/health")
        assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
        ready = await client.get("/ready")
        assert ready.status_code == 200
        body = ready.json()
        assert len(body.pop("config")) == 12
        assert body == {
            "ready": True,
            "engine": "preview",
            "runs": {},
            "places": 7,
            "in_use": 0,
            "draining": False,
        }


async def test_places_taken_are_told() -> None:
    async with running_server(places=2) as running, httpx.AsyncClient(base_url=running.url) as client:
        place = running.services.enter()
        assert (await client.get("/ready")).json()["in_use"] == 1
        place.leave()  # type: ignore[union-attr]
        assert (await client.get("/ready")).json()["in_use"] == 0


async def test_a_server_whose_engine_has_died_is_not_alive_and_not_ready() -> None:
    async with running_server() as running, httpx.AsyncClient(base_url=running.url) as client:
        await asyncio.to_thread(running.services.engine.close)
        alive = await client.get("/health")
        assert (alive.status_code, alive.json()) == (503, {"status": "engine stopped"})
        assert (await client.get("/ready")).status_code == 503
        answer = await client.post("/v1/audio/speech", json={"input": "Hello."})
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "draining"
        assert running.services.door.in_use == 0


async def test_while_it_warms_up_it_is_alive_but_not_ready_and_refuses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with slow_backend.install(monkeypatch, open_windows=0) as script:
        app = create_app(ServerConfig(engine="slow"))  # type: ignore[call-arg]
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                assert (await client.get("/health")).status_code == 200
                assert (await client.get("/ready")).status_code == 503
                refused = await client.post("/v1/audio/speech", json={"input": "Hello."})
                assert refused.status_code == 503
                assert refused.json()["error"]["code"] == "warming_up"
                assert int(refused.headers["retry-after"]) >= 1
                script.gate.set()
                await asyncio.wait_for(app.state.services.door.opened.wait(), 5)
                assert (await client.get("/ready")).status_code == 200


async def test_a_warm_up_that_fails_is_logged_and_leaves_the_door_shut(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(slow_backend, "BROKEN", "warming")  # a word of the warm-up's own text
    with slow_backend.install(monkeypatch, fails_in="decode"):
        app = create_app(ServerConfig(engine="slow"))  # type: ignore[call-arg]
        async with app.router.lifespan_context(app):
            await until(lambda: not app.state.services.tasks)
            assert not app.state.services.door.opened.is_set()
    assert "warm-up failed" in caplog.text


async def test_voices_and_models_are_listed() -> None:
    async with running_server() as running, httpx.AsyncClient(base_url=running.url) as client:
        voices = (await client.get("/v1/voices")).json()["voices"]
        assert "default" in [voice["name"] for voice in voices]
        assert all(voice["description"] for voice in voices)
        models = (await client.get("/v1/models")).json()
        assert models["object"] == "list"
        assert [model["id"] for model in models["data"]] == ["talkspurt"]


async def test_the_schema_of_the_routes_is_served() -> None:
    async with running_server() as running, httpx.AsyncClient(base_url=running.url) as client:
        paths = set((await client.get("/openapi.json")).json()["paths"])
    assert {"/v1/audio/speech", "/v1/calls", "/v1/calls/{call_id}", "/health", "/ready", "/metrics"} <= paths
