import math
from itertools import pairwise

import pytest

from benchmarks.arrivals import MAX_REQUESTS, Load, Pattern, arrivals_ns
from benchmarks.errors import LoadTooLarge

S = 1_000_000_000


def test_the_same_load_gives_the_same_instants() -> None:
    assert arrivals_ns(Load(20, 30, seed=7)) == arrivals_ns(Load(20, 30, seed=7))


def test_the_first_instants_of_version_1_are_these_for_ever() -> None:
    assert arrivals_ns(Load(10, 0.5, seed=1)) == (
        55_746_743,
        141_886_229,
        158_641_126,
        189_731_969,
        319_632_426,
        360_415_546,
        425_836_531,
    )


def test_another_seed_gives_other_instants() -> None:
    assert arrivals_ns(Load(20, 30, seed=7)) != arrivals_ns(Load(20, 30, seed=8))


def test_a_longer_run_begins_with_the_shorter_one() -> None:
    short = arrivals_ns(Load(20, 5, seed=3))
    assert arrivals_ns(Load(20, 30, seed=3))[: len(short)] == short


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_poisson_counts_have_variance_equal_to_their_mean(seed: int) -> None:
    load = Load(50, 1000, seed=seed)
    counts = [0] * 1000
    for at_ns in arrivals_ns(load):
        counts[at_ns // S] += 1
    mean = sum(counts) / len(counts)
    variance = sum((count - mean) ** 2 for count in counts) / len(counts)
    assert mean == pytest.approx(50, rel=0.02)
    assert variance / mean == pytest.approx(1, abs=0.15)


def test_poisson_gaps_are_exponential() -> None:
    # Kolmogorov-Smirnov against 1 - exp(-rate * gap): the bound is that of the 0.1 % level.
    arrivals = arrivals_ns(Load(100, 100, seed=5))
    gaps_s = sorted((late - early) / S for early, late in pairwise(arrivals))
    n = len(gaps_s)
    distance = max(abs((rank + 1) / n - (1 - math.exp(-100 * gap))) for rank, gap in enumerate(gaps_s))
    assert distance < 1.95 / math.sqrt(n)


def test_poisson_gaps_do_not_depend_on_the_gap_before() -> None:
    gaps = [late - early for early, late in pairwise(arrivals_ns(Load(100, 100, seed=5)))]
    mean = sum(gaps) / len(gaps)
    both = sum((a - mean) * (b - mean) for a, b in pairwise(gaps))
    assert abs(both / sum((each - mean) ** 2 for each in gaps)) < 0.04


def test_constant_arrivals_are_evenly_spaced() -> None:
    assert arrivals_ns(Load(4, 1, pattern=Pattern.CONSTANT)) == (0, S // 4, S // 2, 3 * S // 4)


def test_bursts_come_at_one_instant_and_keep_the_mean_rate() -> None:
    load = Load(4, 2, pattern=Pattern.BURST, burst_requests=4)
    assert arrivals_ns(load) == (0, 0, 0, 0, S, S, S, S)


def test_warm_up_comes_before_the_measured_time() -> None:
    load = Load(10, 2, pattern=Pattern.CONSTANT, warmup_s=1)
    arrivals = arrivals_ns(load)
    assert len(arrivals) == 30
    assert sum(at_ns >= load.measured_from_ns for at_ns in arrivals) == 20


def test_all_instants_lie_inside_the_run() -> None:
    arrivals = arrivals_ns(Load(50, 3, seed=2, warmup_s=1))
    assert min(arrivals) >= 0
    assert max(arrivals) < 4 * S
    assert list(arrivals) == sorted(arrivals)


def test_too_many_requests_are_refused_before_they_are_made() -> None:
    with pytest.raises(LoadTooLarge, match=str(MAX_REQUESTS)):
        arrivals_ns(Load(1e9, 1e6))
