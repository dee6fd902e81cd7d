"""Records and runs with written-out instants, for tests."""

from typing import Any

from benchmarks.arrivals import ARRIVALS_VERSION, Load
from benchmarks.machine import Machine
from benchmarks.record import Deliveries, Outcome, RequestRecord
from benchmarks.results import RUN_SCHEMA, RUN_VERSION, Run, Texts
from benchmarks.summary import summarize
from benchmarks.texts import TEXTS_VERSION

MS = 1_000_000

MACHINE = Machine("cpu", 2, 1024, (), "Linux", "CPython 3.11", "abc")


def deliveries(*columns: tuple[int, int, int]) -> Deliveries:
    """(arrival in ms, first sample, samples) of each."""
    at_ms, first_sample, samples = zip(*columns, strict=True)
    return Deliveries(tuple(each * MS for each in at_ms), first_sample, samples)


def record(**changed: Any) -> RequestRecord:
    """Scheduled at 0 ms, started at 1, dispatched at 3; audio at 20, 40 and 60 ms, three frames at 8 kHz."""
    usual: dict[str, Any] = {
        "index": 0,
        "measured": True,
        "text_chars": 10,
        "rate_hz": 8000,
        "outcome": Outcome.COMPLETED,
        "reason": "",
        "scheduled_ns": 0,
        "started_ns": 1 * MS,
        "dispatched_ns": 3 * MS,
        "admitted_ns": 5 * MS,
        "first_byte_ns": 20 * MS,
        "first_speech_ns": 20 * MS,
        "finished_ns": 63 * MS,
        "received_bytes": 480,
        "first_audible_sample": 80,
        "deliveries": deliveries((20, 0, 160), (40, 160, 160), (60, 320, 160)),
        "reception": None,
        "engine_ms": None,
    }
    return RequestRecord(**(usual | changed))


def ended(outcome: Outcome, reason: str, **changed: Any) -> RequestRecord:
    """A request that brought nothing."""
    nothing = {"deliveries": Deliveries(), "first_audible_sample": None, "first_byte_ns": None}
    return record(outcome=outcome, reason=reason, received_bytes=0, **nothing, **changed)


def run(records: list[RequestRecord], **changed: Any) -> Run:
    usual: dict[str, Any] = {
        "schema": RUN_SCHEMA,
        "version": RUN_VERSION,
        "began": "2026-01-02T03:04:05+00:00",
        "protocol": "ws",
        "target": "http://127.0.0.1:8000",
        "options": {"voice": "default", "pacing": "realtime"},
        "encoding": "mulaw",
        "sample_rate": 8000,
        "jitter_buffer_ms": 60,
        "timeout_s": 60.0,
        "load": Load(10.0, 2.0, seed=1, warmup_s=1.0),
        "arrivals_version": ARRIVALS_VERSION,
        "texts": Texts(TEXTS_VERSION, "mixed", "0123456789ab"),
        "machine": MACHINE,
        "load_average": 0.1,
        "client_cores": 0.2,
        "server": {"ready": True},
        "summary": summarize(records, 60),
    }
    return Run(**(usual | changed))
