"""Pure: small plots as inline SVG. Colours are the page's variables, so a plot follows light and dark."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

FULL_WIDTH, HALF_WIDTH = 990, 470
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 10, 28, 40
_MAX_TICKS = 6


@dataclass(frozen=True, slots=True)
class Axis:
    """Values from `low` to `high` along one side. On a log axis both are positive."""

    low: float
    high: float
    title: str
    log: bool = False

    def share(self, value: float) -> float:
        """Where the value lies, 0 at `low` and 1 at `high`; outside values at the edge."""
        low, high = self._scaled(self.low), self._scaled(self.high)
        value = self._scaled(max(value, self.low))
        return min(max((value - low) / ((high - low) or 1.0), 0.0), 1.0)

    def ticks(self) -> list[float]:
        """Round values to write beside the axis."""
        return _log_ticks(self.low, self.high) if self.log else _linear_ticks(self.low, self.high)

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.log else value


@dataclass(slots=True)
class Plot:
    """One plot: two axes, and marks drawn in the order in which they are added."""

    x: Axis
    y: Axis
    width: int
    height: int
    description: str
    _marks: list[str] = field(default_factory=list)

    def line(self, points: Iterable[tuple[float, float]], style: str) -> None:
        """A polyline; `style` is a class of the page."""
        path = " ".join(f"{self._x(x):.1f},{self._y(y):.1f}" for x, y in points)
        self._marks.append(f'<polyline class="line {style}" points="{path}"/>')

    def steps(self, points: Sequence[tuple[float, float]], style: str) -> None:
        """A filled staircase: each value holds until the next point."""
        if not points:
            return
        path = [f"M{self._x(points[0][0]):.1f},{self._y(0):.1f}"]
        path += [f"V{self._y(y):.1f}H{self._x(x):.1f}V{self._y(after):.1f}" for y, x, after in _pairs(points)]
        path.append(f"V{self._y(0):.1f}Z")
        self._marks.append(f'<path class="area {style}" d="{"".join(path)}"/>')

    def bars(self, bars: Iterable[tuple[float, float, float, str]], style: str) -> None:
        """Bars (from, to, value, what to say on hovering)."""
        for left, right, value, said in bars:
            x, y = self._x(left) + 0.5, self._y(value)
            width, height = max(self._x(right) - x - 0.5, 1.0), self._y(self.y.low) - y
            shape = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
            self._marks.append(f'<rect class="bar {style}" {shape}><title>{escape(said)}</title></rect>')

    def dots(self, dots: Iterable[tuple[float, float, str]], style: str) -> None:
        """Dots (x, y, what to say on hovering)."""
        for x, y, said in dots:
            place = f'cx="{self._x(x):.1f}" cy="{self._y(y):.1f}"'
            title = f"<title>{escape(said)}</title>"
            self._marks.append(f'<circle class="dot {style}" {place} r="2.6">{title}</circle>')

    def crosses(self, crosses: Iterable[tuple[float, float, str]], style: str) -> None:
        """Crosses (x, y, what to say on hovering): told from dots without colour."""
        for x, y, said in crosses:
            at = f"M{self._x(x) - 4:.1f},{self._y(y) - 4:.1f}l8,8m0,-8l-8,8"
            self._marks.append(f'<path class="cross {style}" d="{at}"><title>{escape(said)}</title></path>')

    def band(self, left: float, right: float, label: str) -> None:
        """A shaded stretch of the x axis."""
        x, width = self._x(left), self._x(right) - self._x(left)
        shape = f'x="{x:.1f}" y="{_TOP}" width="{width:.1f}" height="{self.height - _TOP - _BOTTOM}"'
        text = f'<text class="note" x="{x + 6:.1f}" y="{_TOP + 14}">{escape(label)}</text>'
        self._marks.append(f'<rect class="band" {shape}/>{text}')

    def rule(self, y: float, label: str) -> None:
        """A labelled horizontal line at a value."""
        at = self._y(y)
        line = f'<line class="rule" x1="{_LEFT}" x2="{self.width - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        place = f'x="{_LEFT + 4}" y="{at - 5:.1f}"'
        text = f'<text class="note" {place}>{escape(label)}</text>'
        self._marks.append(line + text)

    def render(self) -> str:
        """The SVG element."""
        box = f'viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{escape(self.description)}"'
        return f"<svg {box}>{self._grid()}{''.join(self._marks)}{self._titles()}</svg>"

    def _grid(self) -> str:
        bottom = self.height - _BOTTOM
        parts = []
        for tick in self.y.ticks():
            at = self._y(tick)
            parts.append(
                f'<line class="grid" x1="{_LEFT}" x2="{self.width - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
            )
            parts.append(
                f'<text class="tick" x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{tick:,g}</text>'
            )
        for tick in self.x.ticks():
            at = self._x(tick)
            parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{bottom}" y2="{bottom + 4}"/>')
            parts.append(
                f'<text class="tick" x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">{tick:,g}</text>'
            )
        parts.append(
            f'<line class="axis" x1="{_LEFT}" x2="{self.width - _RIGHT}" y1="{bottom}" y2="{bottom}"/>'
        )
        return "".join(parts)

    def _titles(self) -> str:
        right, bottom = self.width - _RIGHT, self.height - 4
        x = f'<text class="title" x="{right}" y="{bottom}" text-anchor="end">{escape(self.x.title)}</text>'
        return x + f'<text class="title" x="{_LEFT}" y="{_TOP - 13}">{escape(self.y.title)}</text>'

    def _x(self, value: float) -> float:
        return _LEFT + self.x.share(value) * (self.width - _LEFT - _RIGHT)

    def _y(self, value: float) -> float:
        bottom = self.height - _BOTTOM
        return bottom - self.y.share(value) * (bottom - _TOP)


def _pairs(points: Sequence[tuple[float, float]]) -> list[tuple[float, float, float]]:
    """(value, where it ends, value after) along a staircase."""
    return [(y, x_after, after) for (_, y), (x_after, after) in pairwise(points)]


def _linear_ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / _MAX_TICKS or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * each for each in (1, 2, 2.5, 5, 10) if power * each >= rough)
    return [
        round(k * step, 9) for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    ]


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [round(10.0**power * each, 9) for power in powers for each in (1, 2, 5)]
    return [tick for tick in ticks if low <= tick <= high]
