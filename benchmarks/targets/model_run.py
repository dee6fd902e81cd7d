"""One engine in a process of its own, speaking a few utterances one after another: time and memory.

Reads a job as JSON from standard input, writes one JSON line: `python -m benchmarks.targets.model_run`.
"""

import asyncio
import json
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from engines import EngineConfig, SpeechEngine, open_backend
from engines.contract import StepRecord
from engines.rates import SAMPLE_RATE_HZ, STOP_TOKEN


class Spent:
    """Seconds of each kind of step, as the engine reports them."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def observe(self, record: StepRecord) -> None:
        self.seconds[record.kind] = self.seconds.get(record.kind, 0.0) + record.seconds


async def speak(engine: SpeechEngine, spent: Spent, text: str) -> dict[str, float]:
    spent.seconds.clear()
    began = time.perf_counter()
    first = None
    samples = 0
    async with engine.speak(text) as speech:
        async for chunk in speech:
            first = first or time.perf_counter()
            samples += len(chunk.samples)
    ended = time.perf_counter()
    if first is None:
        raise RuntimeError(f"no audio came for {text!r}")
    window_s = spent.seconds.get("window", 0.0)
    return {
        "t3_s": sum(spent.seconds.values()) - window_s,
        "s3gen_s": window_s,
        "first_audio_s": first - began,
        "total_s": ended - began,
        "audio_s": samples / SAMPLE_RATE_HZ,
    }


class Limited:
    """A token model that stops where it is told to: weights of noise never would by themselves."""

    def __init__(self, tokens: Any) -> None:
        self._tokens = tokens
        self.limit = 0  # speech tokens of each segment

    def start(self, rows: Sequence[Any]) -> Any:
        return self._tokens.start(rows)

    def step(self, rows: Sequence[Any]) -> list[int]:
        stepped: list[int] = self._tokens.step(rows)
        return [
            STOP_TOKEN if row.position >= self.limit else token
            for row, token in zip(rows, stepped, strict=True)
        ]

    def stop(self, slot: int, state: Any) -> None:
        self._tokens.stop(slot, state)


async def speak_all(job: dict[str, Any]) -> list[dict[str, float]]:
    config = EngineConfig.resolve(job["profile"], **job["config"])
    spent = Spent()
    backend = open_backend(config)
    limited = Limited(backend.tokens)
    engine = SpeechEngine(replace(backend, tokens=limited), config, spent.observe)
    try:
        limited.limit = 15
        await engine.warm_up()
        done = []
        for each in job["utterances"]:
            limited.limit = each["tokens"]
            done.append({**await speak(engine, spent, each["text"]), "tokens": each["tokens"]})
        return done
    finally:
        engine.close()


def main() -> None:
    job = json.load(sys.stdin)
    done = asyncio.run(speak_all(job))
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"utterances": done, "peak_mib": peak_mib}) + "\n")


if __name__ == "__main__":
    main()
