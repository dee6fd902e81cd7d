"""The metrics that dashboards are built on: their exact names, that they parse, and that they move."""

import asyncio
import json
import socket
import time

import httpx
import numpy as np
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect

from engines import AudioChunk, FinishReason
from engines.contract import TextSpan
from server.metrics import Metrics, UtteranceMeter
from tests.fakes import slow_backend
from tests.server.running import running_server
from tests.server.waiting import until

PROMISED = {
    "talkspurt_ttfa_seconds": "histogram",
    "talkspurt_inter_chunk_seconds": "histogram",
    "talkspurt_underrun_total": "counter",
    "talkspurt_underrun_seconds_total": "counter",
    "talkspurt_rtf": "histogram",
    "talkspurt_slots_in_use": "gauge",
    "talkspurt_slots_total": "gauge",
    "talkspurt_queue_depth": "gauge",
    "talkspurt_rejected_total": "counter",
    "talkspurt_rtp_late_packets_total": "counter",
}


async def scrape(client: httpx.AsyncClient) -> dict[str, Metric]:
    """Families by the name that a query uses: a counter's ends in _total."""
    text = (await client.get("/metrics")).text
    families = text_string_to_metric_families(text)
    return {each.name + ("_total" if each.type == "counter" else ""): each for each in families}


def value(family: Metric, suffix: str = "", **labels: str) -> float:
    name = family.name + ("_total" if family.type == "counter" else "") + suffix
    found = [each for each in family.samples if each.name == name and labels.items() <= each.labels.items()]
    return sum(each.value for each in found)


async def test_every_promised_metric_is_there_before_anything_has_happened() -> None:
    async with running_server(places=7) as running, httpx.AsyncClient(base_url=running.url) as client:
        families = await scrape(client)
    assert {name: families[name].type for name in PROMISED} == PROMISED
    reasons = {sample.labels.get("reason") for sample in families["talkspurt_rejected_total"].samples}
    assert reasons >= {"full", "draining", "warming_up"}, "a rate is of something that was 0 before"
    assert value(families["talkspurt_slots_total"]) == 7
    assert value(families["talkspurt_slots_in_use"]) == 0
    assert all(family.documentation for family in families.values())


async def test_speech_moves_the_times_and_gives_its_places_back() -> None:
    async with running_server() as running, httpx.AsyncClient(base_url=running.url) as client:
        text = "One sentence, and a good deal more of it. " * 4
        await client.post("/v1/audio/speech", json={"input": text, "encoding": "mulaw"})
        async with connect(running.stream_url) as connection:
            await connection.send('{"type": "start", "pacing": "fast"}')
            await connection.send(json.dumps({"type": "text", "text": text}))
            await connection.send('{"type": "close"}')
            async for _ in connection:
                pass
        families = await scrape(client)
        for protocol in ("http", "websocket"):
            assert value(families["talkspurt_ttfa_seconds"], "_count", protocol=protocol) == 1
            assert 0 < value(families["talkspurt_ttfa_seconds"], "_sum", protocol=protocol) < 2
        assert value(families["talkspurt_rtf"], "_count") == 2
        assert 0 < value(families["talkspurt_rtf"], "_sum") < 2
        assert value(families["talkspurt_inter_chunk_seconds"], "_count") > 4
        assert value(families["talkspurt_utterances_total"], reason="completed") == 2
        assert value(families["talkspurt_audio_seconds_total"]) > 10
        assert value(families["talkspurt_slots_in_use"]) == value(families["talkspurt_queue_depth"]) == 0


async def test_places_queue_and_refusals_are_counted_while_they_are_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with slow_backend.install(monkeypatch) as script:
        async with (
            running_server(engine="slow", places=1) as running,
            httpx.AsyncClient(base_url=running.url) as client,
        ):
            script.open_windows = script.windows
            asked = asyncio.ensure_future(client.post("/v1/audio/speech", json={"input": "Hello."}))
            await until(lambda: running.services.door.in_use == 1)
            for _ in range(2):
                assert (await client.post("/v1/audio/speech", json={"input": "Hello."})).status_code == 503
            families = await scrape(client)
            assert value(families["talkspurt_slots_in_use"]) == 1
            assert value(families["talkspurt_queue_depth"]) == 1
            assert value(families["talkspurt_rejected_total"], reason="full") == 2
            script.gate.set()
            await asked


