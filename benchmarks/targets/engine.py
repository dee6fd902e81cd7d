"""In-process: the engine alone, through its public face, with no server and no telephone line."""

from typing import Any

from benchmarks.errors import TargetMissing
from benchmarks.record import COMPLETED, Journal, Verdict
from benchmarks.targets.base import Ask, failed, refused
from engines import EngineConfig, EngineError, SpeechEngine, SpeechRequest, open_engine
from engines.errors import EngineFull


class EngineTarget:
    """One engine of its own; chunks are taken the moment they come."""

    def __init__(self, backend: str, profile: str, voice: str) -> None:
        """Raises TargetMissing for an unknown profile."""
        try:
            self._config = EngineConfig.resolve(profile, backend=backend)
        except EngineError as error:
            raise TargetMissing(str(error)) from error
        self._request = SpeechRequest(voice=voice)
        self._engine: SpeechEngine | None = None

    async def open(self) -> None:
        """Raises TargetMissing for an unknown backend, or one whose runtime is not installed."""
        try:
            self._engine = open_engine(self._config)
            await self._engine.warm_up()
        except EngineError as error:
            raise TargetMissing(str(error)) from error

    async def describe(self) -> dict[str, Any]:
        return {"engine": self._config.backend, "config_digest": self._config.digest}

    async def request(self, ask: Ask, journal: Journal) -> Verdict:
        assert self._engine is not None, "the target is open"
        journal.dispatched()
        try:
            async with self._engine.speak(ask.text, self._request) as speech:
                journal.admitted()
                async for chunk in speech:
                    journal.chunk(chunk.samples)
        except EngineFull:
            return refused("full")
        except EngineError as error:
            return failed(f"{type(error).__name__}: {error}")
        journal.finished()
        return COMPLETED if journal.received_bytes else failed("no audio")

    async def close(self) -> None:
        if self._engine is not None:
            self._engine.close()
