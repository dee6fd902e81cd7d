"""Hundreds of utterances: a plan's cost grows no faster than the work there is to do.

Only ratios of CPU time are asserted, each of the best of many plans: absolute times are the machine's.
"""

from time import thread_time_ns

from engines.contract import FinishReason
from engines.scheduler import DecodeStep
from engines.scheduler.scheduler import Occupancy
from tests.fakes.backend import VOICE, fake_backend
from tests.fakes.engine_clock import Simulation, make_scheduler, segments

PLANS = 30


def decoding(utterances: int, idle: int = 0, waiting_segments: int = 0) -> Simulation:
    """All of ``utterances`` decode; ``idle`` others are held and have nothing to do."""
    backend = fake_backend(max_prefill_rows=64)
    simulation = Simulation(make_scheduler(backend, max_unspoken_tokens=10_000, new_tokens=(9_000,)), backend)
    for each in range(utterances + idle):
        simulation.open(each)
    for each in range(utterances):
        simulation.scheduler.add_segments(each, segments("x" * 5_000, *["later"] * waiting_segments))
    while simulation.scheduler.occupancy.slots_in_use < utterances:
        simulation.step()
    return simulation


def plan_ns(simulation: Simulation) -> int:
    """CPU time of the cheapest of some plans, each of a decode of all who decode."""
    costs_ns = []
    for _ in range(PLANS):
        started_ns = thread_time_ns()
        step = simulation.scheduler.plan(simulation.now_ns)
        costs_ns.append(thread_time_ns() - started_ns)
        assert isinstance(step, DecodeStep)
        simulation.take(simulation.commit(step))
    return min(costs_ns)


def test_a_plan_for_ten_times_the_rows_costs_about_ten_times_as_much() -> None:
    assert plan_ns(decoding(500)) < 20 * plan_ns(decoding(50))


def test_utterances_with_nothing_to_do_cost_a_plan_nothing() -> None:
    assert plan_ns(decoding(10, idle=490)) < 3 * plan_ns(decoding(10))


def test_segments_that_wait_cost_a_plan_nothing() -> None:
    assert plan_ns(decoding(50, waiting_segments=40)) < 3 * plan_ns(decoding(50))


def test_five_hundred_utterances_are_spoken_to_the_end() -> None:
    backend = fake_backend(max_prefill_rows=16, max_window_rows=64)
    simulation = Simulation(make_scheduler(backend, max_utterances=500), backend)
    for each in range(500):
        simulation.speak(each, "some words to say", "and more", seed=each)
    assert not simulation.scheduler.admit(500, VOICE, 0, now_ns=0)
    simulation.run()
    assert {listener.reason for listener in simulation.listeners.values()} == {FinishReason.COMPLETED}
    assert simulation.scheduler.occupancy == Occupancy(0, 0, 0, 0)
