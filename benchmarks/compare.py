"""Pure: two runs side by side, and every reason why they should not be compared."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

from benchmarks.metrics import METRICS
from benchmarks.page import card, notice, page, shown, table
from benchmarks.results import Run

_HIGHER_IS_BETTER = {"xrt", "completed", "completed_per_s", "audio_per_s", "C50", "C100", "C200"}
_NEUTRAL = {"requests", "peak_in_flight"}
_NOTICEABLE = 0.05
"""Ratios nearer to 1 than this are not coloured: two runs of the same server differ as much."""

_BUSY_LOAD = 0.5


@dataclass(frozen=True, slots=True)
class Row:
    """One number of both runs."""

    key: str
    title: str
    first: float
    second: float

    @property
    def ratio(self) -> float | None:
        """Second over first; None when there is nothing to divide by."""
        return self.second / self.first if self.first else None

    @property
    def tone(self) -> str:
        """`better`, `worse` or empty, from the second run's side."""
        if self.key in _NEUTRAL or self.ratio is None or abs(self.ratio - 1) < _NOTICEABLE:
            return ""
        return "better" if (self.ratio > 1) == (self.key in _HIGHER_IS_BETTER) else "worse"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two runs have to say together."""

    warnings: tuple[str, ...]
    rows: tuple[Row, ...]


def compare_runs(first: Run, second: Run) -> Comparison:
    """Put the runs side by side."""
    return Comparison(tuple(_warnings(first, second)), (*_counts(first, second), *_metrics(first, second)))


def format_comparison(comparison: Comparison) -> str:
    """For the terminal."""
    lines = [f"warning: {each}" for each in comparison.warnings]
    lines.append(f"{'':<32} {'first':>12} {'second':>12} {'ratio':>8}")
    lines += (
        f"{row.title:<32} {shown(row.first):>12} {shown(row.second):>12} {_ratio(row):>8}"
        for row in comparison.rows
    )
    return "\n".join(lines)


def render_comparison(first: Run, second: Run) -> str:
    """As a page."""
    comparison = compare_runs(first, second)
    head = ["", f"first, {first.began}", f"second, {second.began}", "second / first"]
    rows = [[row.title, shown(row.first), shown(row.second), _ratio(row)] for row in comparison.rows]
    tones = [["", "", row.tone] for row in comparison.rows]
    body = [
        notice("These runs differ in more than one thing", comparison.warnings),
        card("Both runs", "Milliseconds, unless the name says otherwise", table(head, rows, tones)),
    ]
    title = f"{first.protocol} and {second.protocol}, side by side"
    subtitle = f"{first.target} at {first.load.rate_hz:g}/s · {second.target} at {second.load.rate_hz:g}/s"
    return page(title, "Talkspurt bench", subtitle, [each for each in body if each])


def _ratio(row: Row) -> str:
    return "" if row.ratio is None else f"{row.ratio:.2f}×"


def _warnings(first: Run, second: Run) -> Iterator[str]:
    for each in fields(first.machine):
        if each.name != "commit":
            yield from _differ(f"machine.{each.name}", first.machine, second.machine, each.name)
    for name in ("protocol", "options", "encoding", "sample_rate", "jitter_buffer_ms", "server"):
        yield from _differ(name, first, second, name)
    for each in fields(first.load):
        yield from _differ(f"load.{each.name}", first.load, second.load, each.name)
    yield from _differ("arrivals_version", first, second, "arrivals_version")
    for each in fields(first.texts):
        yield from _differ(f"texts.{each.name}", first.texts, second.texts, each.name)
    for name, run in (("first", first), ("second", second)):
        if run.load_average > _BUSY_LOAD:
            yield f"the {name} run's machine was busy before it began: load average {run.load_average:.2f}"


def _differ(title: str, first: object, second: object, name: str) -> Iterator[str]:
    one, other = getattr(first, name), getattr(second, name)
    if one != other:
        yield f"{title} differs: {one} and {other}"


def _counts(first: Run, second: Run) -> Iterator[Row]:
    one, other = first.summary, second.summary
    for key in ("requests", "completed", "refused", "failed", "peak_in_flight"):
        yield Row(key, key.replace("_", " "), getattr(one, key), getattr(other, key))
    yield Row("completed_per_s", "completed per second", one.completed_hz, other.completed_hz)
    yield Row("audio_per_s", "audio seconds per second", one.audio_per_s, other.audio_per_s)
    for key in (each for each in one.continuity if each in other.continuity):
        yield Row(key, f"continuity {key}", one.continuity[key], other.continuity[key])


def _metrics(first: Run, second: Run) -> Iterator[Row]:
    for metric in METRICS:
        one, other = (run.summary.distributions.get(metric.name) for run in (first, second))
        if one is None or other is None or not (one.count and other.count):
            continue
        for part in ("p50", "p95", "p99", "max"):
            yield Row(metric.name, f"{metric.title} {part}", getattr(one, part), getattr(other, part))
