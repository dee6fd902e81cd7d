"""Rows stay together in the store, and what each wrote stays its own."""

from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from numpy.typing import NDArray

from engines.chatterbox.arena import KvArena

LAYERS, HEADS, WIDTH, BLOCK, MAX_ROWS = 2, 3, 4, 8, 6


def make(max_rows: int = MAX_ROWS, dtype: Any = np.float32) -> KvArena:
    return KvArena(LAYERS, HEADS, WIDTH, max_rows, block=BLOCK, dtype=dtype)


def values(places: int, seed: int = 0) -> NDArray[np.float32]:
    shape = (LAYERS, 2, HEADS, places, WIDTH)
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def contents(arena: KvArena, slot: int) -> NDArray[Any]:
    """What ``slot`` has written, by the views: (layers, 2, heads, places, width)."""
    row = arena.row(slot)
    halves = [half[0, :, : arena.lengths[row]] for half in arena.view(row, row + 1)]
    return np.stack(halves).reshape(LAYERS, 2, HEADS, -1, WIDTH)


class Rows(RuleBasedStateMachine):
    """The arena against a dictionary of what each slot has written."""

    def __init__(self) -> None:
        super().__init__()
        self.arena = make()
        self.written: dict[int, NDArray[np.float32]] = {}
        self.count = 0

    @rule(slot=st.integers(0, 9))
    def claim(self, slot: int) -> None:
        if len(self.written.keys() | {slot}) <= MAX_ROWS:
            assert self.arena.claim(slot) == len(self.written.keys() | {slot}) - 1
            self.written[slot] = values(0)

    @rule(slot=st.integers(0, 9))
    def release(self, slot: int) -> None:
        self.arena.release(slot)
        self.written.pop(slot, None)

    @precondition(lambda self: self.written)
    @rule(draw=st.data(), places=st.integers(1, 20), back=st.integers(0, 3))
    def write(self, draw: st.DataObject, places: int, back: int) -> None:
        slot = draw.draw(st.sampled_from(sorted(self.written)))
        position = max(0, self.written[slot].shape[3] - back)
        self.count += 1
        new = values(places, self.count)
        self.arena.write(self.arena.row(slot), position, new)
        self.written[slot] = np.concatenate((self.written[slot][..., :position, :], new), 3)

    @invariant()
    def every_slot_has_what_it_wrote(self) -> None:
        for slot, expected in self.written.items():
            np.testing.assert_array_equal(contents(self.arena, slot), expected)

    @invariant()
    def rows_are_the_first_ones_and_views_are_whole(self) -> None:
        count = len(self.written)
        assert self.arena.rows == count
        assert sorted(map(self.arena.row, self.written)) == list(range(count))
        assert len(self.arena.lengths) == count
        for half in self.arena.view(0, count):
            assert half.shape == (count, HEADS, self.arena.places, WIDTH)
            assert half.flags.c_contiguous
            assert np.isfinite(half).all()

    @invariant()
    def memory_follows_the_rows(self) -> None:
        longest = max((each.shape[3] for each in self.written.values()), default=0)
        row = 2 * LAYERS * HEADS * WIDTH * 4
        blocks = -(-longest // BLOCK) * BLOCK
        # Rows double, and less than half is given back at once: at most fourfold.
        assert self.arena.nbytes <= 4 * max(1, len(self.written)) * max(blocks, BLOCK) * row
        if not self.written:
            assert self.arena.nbytes == 0


TestRows = Rows.TestCase
TestRows.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_a_view_is_the_store_itself() -> None:
    arena = make()
    for slot in (4, 8, 2):
        arena.write(arena.claim(slot), 0, values(3))
    before = arena.view(1, 3)[0]
    arena.write(2, 0, values(3, seed=1))
    np.testing.assert_array_equal(before[1, :, :3], values(3, seed=1)[0, 0])


def test_views_come_key_and_value_layer_by_layer() -> None:
    arena, new = make(), values(2)
    arena.write(arena.claim(0), 0, new)
    for index, half in enumerate(arena.view(0, 1)):
        np.testing.assert_array_equal(half[0, :, :2], new[index // 2, index % 2])


def test_the_last_row_moves_into_the_hole() -> None:
    arena = make()
    for slot in (5, 6, 7):
        arena.write(arena.claim(slot), 0, values(4, seed=slot))
    arena.release(5)
    assert (arena.row(7), arena.row(6)) == (0, 1)
    np.testing.assert_array_equal(contents(arena, 7), values(4, seed=7))


def test_writing_a_place_again_changes_nothing_else() -> None:
    arena = make()
    row = arena.claim(3)
    arena.write(row, 0, values(9))
    arena.write(row, 9, values(1, seed=1))
    once = contents(arena, 3).copy()
    arena.write(row, 9, values(1, seed=1))
    np.testing.assert_array_equal(contents(arena, 3), once)
    assert arena.lengths.tolist() == [10]


def test_places_grow_by_blocks() -> None:
    arena = make()
    row = arena.claim(0)
    grown = [arena.places]
    for place in range(17):
        arena.write(row, place, values(1))
        grown.append(arena.places)
    assert grown == [0] + [8] * 8 + [16] * 8 + [24]


def test_a_long_row_takes_its_room_with_it() -> None:
    arena = make()
    for slot, places in ((0, 100), (1, 5)):
        arena.write(arena.claim(slot), 0, values(places))
    assert arena.places == 104
    arena.release(0)
    assert arena.places == 8


def test_empty_it_holds_nothing() -> None:
    arena = make()
    arena.write(arena.claim(1), 0, values(50))
    arena.release(1)
    assert (arena.rows, arena.places, arena.nbytes) == (0, 0, 0)


def test_a_slot_claimed_again_starts_anew() -> None:
    arena = make()
    arena.write(arena.claim(1), 0, values(5))
    assert arena.claim(1) == 0
    assert arena.lengths.tolist() == [0]


def test_releasing_a_slot_without_a_row_is_nothing() -> None:
    arena = make()
    arena.claim(1)
    arena.release(9)
    assert arena.rows == 1


def test_it_stores_the_graphs_own_numbers() -> None:
    arena = make(dtype=np.float16)
    arena.write(arena.claim(0), 0, values(1).astype(np.float16))
    assert {half.dtype for half in arena.view(0, 1)} == {np.dtype(np.float16)}


def test_more_rows_than_there_may_be_are_a_bug() -> None:
    arena = make(max_rows=1)
    arena.claim(0)
    with pytest.raises(AssertionError, match="all 1 rows"):
        arena.claim(1)


def test_writing_past_the_rows_end_is_a_bug() -> None:
    arena = make()
    arena.write(arena.claim(0), 0, values(3))
    with pytest.raises(AssertionError, match="places 3 to 4 would be skipped"):
        arena.write(0, 4, values(1))


def test_writing_to_no_row_is_a_bug() -> None:
    arena = make()
    arena.claim(0)
    with pytest.raises(AssertionError, match="row 1 of 1"):
        arena.write(1, 0, values(1))
