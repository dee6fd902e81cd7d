"""Slots are given out lowest first, to one row at a time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.scheduler.slots import SlotPool


def test_slots_come_lowest_first() -> None:
    pool = SlotPool(3)
    assert [pool.take(), pool.take(), pool.take()] == [0, 1, 2]


def test_a_returned_slot_is_the_next_if_it_is_the_lowest() -> None:
    pool = SlotPool(4)
    for _ in range(3):
        pool.take()
    pool.give_back(1)
    pool.give_back(0)
    assert [pool.take(), pool.take(), pool.take()] == [0, 1, 3]


def test_counts_add_up() -> None:
    pool = SlotPool(5)
    pool.take()
    assert (pool.places, pool.in_use, pool.free) == (5, 1, 4)


def test_taking_from_a_full_pool_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="none is free"):
        SlotPool(0).take()


def test_giving_back_twice_is_a_bug() -> None:
    pool = SlotPool(2)
    slot = pool.take()
    pool.give_back(slot)
    with pytest.raises(AssertionError, match="slot 0 is given back twice"):
        pool.give_back(slot)


@settings(deadline=None)
@given(st.lists(st.integers(-1, 7), max_size=60))
def test_whatever_is_taken_and_given_back_the_lowest_free_is_next(moves: list[int]) -> None:
    pool, held = SlotPool(8), set[int]()
    for move in moves:
        if move < 0 and pool.free:
            slot = pool.take()
            assert slot == min(set(range(8)) - held)
            held.add(slot)
        elif move in held:
            pool.give_back(move)
            held.remove(move)
        assert pool.in_use == len(held)
