"""Pure, seeded, versioned arrival schedules. Open loop: no request waits for an earlier one.

The same Load gives the same instants on every machine and every Python: exponential gaps are made
from `random.Random.random`, the one method whose sequence the standard library promises to keep.
"""

import math
import random
from dataclasses import dataclass
from enum import Enum

from benchmarks.errors import LoadTooLarge

ARRIVALS_VERSION = 1
"""Goes up when the same Load would give other instants; written into every result."""

MAX_REQUESTS = 100_000
"""Bound of one run, warm-up included."""

_NS_PER_S = 1_000_000_000


class Pattern(str, Enum):
    """How requests are spread in time; all three have the same mean rate."""

    POISSON = "poisson"
    CONSTANT = "constant"
    BURST = "burst"


@dataclass(frozen=True, slots=True)
class Load:
    """What is offered: `rate_hz` requests per second for `warmup_s` and then `duration_s`."""

    rate_hz: float
    duration_s: float
    seed: int = 0
    pattern: Pattern = Pattern.POISSON
    warmup_s: float = 0.0
    burst_requests: int = 10  # that start at one instant, in BURST alone

    @property
    def total_s(self) -> float:
        return self.warmup_s + self.duration_s

    @property
    def measured_from_ns(self) -> int:
        """Requests scheduled before this instant warm the server up and are not measured."""
        return round(self.warmup_s * _NS_PER_S)


def arrivals_ns(load: Load) -> tuple[int, ...]:
    """Instants of all requests, ascending, in nanoseconds from the start of the run.

    Raises LoadTooLarge beyond MAX_REQUESTS, before or while counting.
    """
    if load.rate_hz * load.total_s > MAX_REQUESTS:
        raise LoadTooLarge(f"{load.rate_hz:g}/s for {load.total_s:g} s is more than {MAX_REQUESTS} requests")
    spread = {Pattern.POISSON: _poisson, Pattern.CONSTANT: _constant, Pattern.BURST: _burst}
    instants = spread[load.pattern](load)
    if len(instants) > MAX_REQUESTS:
        raise LoadTooLarge(f"this schedule has {len(instants)} requests; {MAX_REQUESTS} is the bound")
    return instants


def _poisson(load: Load) -> tuple[int, ...]:
    rng = random.Random(f"arrivals/{ARRIVALS_VERSION}/{load.seed}")
    instants = []
    at_s = _exponential_s(rng, load.rate_hz)
    while at_s < load.total_s:
        instants.append(int(at_s * _NS_PER_S))
        at_s += _exponential_s(rng, load.rate_hz)
    return tuple(instants)


def _exponential_s(rng: random.Random, rate_hz: float) -> float:
    # 1 - u, because u may be 0 and its logarithm may not.
    return -math.log(1.0 - rng.random()) / rate_hz


def _constant(load: Load) -> tuple[int, ...]:
    return tuple(int(k / load.rate_hz * _NS_PER_S) for k in range(math.ceil(load.rate_hz * load.total_s)))


def _burst(load: Load) -> tuple[int, ...]:
    count = math.ceil(load.rate_hz * load.total_s)
    first_of = (k - k % load.burst_requests for k in range(count))
    return tuple(int(first / load.rate_hz * _NS_PER_S) for first in first_of)
