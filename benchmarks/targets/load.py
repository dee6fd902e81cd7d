"""Puts an open-loop load on a target: each request starts at its instant, whatever became of the others."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.record import Journal, RequestRecord, Verdict
from benchmarks.targets.base import Ask, Target, failed
from benchmarks.targets.loop import run_on_loop
from telephony.format import AudioFormat

log = logging.getLogger("talkspurt.bench")

_NS_PER_S = 1_000_000_000

MAX_IN_FLIGHT = 5_000
"""Bound of requests under way. One more than that is not sent, and fails: it is never delayed."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """What to send when; `arrivals_ns` and `texts` are as long as each other."""

    arrivals_ns: tuple[int, ...]
    texts: Sequence[str]
    measured_from_ns: int
    audio_format: AudioFormat
    timeout_s: float
    max_in_flight: int = MAX_IN_FLIGHT


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What a load brought back."""

    records: list[RequestRecord]
    server: dict[str, Any]
    client_cores: float
    """CPU seconds that this process used in each second of the load."""


def put_load(target: Target, schedule: Schedule, on_record: Callable[[RequestRecord], None]) -> LoadResult:
    """Open the target, put the schedule on it, close it. `on_record` hears of each request as it ends."""
    return run_on_loop(_put_load(target, schedule, on_record))


async def _put_load(
    target: Target, schedule: Schedule, on_record: Callable[[RequestRecord], None]
) -> LoadResult:
    await target.open()
    try:
        server = await target.describe()
        began_s, cpu_s = time.monotonic(), time.process_time()
        records = await LoadGenerator(target, schedule, on_record).run()
        wall_s, cpu_s = time.monotonic() - began_s, time.process_time() - cpu_s
        return LoadResult(records, server, cpu_s / wall_s)
    finally:
        await target.close()


class LoadGenerator:
    """One run of one schedule."""

    def __init__(
        self, target: Target, schedule: Schedule, on_record: Callable[[RequestRecord], None]
    ) -> None:
        self._target = target
        self._schedule = schedule
        self._on_record = on_record
        self._origin_ns = 0
        self._records: list[RequestRecord] = []
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self) -> list[RequestRecord]:
        """The records, in the order of the schedule."""
        self._origin_ns = time.monotonic_ns()
        for index, scheduled_ns in enumerate(self._schedule.arrivals_ns):
            await self._sleep_until(scheduled_ns)
            request = asyncio.create_task(self._request(index, scheduled_ns))
            self._under_way.add(request)
            request.add_done_callback(self._under_way.discard)
        if self._under_way:
            await asyncio.wait(self._under_way)
        return sorted(self._records, key=lambda record: record.index)

    def _now_ns(self) -> int:
        return time.monotonic_ns() - self._origin_ns

    async def _sleep_until(self, scheduled_ns: int) -> None:
        # Again and again, because uvloop rounds to milliseconds and may wake half of one too early.
        while (early_ns := scheduled_ns - self._now_ns()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(early_ns / _NS_PER_S)

    async def _request(self, index: int, scheduled_ns: int) -> None:
        started_ns = self._now_ns()
        journal = Journal(self._schedule.audio_format, self._now_ns)
        text = self._schedule.texts[index]
        verdict = await self._verdict(Ask(index, text), journal)
        measured = scheduled_ns >= self._schedule.measured_from_ns
        record = journal.close(index, measured, len(text), scheduled_ns, started_ns, verdict)
        self._records.append(record)
        self._on_record(record)

    async def _verdict(self, ask: Ask, journal: Journal) -> Verdict:
        if len(self._under_way) > self._schedule.max_in_flight:
            return failed(f"not sent: {self._schedule.max_in_flight} requests were under way")
        try:
            return await asyncio.wait_for(self._target.request(ask, journal), self._schedule.timeout_s)
        except asyncio.TimeoutError:
            return failed(f"timed out after {self._schedule.timeout_s:g} s")
        except Exception as error:  # the request's outermost line: a bug of ours fails one request
            log.exception("request failed in the benchmark itself", extra={"index": ask.index})
            return failed(f"benchmark: {type(error).__name__}: {error}")
