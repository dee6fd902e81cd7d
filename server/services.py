"""What the server's parts share: opened once, handed to each route, closed in order."""

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from typing import Any

from engines import EngineConfig, SpeechEngine, open_engine
from server.admission import Door, Place, Refusal
from server.call import Call
from server.config import ServerConfig
from server.line import open_encoder
from server.metrics import Metrics
from telephony.encoder import LineEncoder
from telephony.format import AudioFormat
from telephony.net.clock import Ticker

log = logging.getLogger("talkspurt.server")

_UTTERANCES_A_PLACE = 2
"""Engine places for each of the door's: one cancelled holds its own until the step in flight is done."""

_SPARE_UTTERANCES = 16
"""And for those whose calls have ended."""


@dataclass(slots=True)
class Services:
    """The engine, the door, the ticker, and every call under way."""

    config: ServerConfig
    engine: SpeechEngine
    door: Door
    metrics: Metrics
    ticker: Ticker
    calls: dict[str, Call] = field(default_factory=dict)
    tasks: set["asyncio.Task[Any]"] = field(default_factory=set)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def enter(self) -> Place | Refusal:
        """A place, or why not; a refusal is counted."""
        answer = self.door.enter()
        if isinstance(answer, Refusal):
            self.metrics.rejected_total.labels(answer.reason).inc()
        return answer

    def line_encoder(self, audio_format: AudioFormat, voice: str) -> LineEncoder:
        """For a line of this server: see open_encoder."""
        return open_encoder(self.engine, audio_format, voice, self.config.level_dbov)

    def spawn(self, work: "asyncio.Task[Any]") -> None:
        """Keep a task until it is done; whoever spawns it catches its errors."""
        self.tasks.add(work)
        work.add_done_callback(self.tasks.discard)

    async def warm_up(self) -> None:
        """Speak once through every lane, then open the door."""
        await self.engine.warm_up()
        self.door.opened.set()
        runs = {"engine": self.engine.backend_name, **self.engine.details}
        log.info("ready", extra={**runs, "places": self.door.places})

    async def drain(self) -> None:
        """Refuse newcomers; let calls say what they have begun, for at most drain_s."""
        self.door.draining = True
        self.stopping.set()
        log.info("draining", extra={"in_use": self.door.in_use})
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.door.empty.wait(), self.config.drain_s)

    async def close(self) -> None:
        """End what is left: calls, tasks, ticker, engine."""
        for call in list(self.calls.values()):
            await call.close()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.ticker.stop()
        await asyncio.to_thread(self.engine.close)


def open_services(config: ServerConfig) -> Services:
    """Open the engine and what stands around it, on the running loop.

    Raises EngineError (ConfigError, BackendUnavailable) when the engine cannot start.
    """
    metrics = Metrics()
    engine_config = EngineConfig.resolve(
        config.profile,
        backend=config.engine,
        max_utterances=config.places * _UTTERANCES_A_PLACE + _SPARE_UTTERANCES,
        max_text_chars=config.max_text_chars,
        model=config.model,
        voices=config.voices,
        device=config.device,
        threads=config.threads,
        prompt_cache=config.prompt_cache,
        t3_int8=config.t3_int8,
        temperature=config.temperature,
    )
    engine = open_engine(engine_config, metrics.observe_step)
    door = Door(config.places)
    ticker = Ticker()
    services = Services(config, engine, door, metrics, ticker)
    _expose(services)
    return services


def _expose(services: Services) -> None:
    """Gauges that are read when scraped, and refusals from 0 on: a rate is of something that was there."""
    metrics, door, ticker = services.metrics, services.door, services.ticker
    for reason in door.rejected:
        metrics.rejected_total.labels(reason)
    metrics.gauge("slots_in_use", "Places taken.", lambda: door.in_use)
    metrics.gauge("slots_total", "Places in all.", lambda: door.places)
    metrics.gauge("queue_depth", "Utterances with the engine.", lambda: services.engine.in_use)
    metrics.gauge("calls", "Calls under way.", lambda: len(services.calls))
    metrics.gauge("tick_lateness_p99_seconds", "Of all ticks.", lambda: ticker.stats.late_p99_ns / 1e9)
    metrics.counter("rtp_late_packets", "Packets sent late by the ticker.", lambda: ticker.stats.late_ticks)
    metrics.counter("ticks", "Frames the ticker has played.", lambda: ticker.stats.ticks)
