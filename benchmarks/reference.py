"""Ours against the reference implementation: the same weights, texts, token counts and cores, in one run.

Each way of speaking runs in a process of its own, all of them in turn, round after round, so that
what else the machine does falls on all alike. METHODOLOGY.md, "The reference".
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.errors import BenchError
from benchmarks.machine import Machine
from benchmarks.schema import from_json, read_versioned, to_json

REFERENCE_SCHEMA = "talkspurt.bench.reference"
REFERENCE_VERSION = 1
REFERENCE_FILE = "reference.json"
REFERENCE = "reference"

ENDING_TOKENS = 3  # of silence: the reference appends them to what T3 wrote

TEXTS = (
    "Your parcel is on its way to you now.",
    "Thank you for calling, your appointment with the doctor is on Tuesday afternoon.",
    "Somebody from our office will call you on Tuesday and ask which of our times would suit you best.",
)
SECONDS = (2, 5, 10)
"""Of speech that each text is given: trained weights would take about as long."""

_TOKENS_A_SECOND = 25
_TIMEOUT_S = 1_800

# Larger windows recompute the prompt less often; the first is as small as ever.
_GROWING = {"chunk_tokens": [10, 25, 75, 150], "max_unspoken_ms": 8_000, "max_unread_ms": 8_000}

WAYS: dict[str, dict[str, Any]] = {
    "onnx, whole": {"chunk_tokens": [10_000], "max_unspoken_ms": 500_000, "max_unread_ms": 500_000},
    "onnx": _GROWING,
    "onnx, prompt cache": {**_GROWING, "prompt_cache": True},
    "onnx, prompt cache, int8": {**_GROWING, "prompt_cache": True, "t3_int8": True},
}
"""Ways in which ours speaks; `whole` is the reference's own: all tokens, then all audio."""


class ReferenceFailed(BenchError):
    """A process of the comparison failed."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One utterance, timed."""

    way: str
    round: int
    tokens: int
    audio_s: float
    t3_s: float
    s3gen_s: float
    first_audio_s: float
    total_s: float
    peak_mib: float  # of the whole process


@dataclass(frozen=True, slots=True)
class ReferenceRun:
    """reference.json, whole."""

    schema: str
    version: int
    began: str
    machine: Machine
    load_average: float
    model: str
    weights: str
    threads: int
    seed: int
    utterances: tuple[Utterance, ...]


@dataclass(frozen=True, slots=True)
class Setup:
    """What is compared, and where it lies."""

    weights: Path
    graphs: Path
    oracle: Path
    threads: int
    rounds: int
    seed: int
    ways: tuple[str, ...]


def measure(setup: Setup, on_done: Callable[[], None] = lambda: None) -> tuple[Utterance, ...]:
    """Every way in turn, round after round. Raises ReferenceFailed."""
    timed: list[Utterance] = []
    for number in range(setup.rounds):
        for way in (REFERENCE, *setup.ways):
            timed += _utterances(way, number, _run(way, setup))
            on_done()
    return tuple(timed)


def _run(way: str, setup: Setup) -> dict[str, Any]:
    if way == REFERENCE:
        script = Path(__file__).parent / "ask_reference.py"
        job: dict[str, Any] = {"weights": str(setup.weights), "seed": setup.seed, "threads": setup.threads}
        job["utterances"] = _utterance_jobs(0)
        return _process([str(setup.oracle), str(script)], job)
    config = {"backend": "onnx", "model": str(setup.graphs), "threads": setup.threads, **WAYS[way]}
    job = {"profile": "balanced", "config": config, "utterances": _utterance_jobs(ENDING_TOKENS)}
    return _process([sys.executable, "-m", "benchmarks.targets.model_run"], job)


def _utterance_jobs(more_tokens: int) -> list[dict[str, Any]]:
    return [
        {"text": text, "tokens": seconds * _TOKENS_A_SECOND + more_tokens}
        for text, seconds in zip(TEXTS, SECONDS, strict=True)
    ]


def _process(command: Sequence[str], job: dict[str, Any]) -> dict[str, Any]:
    done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, timeout=_TIMEOUT_S)
    if done.returncode != 0:
        raise ReferenceFailed(f"{' '.join(command)} failed: {done.stderr[-1_000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _utterances(way: str, number: int, answer: dict[str, Any]) -> list[Utterance]:
    peak = answer["peak_mib"]
    made = []
    for each, seconds in zip(answer["utterances"], SECONDS, strict=True):
        tokens = seconds * _TOKENS_A_SECOND
        spoken_s = (tokens + ENDING_TOKENS) / _TOKENS_A_SECOND
        if abs(each["audio_s"] - spoken_s) > 1 / _TOKENS_A_SECOND:
            raise ReferenceFailed(
                f"{way} spoke {each['audio_s']:.2f} s where {spoken_s:.2f} s were asked for"
            )
        made.append(Utterance(way=way, round=number, peak_mib=peak, **{**each, "tokens": tokens}))
    return made


def write_reference(folder: Path, run: ReferenceRun) -> None:
    """Write reference.json into `folder`, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / REFERENCE_FILE).write_text(json.dumps(to_json(run), indent=1) + "\n")


def read_reference(folder: Path) -> ReferenceRun:
    """Read reference.json. Raises SchemaError."""
    value = read_versioned(folder / REFERENCE_FILE, REFERENCE_SCHEMA, REFERENCE_VERSION)
    return from_json(ReferenceRun, value)


def format_reference(run: ReferenceRun) -> str:
    """A table: medians over the rounds, and how often sooner and faster than the reference."""
    rows = [
        "| way | speech | T3 ms/token | S3Gen s/s | first audio s | RTF | peak GiB | sooner | faster |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    ways = list(dict.fromkeys(each.way for each in run.utterances))
    for tokens in sorted({each.tokens for each in run.utterances}):
        theirs = _of(run, REFERENCE, tokens)
        rows += [_row(way, tokens, _of(run, way, tokens), theirs) for way in ways]
    return "\n".join(rows)


def _of(run: ReferenceRun, way: str, tokens: int) -> list[Utterance]:
    return [each for each in run.utterances if (each.way, each.tokens) == (way, tokens)]


def _row(way: str, tokens: int, ours: list[Utterance], theirs: list[Utterance]) -> str:
    def middle(of: Callable[[Utterance], float], among: list[Utterance] = ours) -> float:
        return median(of(each) for each in among)

    sooner = middle(_first_audio, theirs) / middle(_first_audio)
    faster = middle(_rtf, theirs) / middle(_rtf)
    cells = (
        f"{tokens / _TOKENS_A_SECOND:g} s",
        f"{middle(lambda each: 1_000 * each.t3_s / each.tokens):.1f}",
        f"{middle(lambda each: each.s3gen_s / each.audio_s):.2f}",
        f"{middle(_first_audio):.2f}",
        f"{middle(_rtf):.2f}",
        f"{middle(lambda each: each.peak_mib) / 1_024:.1f}",
        f"{sooner:.1f}×",
        f"{faster:.2f}×",
    )
    return f"| {way} | {' | '.join(cells)} |"


def _first_audio(each: Utterance) -> float:
    return each.first_audio_s


def _rtf(each: Utterance) -> float:
    return each.total_s / each.audio_s
