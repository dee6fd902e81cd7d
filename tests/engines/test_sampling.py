"""How a code is chosen. That the filters are the reference's is in tests/parity/test_t3.py."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engines.errors import ConfigError
from engines.sampling import Sampling, choose, distribution, uniform_at

PLAIN = Sampling(temperature=1, top_k=0, top_p=1, repetition_penalty=1)
LAST_UNIFORM = 1 - 2.0**-53


def logits_of(*probabilities: float) -> NDArray[np.float32]:
    with np.errstate(divide="ignore"):
        return np.log(np.array(probabilities, np.float32))


def heard(codes: int, *which: int) -> NDArray[np.bool_]:
    mask = np.zeros(codes, np.bool_)
    mask[list(which)] = True
    return mask


def plainly(logits: NDArray[np.float32], mask: NDArray[np.bool_], sampling: Sampling) -> NDArray[np.float64]:
    """The filters written as they are told: sort everything, one rule after another."""
    scores = [float(each) / sampling.temperature for each in logits]
    best = sorted(scores, reverse=True)
    floor = best[sampling.top_k - 1] if 0 < sampling.top_k <= len(best) else -math.inf
    alive = [score if score >= floor else -math.inf for score in scores]
    total = sum(math.exp(score - best[0]) for score in alive)
    below = 0.0
    ascending = sorted(range(len(alive)), key=lambda code: (alive[code], code))
    for code in ascending[:-1]:
        below += math.exp(alive[code] - best[0]) / total
        if sampling.top_p < 1 and below <= 1 - sampling.top_p:
            alive[code] = -math.inf
    penalty = sampling.repetition_penalty
    for code, score in enumerate(alive):
        if mask[code]:
            alive[code] = score * penalty if score < 0 else score / penalty
    shares = np.array([math.exp(score - max(alive)) for score in alive])
    probabilities: NDArray[np.float64] = shares / shares.sum()
    return probabilities


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    codes=st.integers(1, 60),
    top_k=st.integers(0, 70),
    top_p=st.floats(0.01, 1),
    penalty=st.floats(0.8, 2),
    temperature=st.floats(0.2, 2),
)
def test_the_filters_are_what_they_are_told_to_be(
    seed: int, codes: int, top_k: int, top_p: float, penalty: float, temperature: float
) -> None:
    random = np.random.default_rng(seed)
    logits = (3 * random.standard_normal(codes)).astype(np.float32)
    mask = random.random(codes) < 0.3
    sampling = Sampling(temperature, top_k, top_p, penalty)
    np.testing.assert_allclose(
        distribution(logits, mask, sampling), plainly(logits, mask, sampling), atol=1e-5
    )


def test_top_p_keeps_the_fewest_codes_that_hold_it() -> None:
    logits = logits_of(0.1, 0.5, 0.25, 0.15)
    kept = distribution(logits, heard(4), Sampling(1, 0, 0.7, 1))
    np.testing.assert_allclose(kept, [0, 2 / 3, 1 / 3, 0], atol=1e-6)


@pytest.mark.parametrize("top_p", [0.01, 1e-30])
def test_top_p_keeps_one_code_however_small_it_is(top_p: float) -> None:
    kept = distribution(logits_of(0.3, 0.4, 0.3), heard(3), Sampling(1, 0, top_p, 1))
    np.testing.assert_array_equal(kept, [0, 1, 0])


def test_codes_equal_to_the_last_of_top_k_are_kept_too() -> None:
    kept = distribution(logits_of(0.2, 0.4, 0.2, 0.2), heard(4), Sampling(1, 2, 1, 1))
    np.testing.assert_allclose(kept, [0.2, 0.4, 0.2, 0.2], atol=1e-6)


def test_the_penalty_comes_after_the_filters() -> None:
    # Penalised first, code 0 would fall behind code 1 and out of the top 1.
    kept = distribution(np.array([2.0, 1.9], np.float32), heard(2, 0), Sampling(1, 1, 1, 2))
    np.testing.assert_array_equal(kept, [1, 0])


def test_the_penalty_lowers_codes_of_either_sign() -> None:
    logits = np.array([3.0, -3.0, 3.0, -3.0], np.float32)
    got = distribution(logits, heard(4, 0, 1), Sampling(1, 0, 1, 1.5))
    expected = np.exp([2.0, -4.5, 3.0, -3.0])
    np.testing.assert_allclose(got, expected / expected.sum(), rtol=1e-6)


def test_temperature_0_takes_the_best_after_the_penalty_and_knows_no_filters() -> None:
    logits = np.array([2.0, 1.9, 0.0], np.float32)
    greedy = Sampling(0, 1, 0.01, 1.2)
    assert choose(logits, heard(3), greedy, LAST_UNIFORM) == 0
    assert choose(logits, heard(3, 0), greedy, LAST_UNIFORM) == 1
    np.testing.assert_array_equal(distribution(logits, heard(3, 0), greedy), [0, 1, 0])


def test_the_uniform_numbers_share_the_codes_out_by_their_probabilities() -> None:
    logits = logits_of(0.1, 0.0, 0.6, 0.3)
    chosen = [choose(logits, heard(4), PLAIN, (i + 0.5) / 1_000) for i in range(1_000)]
    assert chosen == sorted(chosen)
    np.testing.assert_array_equal(np.bincount(chosen, minlength=4), [100, 0, 600, 300])


@pytest.mark.parametrize("uniform", [0.0, LAST_UNIFORM])
def test_no_uniform_number_gives_an_impossible_code(uniform: float) -> None:
    assert choose(logits_of(0, 0.5, 0, 0.5, 0), heard(5), PLAIN, uniform) in (1, 3)


def test_choosing_agrees_with_the_distribution_at_the_real_size() -> None:
    random = np.random.default_rng(3)
    logits = (4 * random.standard_normal(6_563)).astype(np.float32)
    mask = random.random(6_563) < 0.02
    probabilities = distribution(logits, mask, Sampling())
    mass = probabilities.cumsum()
    assert 1 < np.count_nonzero(probabilities) <= 1_000
    for uniform in random.random(200):
        code = choose(logits, mask, Sampling(), uniform)
        assert mass[code] - probabilities[code] - 1e-12 <= uniform <= mass[code] + 1e-12


def test_choosing_leaves_what_it_is_given() -> None:
    logits, mask = logits_of(0.5, 0.3, 0.2), heard(3, 1)
    before = logits.copy(), mask.copy()
    choose(logits, mask, Sampling(), 0.5)
    np.testing.assert_array_equal(logits, before[0])
    np.testing.assert_array_equal(mask, before[1])


def test_uniform_numbers_are_addressed_not_drawn() -> None:
    forwards = [uniform_at(7, position) for position in range(5)]
    backwards = [uniform_at(7, position) for position in reversed(range(5))]
    assert forwards == backwards[::-1]
    assert len({uniform_at(seed, position) for seed in range(30) for position in range(30)}) == 900


def test_uniform_numbers_stay_the_same_in_every_version() -> None:
    """A seed means the same speech tomorrow."""
    assert [uniform_at(0, 0), uniform_at(1, 0), uniform_at(0, 1), uniform_at(2**64 - 1, 999)] == [
        0.1990448322628542,
        0.6258769008981712,
        0.7032724089314888,
        0.5503847331633931,
    ]


def test_uniform_numbers_are_uniform() -> None:
    numbers = np.array([uniform_at(11, position) for position in range(4_000)])
    assert numbers.min() >= 0
    assert numbers.max() < 1
    np.testing.assert_allclose(np.histogram(numbers, 10, (0, 1))[0], 400, atol=80)  # 4 sigma
    assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 0.06


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("top_k", -1),
        ("top_p", 0.0),
        ("top_p", 1.01),
        ("top_p", math.nan),
        ("repetition_penalty", 0.0),
        ("repetition_penalty", -1.2),
        ("repetition_penalty", math.nan),
    ],
)
def test_numbers_out_of_range_are_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=field) as refused:
        Sampling(**{field: value})
    assert refused.value.field == field


def test_the_defaults_are_the_references() -> None:
    assert Sampling() == Sampling(temperature=0.8, top_k=1_000, top_p=0.95, repetition_penalty=1.2)
