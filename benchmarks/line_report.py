"""line.json, and the line measurement as one HTML page."""

import json
from pathlib import Path

from benchmarks.line import LATE_MS, LinePoint, LineRun
from benchmarks.page import card, facts, figure, notice, page, shown, table, tile, tiles
from benchmarks.schema import from_json, read_versioned, to_json
from benchmarks.svg import HALF_WIDTH, Axis, Plot

LINE_SCHEMA = "talkspurt.bench.line"
LINE_VERSION = 1
LINE_FILE = "line.json"
_HEIGHT = 250

_LATE_HEAD = ("late p50", "p99", "p99.9", "max", "gap p99")
_HEAD = ("calls", "packets", "lost", *_LATE_HEAD, "cores", "skipped", "underruns", "holds")


def write_line(folder: Path, run: LineRun) -> None:
    """Write line.json into `folder`, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LINE_FILE).write_text(json.dumps(to_json(run), indent=2) + "\n")


def read_line_run(folder: Path) -> LineRun:
    """Read line.json. Raises SchemaError."""
    return from_json(LineRun, read_versioned(folder / LINE_FILE, LINE_SCHEMA, LINE_VERSION))


def render_line(run: LineRun) -> str:
    """The page of a sweep."""
    held = [point.calls for point in run.points if point.holds]
    largest = max(run.points, key=lambda point: point.calls, default=None)
    machine = run.machine
    body = [
        notice("Mind", run.doubts),
        tiles(_tiles(held, largest)),
        '<div class="grid">',
        card("Lateness", "Of packets against the deadlines of their calls", _lateness_plot(run)),
        card("Cost", "CPU of the sending process", _cost_plot(run)),
        "</div>",
        card("Every point", "Milliseconds; cores of the sender", table(_HEAD, [_row(p) for p in run.points])),
        card(
            "Where it was measured",
            "",
            facts(
                [
                    ("Machine", f"{machine.cpu}, {machine.cores} cores, {machine.memory_mib / 1024:.1f} GiB"),
                    ("System", f"{machine.system}, {machine.python}"),
                    ("Load average before", f"{run.load_average:.2f}"),
                    ("Commit", machine.commit or "unknown"),
                ]
            ),
        ),
    ]
    subtitle = f"Paced RTP calls of one process, audio ready, no engine · {run.began}"
    return page("The telephone line alone", "Talkspurt bench", subtitle, [each for each in body if each])


def _tiles(held: list[int], largest: LinePoint | None) -> list[str]:
    made = [tile("Calls that hold", f"{max(held, default=0):,}", "", f"p99 within {LATE_MS:g} ms, none lost")]
    if largest is not None:
        made.append(tile("Most calls tried", f"{largest.calls:,}"))
        made.append(tile("p99 lateness then", shown(largest.late_p99_ms), "ms"))
        made.append(tile("Cores then", shown(largest.sender_cores)))
    return made


def _lateness_plot(run: LineRun) -> str:
    points = sorted(run.points, key=lambda point: point.calls)
    late = [v for p in points for v in (p.late_p50_ms, p.late_p99_ms, p.late_max_ms)]
    values = [LATE_MS, *(max(each, 0.01) for each in late)]
    y = Axis(min(values) * 0.8, max(values) * 1.3, "late, ms, logarithmic", log=True)
    plot = Plot(_calls_axis(points), y, HALF_WIDTH, _HEIGHT, "Lateness by number of calls")
    plot.rule(LATE_MS, f"{LATE_MS:g} ms")
    for name, style in (("late_p99_ms", "one"), ("late_max_ms", "two")):
        marks = [(float(p.calls), max(getattr(p, name), 0.01)) for p in points]
        plot.line(marks, style)
        plot.dots([(x, late, f"{x:g} calls: {late:.2f} ms") for x, late in marks], style)
    return figure(plot.render(), [("one", "p99"), ("two", "latest of all")])


def _cost_plot(run: LineRun) -> str:
    points = sorted(run.points, key=lambda point: point.calls)
    top = max([1.0, *(point.sender_cores for point in points)])
    y = Axis(0, top, "cores")
    plot = Plot(_calls_axis(points), y, HALF_WIDTH, _HEIGHT, "CPU of the sender by number of calls")
    marks = [(float(point.calls), point.sender_cores) for point in points]
    plot.line(marks, "one")
    plot.dots([(x, cores, f"{x:g} calls: {cores:.2f} cores") for x, cores in marks], "one")
    return figure(plot.render(), [("one", "CPU seconds a second")])


def _calls_axis(points: list[LinePoint]) -> Axis:
    return Axis(0, max((point.calls for point in points), default=1) * 1.03, "calls at once")


def _row(point: LinePoint) -> list[str]:
    late = (point.late_p50_ms, point.late_p99_ms, point.late_p999_ms, point.late_max_ms, point.gap_p99_ms)
    return [
        f"{point.calls:,}",
        f"{point.packets:,}",
        f"{point.lost:,}",
        *(shown(each) for each in late),
        shown(point.sender_cores),
        f"{point.skipped:,}",
        f"{point.underruns:,}",
        "yes" if point.holds else "no",
    ]
