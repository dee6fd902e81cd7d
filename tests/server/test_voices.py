"""`/v1/voices`: voices come from recordings, are spoken with at once, and go; calls are not disturbed."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from server import voices as voices_module
from server.voices import MAX_BODY_BYTES, MAX_WAITING
from tests.fakes import slow_backend
from tests.fakes import voice as fake
from tests.fakes.voice import FakeEnroller
from tests.server.recordings import recording
from tests.server.running import RunningServer, running_server
from tests.server.waiting import until

RECORDING = recording(6.0)
SPEECH = {"input": "It is on Tuesday.", "response_format": "pcm"}


@pytest.fixture
def enroller(monkeypatch: pytest.MonkeyPatch) -> FakeEnroller:
    return fake.install(monkeypatch)


@asynccontextmanager
async def serving(
    folder: Path | None, **settings: Any
) -> AsyncIterator[tuple[RunningServer, httpx.AsyncClient]]:
    told = {"engine": "enrolling", "voices": None if folder is None else str(folder), **settings}
    async with (
        running_server(**told) as running,
        httpx.AsyncClient(base_url=running.url, timeout=20) as client,
    ):
        yield running, client


async def post(
    client: httpx.AsyncClient, name: str, content: bytes = RECORDING, **query: Any
) -> httpx.Response:
    return await client.post("/v1/voices", params={"name": name, **query}, content=content)


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def error_of(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert error["message"]
    return error


# Adding


async def test_a_body_that_is_a_recording_becomes_a_voice(enroller: FakeEnroller, tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, client):
        answer = await post(client, "amy", description="Amy, of Leeds")
        assert answer.status_code == 201, answer.text
        shown = answer.json()
        assert (shown["name"], shown["description"], shown["built_in"]) == ("amy", "Amy, of Leeds", False)
        assert -40 < shown["nominal_dbov"] < -15
        assert shown["created"].endswith("+00:00")
        assert shown["origin"]["seconds"] == 12.5
        assert (await client.get("/v1/voices/amy")).json() == shown
        assert files_in(tmp_path) == ["amy.safetensors"]
        assert len(enroller.recordings[0]) == 6 * 24_000


async def test_a_form_does_the_same(enroller: FakeEnroller, tmp_path: Path) -> None:
    form = {"name": "amy", "description": "Amy, of Leeds", "replace": "false"}
    flac = recording(6.0, "flac", "flac", 48_000, "stereo")
    async with serving(tmp_path) as (_, client):
        answer = await client.post("/v1/voices", data=form, files={"file": ("amy.flac", flac)})
        assert answer.status_code == 201, answer.text
        assert answer.json()["description"] == "Amy, of Leeds"
        assert len(enroller.recordings[0]) == 6 * 24_000


async def test_a_new_voice_is_listed_and_spoken_with_at_once(enroller: FakeEnroller, tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, client):
        assert (await client.post("/v1/audio/speech", json={**SPEECH, "voice": "amy"})).status_code == 400
        await post(client, "amy")
        listed = (await client.get("/v1/voices")).json()["voices"]
        assert [(each["name"], each["built_in"]) for each in listed] == [("default", True), ("amy", False)]
        assert all(each["description"] for each in listed)
        spoken = await client.post("/v1/audio/speech", json={**SPEECH, "voice": "amy"})
        assert spoken.status_code == 200
        assert len(spoken.content) > 4_000


async def test_a_name_that_is_taken_is_409_unless_it_is_to_be_replaced(
    enroller: FakeEnroller, tmp_path: Path
) -> None:
    async with serving(tmp_path) as (_, client):
        await post(client, "amy")
        for name in ("amy", "default"):
            error = error_of(await post(client, name), 409)
            assert (error["code"], error["param"]) == ("conflict", "name")
        assert len(enroller.recordings) == 1, "it was refused before any work"
        longer = recording(7.0)
        for name in ("amy", "default"):
            assert (await post(client, name, longer, replace="true")).status_code == 201
        assert files_in(tmp_path) == ["amy.safetensors", "default.safetensors"]
        assert (await client.get("/v1/voices/default")).json()["built_in"] is False
        seconds = [len(each) / 24_000 for each in enroller.recordings]
        assert seconds == [6.0, 7.0, 7.0]


REFUSED: list[tuple[dict[str, Any], bytes, str]] = [
    ({"name": "Amy"}, RECORDING, "name"),
    ({"name": "../amy"}, RECORDING, "name"),
    ({"name": ""}, RECORDING, "name"),
    ({}, RECORDING, "name"),
    ({"name": "amy", "colour": "red"}, RECORDING, "colour"),
    ({"name": "amy", "replace": "perhaps"}, RECORDING, "replace"),
    ({"name": "amy", "description": "two\nlines"}, RECORDING, "description"),
    ({"name": "amy", "description": "a" * 201}, RECORDING, "description"),
    ({"name": "amy"}, b"", "file"),
    ({"name": "amy"}, b"no recording", "file"),
    ({"name": "amy"}, recording(2.0), "recording"),
]


async def test_what_is_wrong_is_named_and_nothing_is_kept(enroller: FakeEnroller, tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, client):
        for query, content, param in REFUSED:
            answer = await client.post("/v1/voices", params=query, content=content)
            assert error_of(answer, 400)["param"] == param, query
        assert files_in(tmp_path) == []


async def test_a_form_that_is_wrong_is_named(enroller: FakeEnroller, tmp_path: Path) -> None:
    file = {"file": ("a.wav", RECORDING)}
    boundless = {"content-type": "multipart/form-data"}
    async with serving(tmp_path) as (_, client):
        post = client.post
        assert error_of(await post("/v1/voices", files=file), 400)["param"] == "name"
        text = await post("/v1/voices", files={"name": (None, "amy"), "file": (None, "text")})
        assert error_of(text, 400)["param"] == "file"
        two = [("file", ("a.wav", RECORDING)), ("file", ("b.wav", RECORDING))]
        assert error_of(await post("/v1/voices", files=two), 400)["code"] == "malformed_form"
        answer = await post("/v1/voices", content=b"--x", headers=boundless)
        assert error_of(answer, 400)["code"] == "malformed_form"
        assert files_in(tmp_path) == []
        assert (await post("/v1/voices", data={"name": "amy"}, files=file)).status_code == 201


async def test_a_body_that_is_too_long_is_refused_while_it_comes(
    enroller: FakeEnroller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voices_module, "MAX_BODY_BYTES", 100_000)
    async with serving(tmp_path) as (running, client):
        assert error_of(await post(client, "amy", bytes(100_001)), 413)["code"] == "too_large"
        file = {"file": ("a.wav", bytes(200_000))}
        form = await client.post("/v1/voices", data={"name": "amy"}, files=file)
        assert error_of(form, 413)["code"] == "too_large"
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(b"POST /v1/voices?name=amy HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(11):
            writer.write(b"2710\r\n" + bytes(10_000) + b"\r\n")  # and no last one
        answer = await asyncio.wait_for(reader.readline(), 5)
        assert answer.startswith(b"HTTP/1.1 413"), "before its end, which need never come"
        writer.close()
        assert enroller.recordings == []
    assert MAX_BODY_BYTES == 25_000_000


async def test_a_body_that_does_not_come_is_given_up(
    enroller: FakeEnroller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voices_module, "_BODY_TIMEOUT_S", 0.05)

    async def stalled() -> AsyncIterator[bytes]:
        yield RECORDING[:100]
        await asyncio.sleep(0.5)

    async with serving(tmp_path) as (_, client):
        answer = await client.post("/v1/voices", params={"name": "amy"}, content=stalled())
        assert error_of(answer, 408)["code"] == "timeout"


async def test_a_client_that_leaves_in_mid_body_leaves_nothing(
    enroller: FakeEnroller, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path) as (running, client):
        _, writer = await asyncio.open_connection("127.0.0.1", running.port)
        head = f"POST /v1/voices?name=amy HTTP/1.1\r\nHost: x\r\nContent-Length: {len(RECORDING)}\r\n\r\n"
        writer.write(head.encode() + RECORDING[:5_000])
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert (await post(client, "bob")).status_code == 201
        assert files_in(tmp_path) == ["bob.safetensors"]
    assert "Traceback" not in caplog.text
    assert not [record for record in caplog.records if record.exc_info]


# Where none can be enrolled


async def test_a_backend_that_makes_no_voices_says_so(tmp_path: Path) -> None:
    async with running_server() as running, httpx.AsyncClient(base_url=running.url) as client:
        assert error_of(await post(client, "amy"), 501)["code"] == "cannot_enroll"
        assert error_of(await client.delete("/v1/voices/default"), 409)["param"] == "name"
        assert (await client.get("/v1/voices/default")).json()["built_in"] is True


async def test_without_a_folder_of_voices_none_is_enrolled(enroller: FakeEnroller) -> None:
    async with serving(None) as (_, client):
        error = error_of(await post(client, "amy"), 501)
        assert error["code"] == "no_voices_folder"
        assert "--voices" in error["message"]
        assert enroller.recordings == []


async def test_a_folder_that_takes_nothing_is_503(enroller: FakeEnroller, tmp_path: Path) -> None:
    in_the_way = tmp_path / "voices"
    in_the_way.write_text("a file")
    async with serving(in_the_way) as (_, client):
        assert error_of(await post(client, "amy"), 503)["code"] == "voices_unwritable"


async def test_a_server_that_drains_enrolls_no_more(enroller: FakeEnroller, tmp_path: Path) -> None:
    async with serving(tmp_path) as (running, client):
        running.services.door.draining = True
        assert error_of(await post(client, "amy"), 503)["code"] == "draining"


# One at a time


async def test_recordings_are_enrolled_one_at_a_time_off_the_event_loop(
    enroller: FakeEnroller, tmp_path: Path
) -> None:
    names = [f"voice{index}" for index in range(1 + MAX_WAITING)]
    async with serving(tmp_path) as (_, client):
        answers = await asyncio.gather(*(post(client, name) for name in names))
        assert [answer.status_code for answer in answers] == [201] * len(names)
    assert enroller.most_inside == 1
    assert threading.get_ident() not in enroller.threads
    assert files_in(tmp_path) == [f"{name}.safetensors" for name in names]


async def test_beyond_those_that_may_wait_it_is_503_and_then_there_is_room_again(
    enroller: FakeEnroller, tmp_path: Path
) -> None:
    enroller.gate.clear()
    async with serving(tmp_path) as (_, client):
        try:
            waiting = [asyncio.ensure_future(post(client, f"voice{n}")) for n in range(1 + MAX_WAITING)]
            await until(lambda: enroller.inside == 1)
            answer = await _until_full(client)
            assert error_of(answer, 503)["code"] == "full"
            assert int(answer.headers["retry-after"]) >= 1
        finally:
            enroller.gate.set()
        assert [(await each).status_code for each in waiting] == [201] * len(waiting)
        assert (await post(client, "late")).status_code == 201


async def _until_full(client: httpx.AsyncClient) -> httpx.Response:
    """The others may still be on their way in: what is refused holds no name, so it costs nothing to ask."""
    while True:
        answer = await client.post("/v1/voices", params={"name": "Not A Name"}, content=b"", timeout=0.3)
        if answer.status_code == 503:
            return answer
        await asyncio.sleep(0.01)


async def test_speech_goes_on_while_a_voice_is_enrolled(enroller: FakeEnroller, tmp_path: Path) -> None:
    enroller.gate.clear()
    async with serving(tmp_path) as (_, client):
        try:
            waiting = asyncio.ensure_future(post(client, "amy"))
            await until(lambda: enroller.inside == 1)
            spoken = await asyncio.wait_for(client.post("/v1/audio/speech", json=SPEECH), 5)
            assert spoken.status_code == 200
            assert not waiting.done()
        finally:
            enroller.gate.set()
        assert (await waiting).status_code == 201


async def test_two_that_want_one_name_do_not_both_get_it(enroller: FakeEnroller, tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, client):
        answers = await asyncio.gather(post(client, "amy"), post(client, "amy"))
        assert sorted(answer.status_code for answer in answers) == [201, 409]
        assert len(enroller.recordings) == 1


async def test_a_fault_in_enrolling_fails_that_request_alone(enroller: FakeEnroller, tmp_path: Path) -> None:
    def fail(samples: Any) -> Any:
        raise RuntimeError("a bug")

    make = enroller.make
    async with serving(tmp_path) as (_, client):
        enroller.make = fail
        assert error_of(await post(client, "amy"), 500)["code"] == "internal"
        enroller.make = make
        assert (await post(client, "amy")).status_code == 201


# Looking and removing


async def test_a_voice_that_is_removed_is_gone_and_an_unknown_one_is_404(
    enroller: FakeEnroller, tmp_path: Path
) -> None:
    async with serving(tmp_path) as (_, client):
        await post(client, "amy")
        assert (await client.delete("/v1/voices/amy")).status_code == 204
        assert files_in(tmp_path) == []
        for method in ("GET", "DELETE"):
            error = error_of(await client.request(method, "/v1/voices/amy"), 404)
            assert (error["code"], error["param"]) == ("not_found", "name")
        assert (await client.post("/v1/audio/speech", json={**SPEECH, "voice": "amy"})).status_code == 400


async def test_the_built_in_voice_is_409_to_remove(enroller: FakeEnroller, tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, client):
        assert error_of(await client.delete("/v1/voices/default"), 409)["param"] == "name"
        assert (await client.post("/v1/audio/speech", json=SPEECH)).status_code == 200


async def test_a_broken_file_fails_what_asks_for_it_and_nothing_else(
    enroller: FakeEnroller, tmp_path: Path
) -> None:
    async with serving(tmp_path) as (_, client):
        (tmp_path / "bob.safetensors").write_bytes(b"no voice at all")
        listed = (await client.get("/v1/voices")).json()["voices"]
        assert [each["name"] for each in listed] == ["default"]
        error = error_of(await client.get("/v1/voices/bob"), 400)
        assert "bob.safetensors" in error["message"]
        error = error_of(await client.post("/v1/audio/speech", json={**SPEECH, "voice": "bob"}), 400)
        assert error["param"] == "voice"
        assert (await client.post("/v1/audio/speech", json=SPEECH)).status_code == 200
        assert (await client.get("/health")).status_code == 200
        assert (await client.delete("/v1/voices/bob")).status_code == 204


async def test_a_voice_in_use_speaks_to_its_end_after_its_removal(
    enroller: FakeEnroller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with slow_backend.install(monkeypatch, window_s=0.02):
        async with serving(tmp_path) as (_, client):
            await post(client, "amy")
            body = {**SPEECH, "input": "The quick brown fox jumps over the lazy dog. " * 6, "voice": "amy"}
            async with client.stream("POST", "/v1/audio/speech", json=body) as answer:
                assert answer.status_code == 200
                pieces = answer.aiter_bytes()
                heard_bytes = len(await anext(pieces))
                assert (await client.delete("/v1/voices/amy")).status_code == 204
                async for piece in pieces:
                    heard_bytes += len(piece)
            whole = await client.post("/v1/audio/speech", json={**body, "voice": "default"})
            assert heard_bytes == len(whole.content)


async def test_the_schema_tells_of_both_ways_to_send_a_recording(
    enroller: FakeEnroller, tmp_path: Path
) -> None:
    async with serving(tmp_path) as (_, client):
        post = (await client.get("/openapi.json")).json()["paths"]["/v1/voices"]["post"]
    assert post["requestBody"]["content"].keys() == {"multipart/form-data", "audio/*"}
    assert {each["name"] for each in post["parameters"]} == {"name", "description", "replace"}