async def test_an_underrun_is_counted_once_and_in_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    with slow_backend.install(monkeypatch) as script:
        async with (
            running_server(engine="slow") as running,
            httpx.AsyncClient(base_url=running.url) as client,
            connect(running.stream_url) as connection,
        ):
            script.open_windows = script.windows + 1  # 400 ms, then nothing
            await connection.send('{"type": "start"}')
            text = "A sentence that takes several windows of audio to be spoken in full."
            await connection.send(json.dumps({"type": "text", "text": text}))
            await connection.send('{"type": "close"}')
            asyncio.get_running_loop().call_later(0.6, script.gate.set)
            async for _ in connection:
                pass
            families = await scrape(client)
            assert value(families["talkspurt_underrun_total"]) == 1
            assert 0.02 <= value(families["talkspurt_underrun_seconds_total"]) <= 0.6


async def test_packets_sent_late_are_counted() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.bind(("127.0.0.1", 0))
        async with running_server() as running, httpx.AsyncClient(base_url=running.url) as client:
            body = {"to": f"rtp:127.0.0.1:{phone.getsockname()[1]}", "hang_up": False}
            call = (await client.post("/v1/calls", json=body)).json()
            await asyncio.sleep(0.1)
            before = value((await scrape(client))["talkspurt_rtp_late_packets_total"])
            time.sleep(0.05)  # noqa: ASYNC251 - stalls the loop, as a page fault would, by a few ticks
            await asyncio.sleep(0.1)
            families = await scrape(client)
            await client.delete(f"/v1/calls/{call['call_id']}")
    assert value(families["talkspurt_rtp_late_packets_total"]) > before
    assert value(families["talkspurt_ticks_total"]) >= 8
    assert value(families["talkspurt_calls"]) == 1


async def test_two_servers_in_one_process_count_apart() -> None:
    async with running_server() as one, running_server() as other:
        one.services.metrics.rejected_total.labels("full").inc()
        async with httpx.AsyncClient(base_url=other.url) as client:
            families = await scrape(client)
    assert value(families["talkspurt_rejected_total"], reason="full") == 0


# One utterance's meter


def chunk(samples: int) -> AudioChunk:
    return AudioChunk(np.zeros(samples, np.float32), 0, 0, TextSpan(0, 1), False)


def test_time_to_first_audio_runs_from_the_text_and_the_engines_part_from_its_start() -> None:
    metrics = Metrics()
    meter = UtteranceMeter(metrics, "rtp", asked_ns=0, opened_ns=0)
    heard = [meter.heard]
    for samples in (0, 24_000):  # the end of an empty segment is not audio
        meter.chunk(chunk(samples))
        heard.append(meter.heard)
    meter.handed_on()
    assert heard == [False, False, True]
    assert meter.ttfa_ms >= meter.engine_ms > 0
    read = metrics.registry.get_sample_value
    assert read("talkspurt_ttfa_seconds_count", {"protocol": "rtp"}) == 1
    assert read("talkspurt_engine_first_chunk_seconds_count") == 1
    assert read("talkspurt_inter_chunk_seconds_count") == 0
    assert read("talkspurt_audio_seconds_total") == 1


@pytest.mark.parametrize(
    ("reason", "counted", "rated"),
    [
        (FinishReason.COMPLETED, "completed", 1),
        (FinishReason.FAILED, "failed", 0),
        (FinishReason.CANCELLED, "cancelled", 0),
        (None, "cancelled", 0),
    ],
)
def test_only_a_whole_utterance_has_a_real_time_factor(
    reason: FinishReason | None, counted: str, rated: int
) -> None:
    metrics = Metrics()
    meter = UtteranceMeter(metrics, "http", 0, 0)
    meter.chunk(chunk(480))
    meter.ended(reason)
    read = metrics.registry.get_sample_value
    assert read("talkspurt_utterances_total", {"reason": counted}) == 1
    assert read("talkspurt_rtf_count") == rated
