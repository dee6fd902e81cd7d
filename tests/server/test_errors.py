"""Every error answer has OpenAI's form, the right status, and the headers that go with it."""

from collections.abc import Callable

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict

from engines.errors import EngineClosed, EngineFull, InvalidRequest
from server.admission import Refusal
from server.errors import ApiError, install_error_handlers
from telephony.errors import TelephonyError, UnsupportedFormat


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")
    count: int = 0
    either: int | list[int] = 0


def app_raising(error: Exception | None) -> FastAPI:
    app = FastAPI()
    install_error_handlers(app)

    @app.post("/it")
    async def raise_it(body: Body) -> None:
        if error is not None:
            raise error

    return app


async def answer(
    error: Exception | None, method: str = "POST", path: str = "/it", content: bytes = b"{}"
) -> httpx.Response:
    transport = httpx.ASGITransport(app_raising(error), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        headers = {"content-type": "application/json"}
        return await client.request(method, path, content=content, headers=headers)


RAISED: list[tuple[Exception, int, str, str | None]] = [
    (ApiError(404, "not there", code="not_found", param="call_id"), 404, "not_found", "call_id"),
    (ApiError.refused(Refusal("full", "no room", 7)), 503, "full", None),
    (InvalidRequest("voice", "x", "is unknown"), 400, "invalid_value", "voice"),
    (UnsupportedFormat("encoding", "opus", "mulaw"), 400, "unsupported_format", "encoding"),
    (TelephonyError("odd"), 400, "invalid_value", None),
    (EngineFull(3, 0.2), 503, "full", None),
    (EngineClosed("stopped"), 503, "draining", None),
    (RuntimeError("a secret of ours"), 500, "internal", None),
]


@pytest.mark.parametrize(("error", "status", "code", "param"), RAISED, ids=lambda each: type(each).__name__)
async def test_each_error_becomes_its_documented_body(
    error: Exception, status: int, code: str, param: str | None
) -> None:
    got = await answer(error)
    assert got.status_code == status
    body = got.json()["error"]
    kind = "invalid_request_error" if status < 500 else "server_error"
    assert (body["type"], body["code"], body["param"]) == (kind, code, param)
    assert set(body) == {"message", "type", "param", "code"}
    assert "secret" not in body["message"], "a fault of ours is for the log"
    assert ("retry-after" in got.headers) == (status == 503)


async def test_retry_after_is_the_doors_and_at_least_a_second() -> None:
    assert (await answer(ApiError.refused(Refusal("full", "no room", 7)))).headers["retry-after"] == "7"
    assert (await answer(EngineFull(3, 0.2))).headers["retry-after"] == "1"
    assert (await answer(EngineFull(3, 2.6))).headers["retry-after"] == "3"


Check = Callable[[httpx.Response], bool]


@pytest.mark.parametrize(
    ("content", "param", "said"),
    [
        (b'{"count": "many"}', "count", "count: 'many': "),
        (b'{"either": "neither"}', "either", "either: 'neither': "),
        (b'{"colour": 1}', "colour", "colour: 1: extra inputs are not permitted"),
        (b'{"' + b"k" * 1_000 + b'": 1}', "k" * 77 + "...", "k" * 77),
        (b'{"count": "' + b"x" * 1_000 + b'"}', "count", "count: 'xxx"),
        (b"[]", None, "the body: "),
        (b"{", None, "the body is not JSON: "),
    ],
)
async def test_a_wrong_body_is_400_with_the_bodys_own_key(
    content: bytes, param: str | None, said: str
) -> None:
    got = await answer(None, content=content)
    assert got.status_code == 400
    body = got.json()["error"]
    assert body["param"] == param
    assert body["message"].startswith(said)
    assert len(body["message"]) < 300


async def test_an_unknown_path_and_a_wrong_method_have_the_same_form() -> None:
    missing = await answer(None, path="/nowhere")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "http_error")
    wrong = await answer(None, method="GET")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "http_error")
    assert wrong.headers["allow"] == "POST"
