"""The law of streaming parts: any cutting of the input gives what one push and a flush give."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

Output = TypeVar("Output")

cut_sizes = st.lists(
    st.one_of(
        st.integers(0, 7), st.integers(100, 140), st.sampled_from([240, 480, 960]), st.integers(1, 2000)
    ),
    min_size=1,
    max_size=12,
)
"""Samples per push, used in turn: single ones, about a block, whole frames, anything."""


def cut(samples: NDArray[Any], sizes: Sequence[int]) -> list[NDArray[Any]]:
    """Cut into pieces of `sizes` in turn; whatever they leave is the last piece."""
    borders = np.cumsum(sizes)
    return np.split(samples, borders[borders < len(samples)])


def streamed(
    pieces: Sequence[NDArray[Any]],
    push: Callable[[NDArray[Any]], list[Output]],
    flush: Callable[[], list[Output]],
) -> list[Output]:
    """Push all pieces, flush, and gather what came out."""
    return [each for piece in pieces for each in push(piece)] + flush()
