"""Pure: many values told by few. Percentiles are nearest-rank: each is a value that was observed."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Distribution:
    """What is kept of one metric; all but `count` are in the metric's unit, and 0 when count is 0."""

    count: int
    mean: float
    p50: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Distribution":
        ordered = sorted(values)
        if not ordered:
            return cls(0, 0.0, 0.0, 0.0, 0.0, 0.0)
        mean = math.fsum(ordered) / len(ordered)
        p50, p95, p99 = (percentile(ordered, percent) for percent in (50, 95, 99))
        return cls(len(ordered), mean, p50, p95, p99, ordered[-1])


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest of `ordered` (ascending, not empty) that `percent` % of them do not exceed.

    Nearest rank: the value at rank ceil(percent / 100 * n), counted from 1; never interpolated.
    """
    # Rounded first: 0.29 * 100 is a little more than 29, and its ceiling would be 30.
    rank = math.ceil(round(percent * len(ordered) / 100, 9))
    return ordered[max(rank, 1) - 1]
