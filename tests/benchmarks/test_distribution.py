import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.distribution import Distribution, percentile

HUNDRED = [float(k) for k in range(1, 101)]


@pytest.mark.parametrize(
    ("percent", "expected"), [(1, 1), (29, 29), (50, 50), (95, 95), (99, 99), (100, 100)]
)
def test_of_a_hundred_values_the_percentile_is_the_rank(percent: float, expected: float) -> None:
    assert percentile(HUNDRED, percent) == expected


def test_percentiles_of_few_values_are_values_of_them() -> None:
    assert percentile([10.0, 20.0], 50) == 10
    assert percentile([10.0, 20.0], 51) == 20
    assert percentile([10.0, 20.0, 30.0], 50) == 20
    assert percentile([10.0], 99) == 10


def test_a_distribution_is_written_out() -> None:
    assert Distribution.of(reversed(HUNDRED)) == Distribution(100, 50.5, 50, 95, 99, 100)


def test_nothing_has_a_distribution_of_zeros() -> None:
    assert Distribution.of([]) == Distribution(0, 0, 0, 0, 0, 0)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.floats(0.1, 100))
def test_so_many_percent_do_not_exceed_it_and_no_smaller_value_would_do(
    values: list[float], percent: float
) -> None:
    ordered = sorted(values)
    found = percentile(ordered, percent)
    assert sum(value <= found for value in ordered) >= percent / 100 * len(ordered) - 1e-6
    assert sum(value < found for value in ordered) < percent / 100 * len(ordered) + 1e-6
