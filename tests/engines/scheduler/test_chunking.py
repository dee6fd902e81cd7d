"""Windows tile a segment's tokens, whatever the arrivals: exhaustive over small numbers."""

from collections.abc import Sequence
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.rates import MAX_LOOKAHEAD_TOKENS
from engines.scheduler.chunking import ChunkSchedule, WindowPlan, ready_window

SCHEDULES = [
    ChunkSchedule(new_tokens, left, lookahead)
    for new_tokens, left, lookahead in product([(1,), (3,), (2, 5), (4, 1, 6)], [0, 2, 9], [1, 3, 5])
]


def windows_of(schedule: ChunkSchedule, tokens: int, arrivals: Sequence[int] = ()) -> list[WindowPlan]:
    """The windows of a segment, asked for after each bunch of its tokens, then when all are there."""
    windows: list[WindowPlan] = []
    known = emitted = 0
    for bunch, ended in [*((bunch, False) for bunch in arrivals), (tokens - sum(arrivals), True)]:
        known += bunch
        while window := ready_window(schedule, known, emitted, len(windows), ended):
            windows.append(window)
            emitted += window.new_tokens
    return windows


def spans(window: WindowPlan) -> tuple[range, range, range]:
    """Positions of a window's left context, new tokens and lookahead."""
    new = window.first_token + window.left_context_tokens
    end = new + window.new_tokens
    return range(window.first_token, new), range(new, end), range(end, window.end_token)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_windows_tile_every_segment_once_in_order(schedule: ChunkSchedule) -> None:
    for tokens in range(60):
        spoken = [position for window in windows_of(schedule, tokens) for position in spans(window)[1]]
        assert spoken == list(range(tokens))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_last_window_alone_is_final_and_no_window_is_empty(schedule: ChunkSchedule) -> None:
    for tokens in range(1, 60):
        windows = windows_of(schedule, tokens)
        assert [window.final for window in windows] == [False] * (len(windows) - 1) + [True]
        assert all(window.new_tokens > 0 for window in windows)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_left_context_is_full_or_reaches_the_start(schedule: ChunkSchedule) -> None:
    for window in windows_of(schedule, 59):
        left, new, _ = spans(window)
        assert len(left) == min(schedule.left_context_tokens, new.start)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_lookahead_is_full_until_the_final_window_which_has_none(schedule: ChunkSchedule) -> None:
    for tokens in range(1, 60):
        for window in windows_of(schedule, tokens):
            assert len(spans(window)[2]) == (0 if window.final else schedule.lookahead_tokens)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_no_window_is_longer_than_context_wanted_and_lookahead(schedule: ChunkSchedule) -> None:
    for tokens in range(60):
        for index, window in enumerate(windows_of(schedule, tokens)):
            bound = schedule.left_context_tokens + schedule.wanted(index) + schedule.lookahead_tokens
            assert window.end_token - window.first_token <= bound


@pytest.mark.parametrize("new_tokens", [(10, 12, 16, 25), (8, 8, 10, 12, 16, 25), (10, 25, 25, 50)])
def test_no_chunk_of_a_profile_is_longer_than_one_and_a_half_wanted(new_tokens: tuple[int, ...]) -> None:
    schedule = ChunkSchedule(new_tokens)
    for tokens in range(300):
        for index, window in enumerate(windows_of(schedule, tokens)):
            assert 2 * window.new_tokens <= 3 * schedule.wanted(index)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_one_token_at_a_time_gives_the_same_windows_as_all_at_once(schedule: ChunkSchedule) -> None:
    for tokens in range(60):
        assert windows_of(schedule, tokens, [1] * tokens) == windows_of(schedule, tokens)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=5),
    st.integers(0, 20),
    st.integers(1, MAX_LOOKAHEAD_TOKENS),
    st.lists(st.integers(0, 30), max_size=20),
    st.integers(0, 30),
)
def test_no_cutting_of_the_arrivals_changes_the_windows(
    new_tokens: list[int], left: int, lookahead: int, arrivals: list[int], last: int
) -> None:
    schedule = ChunkSchedule(tuple(new_tokens), left, lookahead)
    tokens = sum(arrivals) + last
    assert windows_of(schedule, tokens, arrivals) == windows_of(schedule, tokens)


def test_a_window_is_ready_when_its_lookahead_is_there_and_not_a_token_sooner() -> None:
    schedule = ChunkSchedule((10,), left_context_tokens=4, lookahead_tokens=3)
    assert ready_window(schedule, 12, 0, 0, tokens_ended=False) is None
    assert ready_window(schedule, 13, 0, 0, tokens_ended=False) == WindowPlan(0, 13, 0, 10, final=False)
    assert ready_window(schedule, 23, 10, 1, tokens_ended=False) == WindowPlan(6, 23, 4, 10, final=False)


def test_a_segment_is_written_out() -> None:
    assert windows_of(ChunkSchedule((10, 12), 0, 3), 27) == [
        WindowPlan(0, 13, 0, 10, final=False),
        WindowPlan(10, 25, 0, 12, final=False),
        WindowPlan(22, 27, 0, 5, final=True),
    ]


def test_a_segment_without_tokens_has_no_window() -> None:
    assert ready_window(ChunkSchedule(), 0, 0, 0, tokens_ended=True) is None


def test_chunks_grow_along_the_schedule_and_its_last_entry_repeats() -> None:
    schedule = ChunkSchedule((10, 12, 16))
    assert [schedule.wanted(index) for index in range(5)] == [10, 12, 16, 16, 16]
    assert [schedule.needed(index) for index in range(3)] == [13, 15, 19]


@pytest.mark.parametrize("lookahead", [0, MAX_LOOKAHEAD_TOKENS + 1])
def test_lookahead_has_its_bounds(lookahead: int) -> None:
    with pytest.raises(AssertionError, match="lookahead is 1 to 10 tokens"):
        ChunkSchedule(lookahead_tokens=lookahead)
