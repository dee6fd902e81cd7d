"""Result files: run.json says what was run and what came out, requests.jsonl has every instant.

Both are written once and read strictly; `version` goes up when a reader of the old files would err.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise
from pathlib import Path
from typing import Any

from benchmarks.arrivals import Load
from benchmarks.errors import SchemaError
from benchmarks.machine import Machine
from benchmarks.record import Deliveries, RequestRecord
from benchmarks.schema import from_json, read_versioned, to_json
from benchmarks.summary import Summary

RUN_SCHEMA = "talkspurt.bench.run"
RUN_VERSION = 1
RUN_FILE = "run.json"
REQUESTS_FILE = "requests.jsonl"


@dataclass(frozen=True, slots=True)
class Texts:
    """What was spoken."""

    version: int
    text_set: str
    digest: str


@dataclass(frozen=True, slots=True)
class Run:
    """run.json, whole."""

    schema: str
    version: int
    began: str
    """UTC, ISO 8601."""
    protocol: str
    target: str
    options: dict[str, Any]
    """Of the target: pacing, profile and the like."""
    encoding: str
    sample_rate: int
    jitter_buffer_ms: int
    timeout_s: float
    load: Load
    arrivals_version: int
    texts: Texts
    machine: Machine
    load_average: float
    """Before the run: above 0, others were at work on the machine."""
    client_cores: float
    """CPU seconds of the load generator in each second; with the engine in-process, of both."""
    server: dict[str, Any]
    """What the server says of itself at /ready."""
    summary: Summary


def write_run(folder: Path, run: Run, records: Sequence[RequestRecord]) -> None:
    """Write both files into `folder`, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(_compact(record), separators=(",", ":")) for record in records)
    (folder / REQUESTS_FILE).write_text("".join(line + "\n" for line in lines))
    (folder / RUN_FILE).write_text(json.dumps(to_json(run), indent=2) + "\n")


def read_run(folder: Path) -> Run:
    """Read run.json. Raises SchemaError for whatever is not one of ours, of this version."""
    return from_json(Run, read_versioned(folder / RUN_FILE, RUN_SCHEMA, RUN_VERSION))


def read_requests(folder: Path) -> list[RequestRecord]:
    """Read requests.jsonl. Raises SchemaError."""
    path = folder / REQUESTS_FILE
    return [_expand(_load(path, line), path) for line in _read_text(path).splitlines()]


def _compact(record: RequestRecord) -> dict[str, Any]:
    """A record whose deliveries take some nine bytes each: differences, and runs of what repeats."""
    columns = record.deliveries
    ends = [0, *(first + count for first, count in zip(columns.first_sample, columns.samples, strict=True))]
    skipped = [first - end for first, end in zip(columns.first_sample, ends, strict=False)]
    packed = {
        "at_ns": [*columns.at_ns[:1], *(late - early for early, late in pairwise(columns.at_ns))],
        "skipped": _run_lengths(skipped),
        "samples": _run_lengths(columns.samples),
    }
    return {**to_json(record), "deliveries": packed}


def _expand(value: Any, path: Path) -> RequestRecord:
    try:
        packed = value["deliveries"]
        samples = _repeat(packed["samples"])
        steps = [
            skip + before for skip, before in zip(_repeat(packed["skipped"]), [0, *samples], strict=False)
        ]
        columns = Deliveries(tuple(accumulate(packed["at_ns"])), tuple(accumulate(steps)), tuple(samples))
    except (KeyError, TypeError, ValueError):
        raise SchemaError(f"{path}: deliveries of a request are malformed") from None
    if not len(columns.at_ns) == len(columns.first_sample) == len(columns.samples):
        raise SchemaError(f"{path}: columns of a request's deliveries differ in length")
    return from_json(RequestRecord, value | {"deliveries": to_json(columns)})


def _run_lengths(values: Iterable[int]) -> list[list[int]]:
    return [[value, sum(1 for _ in run)] for value, run in groupby(values)]


def _repeat(runs: list[list[int]]) -> list[int]:
    return [value for value, count in runs for _ in range(count)]


def _read_text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise SchemaError(f"{path}: {error.strerror}") from None


def _load(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise SchemaError(f"{path}: not JSON") from None
