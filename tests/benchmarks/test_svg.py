from xml.etree import ElementTree

import pytest

from benchmarks.svg import HALF_WIDTH, Axis, Plot


def make_plot(x: Axis | None = None) -> Plot:
    return Plot(x or Axis(0, 10, "x"), Axis(0, 100, "y"), HALF_WIDTH, 250, "a plot")


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 7300, [0, 2000, 4000, 6000]),
        (0, 0.9, [0, 0.2, 0.4, 0.6, 0.8]),
    ],
)
def test_ticks_of_a_linear_axis_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert Axis(low, high, "").ticks() == ticks


def test_ticks_of_a_log_axis_are_ones_twos_and_fives() -> None:
    assert Axis(0.8, 60, "", log=True).ticks() == [1, 2, 5, 10, 20, 50]


def test_a_log_axis_puts_the_geometric_mean_in_the_middle() -> None:
    assert Axis(1, 100, "", log=True).share(10) == pytest.approx(0.5)


def test_what_lies_outside_is_drawn_at_the_edge() -> None:
    assert Axis(0, 10, "").share(-1) == 0
    assert Axis(0, 10, "").share(11) == 1
    assert Axis(1, 100, "", log=True).share(0) == 0


def test_every_mark_is_well_formed_and_escaped() -> None:
    plot = make_plot()
    hostile = '<script>"&'
    plot.line([(0, 0), (5, 50)], "one")
    plot.steps([(0, 1), (2, 3), (4, 0)], "one")
    plot.bars([(0, 1, 5, hostile)], "one")
    plot.dots([(1, 2, hostile)], "one")
    plot.crosses([(1, 2, hostile)], "bad")
    plot.band(0, 1, hostile)
    plot.rule(5, hostile)
    root = ElementTree.fromstring(plot.render())
    assert [each.text for each in root.iter("title")] == [hostile] * 3
    assert not list(root.iter("script"))


def test_a_staircase_holds_each_value_until_the_next() -> None:
    plot = make_plot()
    plot.steps([(0, 50), (5, 100), (10, 0)], "one")
    path = ElementTree.fromstring(plot.render()).find("path")
    assert path is not None
    left, middle, right = 52.0, 256.0, 460.0
    bottom, half, top = 210.0, 119.0, 28.0
    assert path.get("d") == (f"M{left},{bottom}V{half}H{middle}V{top}V{top}H{right}V{bottom}V{bottom}Z")


def test_no_steps_draw_nothing() -> None:
    plot = make_plot()
    plot.steps([], "one")
    assert ElementTree.fromstring(plot.render()).find("path") is None
