import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.record import COMPLETED, Journal, Outcome, RequestRecord, Verdict
from benchmarks.targets.base import Ask, failed, refused
from benchmarks.targets.load import LoadResult, Schedule, put_load
from telephony.format import TELEPHONE

MS = 1_000_000


class ScriptedTarget:
    """Does what `act` says for each request."""

    def __init__(self, act: Callable[[Ask, Journal], Any]) -> None:
        self._act = act
        self.events: list[str] = []

    async def open(self) -> None:
        self.events.append("open")

    async def describe(self) -> dict[str, Any]:
        return {"config": "x"}

    async def request(self, ask: Ask, journal: Journal) -> Verdict:
        journal.dispatched()
        verdict: Verdict = await self._act(ask, journal)
        return verdict

    async def close(self) -> None:
        self.events.append("close")


def load(target: ScriptedTarget, at_ms: list[int], timeout_s: float = 5.0, **changed: Any) -> LoadResult:
    texts = [f"text {k}" for k in range(len(at_ms))]
    schedule = Schedule(tuple(at * MS for at in at_ms), texts, 0, TELEPHONE, timeout_s, **changed)
    heard: list[RequestRecord] = []
    brought = put_load(target, schedule, heard.append)
    assert sorted(heard, key=lambda record: record.index) == brought.records
    return brought


async def at_once(ask: Ask, journal: Journal) -> Verdict:
    journal.received(b"\x00" * 160)
    return COMPLETED


def test_each_request_has_its_own_text_and_record() -> None:
    asked = []

    async def act(ask: Ask, journal: Journal) -> Verdict:
        asked.append(ask)
        return await at_once(ask, journal)

    brought = load(ScriptedTarget(act), [0, 10, 20])
    assert asked == [Ask(0, "text 0"), Ask(1, "text 1"), Ask(2, "text 2")]
    assert [record.index for record in brought.records] == [0, 1, 2]
    assert [record.scheduled_ns for record in brought.records] == [0, 10 * MS, 20 * MS]
    assert brought.server == {"config": "x"}


def test_no_request_waits_for_an_earlier_one() -> None:
    async def act(ask: Ask, journal: Journal) -> Verdict:
        await asyncio.sleep(0.3 if ask.index == 0 else 0)
        return await at_once(ask, journal)

    first, second, third = load(ScriptedTarget(act), [0, 20, 40]).records
    assert first.finished_ns > 300 * MS
    assert second.finished_ns < 200 * MS
    assert third.finished_ns < 200 * MS


def test_no_request_starts_before_its_instant() -> None:
    records = load(ScriptedTarget(at_once), [0, 5, 30, 31, 31, 60]).records
    assert all(record.started_ns >= record.scheduled_ns for record in records)


def test_verdicts_are_kept() -> None:
    async def act(ask: Ask, journal: Journal) -> Verdict:
        return [COMPLETED, refused("full"), failed("cut")][ask.index]

    records = load(ScriptedTarget(act), [0, 0, 0]).records
    assert [record.outcome for record in records] == [Outcome.COMPLETED, Outcome.REFUSED, Outcome.FAILED]


def test_a_request_that_takes_too_long_is_ended() -> None:
    ended = []

    async def act(ask: Ask, journal: Journal) -> Verdict:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(ask.index)
        return COMPLETED

    (record,) = load(ScriptedTarget(act), [0], timeout_s=0.1).records
    assert (record.outcome, record.reason) == (Outcome.FAILED, "timed out after 0.1 s")
    assert ended == [0]


def test_a_bug_of_the_target_fails_one_request(caplog: pytest.LogCaptureFixture) -> None:
    async def act(ask: Ask, journal: Journal) -> Verdict:
        if ask.index == 0:
            raise KeyError("oops")
        return await at_once(ask, journal)

    first, second = load(ScriptedTarget(act), [0, 1]).records
    assert first.reason == "benchmark: KeyError: 'oops'"
    assert second.outcome is Outcome.COMPLETED
    assert "benchmark itself" in caplog.text


def test_one_request_too_many_is_not_sent_and_not_delayed() -> None:
    sent = []

    async def act(ask: Ask, journal: Journal) -> Verdict:
        sent.append(ask.index)
        await asyncio.sleep(0.2)
        return COMPLETED

    records = load(ScriptedTarget(act), [0, 1, 2], max_in_flight=2).records
    assert sent == [0, 1]
    assert records[2].reason == "not sent: 2 requests were under way"
    assert records[2].finished_ns < 100 * MS


def test_the_warm_up_is_not_measured() -> None:
    schedule = Schedule((0, 10 * MS, 20 * MS), ["a", "b", "c"], 10 * MS, TELEPHONE, 5.0)
    records = put_load(ScriptedTarget(at_once), schedule, lambda record: None).records
    assert [record.measured for record in records] == [False, True, True]


def test_the_target_is_closed_when_it_cannot_describe_itself() -> None:
    class Broken(ScriptedTarget):
        async def describe(self) -> dict[str, Any]:
            raise RuntimeError("no")

    target = Broken(at_once)
    with pytest.raises(RuntimeError, match="no"):
        load(target, [0])
    assert target.events == ["open", "close"]


def test_the_cost_of_the_load_generator_is_told() -> None:
    assert 0 < load(ScriptedTarget(at_once), [0, 100]).client_cores < 1
