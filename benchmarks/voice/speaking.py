"""Text to speech through the engine itself, one sentence after another."""

import asyncio
from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np

from benchmarks.voice.rendered import Rendered
from engines.config import EngineConfig
from engines.contract import AudioChunk, SpeechRequest
from engines.engine import SpeechEngine, open_backend

STOPPED = "stop"


def speak(config: EngineConfig, voice: str, texts: Iterable[str], seed: int) -> Iterator[Rendered]:
    """Each text by ``voice``, the n-th with the seed ``seed`` + n. Raises EngineError."""
    backend = open_backend(config)
    # Counter of how T3's rows have ended, where the backend keeps one: those that speak a model do.
    endings = getattr(backend.tokens, "endings", None)
    engine = SpeechEngine(backend, config)
    loop = asyncio.new_event_loop()
    try:
        for number, text in enumerate(texts):
            before = dict(endings or {})
            chunks = loop.run_until_complete(_chunks(engine, text, SpeechRequest(voice, seed + number)))
            after = dict(endings or {})
            ended = [reason for reason, count in after.items() if count > before.get(reason, 0)]
            yield Rendered(
                np.concatenate([np.zeros(0, np.float32), *(chunk.samples for chunk in chunks)]),
                tuple(chunk.first_sample for chunk in _later(chunks)),
                _worst(ended),
            )
    finally:
        engine.close()
        loop.close()


async def _chunks(engine: SpeechEngine, text: str, request: SpeechRequest) -> list[AudioChunk]:
    async with engine.speak(text, request) as speech:
        return [chunk async for chunk in speech]


def _later(chunks: list[AudioChunk]) -> Iterator[AudioChunk]:
    """Those that go on with the segment of the chunk before them."""
    for before, chunk in pairwise(chunks):
        if chunk.segment_index == before.segment_index:
            yield chunk


def _worst(ended: list[str]) -> str:
    """How an utterance ended of how its segments did: by itself only if all did."""
    others = sorted(reason for reason in ended if reason != STOPPED)
    return others[0] if others else "".join(ended)
