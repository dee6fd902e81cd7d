"""The framer: exact frames, nothing lost, nothing early."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from telephony.framer import Framer
from tests.telephony.cutting import cut, cut_sizes, streamed


def count(samples: int, first: int = 1) -> NDArray[np.int16]:
    return np.arange(first, first + samples).astype(np.int16)


def written(frames: list[NDArray[np.int16]]) -> list[list[int]]:
    return [frame.tolist() for frame in frames]


def test_a_frame_comes_with_its_last_sample() -> None:
    framer = Framer(4)
    assert written(framer.push(count(3))) == []
    assert written(framer.push(count(1, first=4))) == [[1, 2, 3, 4]]
    assert written(framer.push(count(9, first=5))) == [[5, 6, 7, 8], [9, 10, 11, 12]]
    assert written(framer.push(count(0))) == []


def test_flush_fills_the_last_frame_with_zeros() -> None:
    framer = Framer(4)
    framer.push(count(5))
    assert written(framer.flush()) == [[5, 0, 0, 0]]
    assert written(framer.flush()) == []


def test_flush_adds_nothing_to_whole_frames() -> None:
    framer = Framer(4)
    framer.push(count(8))
    assert written(framer.flush()) == []


def test_clear_drops_the_unfinished_frame() -> None:
    framer = Framer(4)
    framer.push(count(6))
    framer.clear()
    assert written(framer.push(count(4))) == [[1, 2, 3, 4]]


def test_frames_are_int16_and_do_not_follow_the_caller_s_array() -> None:
    framer = Framer(4)
    pcm = count(6)
    (frame,) = framer.push(pcm)
    pcm[:] = 0
    assert frame.dtype == np.int16
    assert written([frame, *framer.flush()]) == [[1, 2, 3, 4], [5, 6, 0, 0]]


@pytest.mark.parametrize("frame_samples", [80, 160, 480])
def test_the_remainder_does_not_keep_the_chunk_in_memory(frame_samples: int) -> None:
    framer = Framer(frame_samples)
    framer.push(count(10 * frame_samples + 1))
    assert framer._partial.base is None


@given(sizes=cut_sizes, samples=st.integers(0, 5_000), frame_samples=st.sampled_from([1, 80, 160, 480]))
@settings(max_examples=60, deadline=None)
def test_any_cutting_gives_the_same_frames(sizes: list[int], samples: int, frame_samples: int) -> None:
    pcm = count(samples)
    whole, parts = Framer(frame_samples), Framer(frame_samples)
    at_once = streamed([pcm], whole.push, whole.flush)
    in_pieces = streamed(cut(pcm, sizes), parts.push, parts.flush)
    assert written(in_pieces) == written(at_once)
    assert len(at_once) == -(-samples // frame_samples)
    assert np.concatenate([count(0), *at_once])[:samples].tolist() == pcm.tolist()
