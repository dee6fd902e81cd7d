"""Reserves follow measured costs, smoothed, with a margin of two."""

import pytest

from engines.scheduler.costs import StepCosts
from engines.scheduler.policy import StepKind

WINDOW, PREFILL, DECODE = StepKind.WINDOW, StepKind.PREFILL, StepKind.DECODE


def settled(min_reserve_ns: int = 1_000, **costs_ns: int) -> StepCosts:
    costs = StepCosts(min_reserve_ns)
    for name, cost_ns in costs_ns.items():
        for _ in range(300):
            costs.record(StepKind[name.upper()], cost_ns)
    return costs


@pytest.mark.parametrize("kind", list(StepKind), ids=lambda kind: kind.name.lower())
def test_before_anything_is_measured_the_reserve_is_the_least(kind: StepKind) -> None:
    assert StepCosts(7).reserve_ns(kind, missing_tokens=10) == 7


def test_a_window_needs_itself_a_decode_its_tokens_too_and_a_prefill_all_three() -> None:
    costs = settled(window=100_000, prefill=30_000, decode=5_000)
    assert costs.reserve_ns(WINDOW, 0) == pytest.approx(1_000 + 2 * 100_000, rel=1e-3)
    assert costs.reserve_ns(DECODE, 10) == pytest.approx(1_000 + 2 * (100_000 + 10 * 5_000), rel=1e-3)
    assert costs.reserve_ns(PREFILL, 10) == pytest.approx(
        1_000 + 2 * (100_000 + 10 * 5_000 + 30_000), rel=1e-3
    )


def test_every_missing_token_adds_a_decode() -> None:
    costs = settled(window=100_000, decode=5_000)
    added_ns = costs.reserve_ns(DECODE, 4) - costs.reserve_ns(DECODE, 3)
    assert added_ns == pytest.approx(2 * 5_000, rel=1e-3)


def test_one_slow_step_moves_the_reserve_a_tenth_of_the_way() -> None:
    costs = settled(min_reserve_ns=0, window=100_000)
    costs.record(WINDOW, 200_000)
    assert costs.reserve_ns(WINDOW, 0) == pytest.approx(2 * 110_000, rel=1e-3)


def test_costs_come_down_again() -> None:
    costs = settled(min_reserve_ns=0, window=100_000)
    for _ in range(100):
        costs.record(WINDOW, 10_000)
    assert costs.reserve_ns(WINDOW, 0) == pytest.approx(2 * 10_000, rel=1e-2)
