"""Pure: one run as one HTML page, with its plots inside."""

from collections.abc import Sequence
from typing import TypeVar

from benchmarks.doubts import doubts
from benchmarks.metrics import METRICS, NS_PER_S, gaps_ms, in_flight, measured, ttfa_ms, ttfb_ms
from benchmarks.page import card, facts, figure, notice, page, shown, table, tile, tiles
from benchmarks.record import Outcome, RequestRecord
from benchmarks.results import Run
from benchmarks.summary import Summary
from benchmarks.svg import FULL_WIDTH, HALF_WIDTH, Axis, Plot

Mark = TypeVar("Mark")

_PROTOCOL_TITLES = {"http": "HTTP", "ws": "WebSocket", "rtp": "RTP", "engine": "The engine alone"}
_MAX_MARKS = 3_000
"""Dots or steps of one plot; of more, every n-th is drawn."""

_HEIGHT = 250
_BINS = 40
_LOG_FROM_RATIO = 30


def render_report(run: Run, records: Sequence[RequestRecord]) -> str:
    """The page of a run."""
    summary = run.summary
    load = run.load
    title = f"{_PROTOCOL_TITLES.get(run.protocol, run.protocol)} at {load.rate_hz:g} requests a second"
    subtitle = (
        f"{load.pattern.value} arrivals for {load.duration_s:g} s after {load.warmup_s:g} s of warm-up · "
        f"{run.encoding} {run.sample_rate} Hz · {run.began} · {run.target}"
    )
    completed = measured(records, Outcome.COMPLETED)
    body = [
        notice("Not every request was completed", _reasons(summary), "bad" if summary.any_failed else ""),
        notice("Mind", tuple(doubts(run))),
        tiles(_tiles(summary)),
        '<div class="grid">',
        card("How soon it speaks", "Share of requests that had begun by then", _latency_plot(completed)),
        card(f"Gaps between {_deliveries(run)}", _gap_note(completed), _gap_plot(completed)),
        "</div>",
        card(
            "Over time", "Each dot is one request, at the instant it was scheduled", _timeline(run, records)
        ),
        card("Every metric", "Completed requests behind the warm-up", _metric_table(summary)),
        _packet_card(run),
        card("What was run", "", facts(_facts(run))),
    ]
    return page(title, "Talkspurt bench", subtitle, [each for each in body if each])


def _tiles(summary: Summary) -> list[str]:
    ttfa = summary.distributions["ttfa_ms"]
    share = summary.completed / summary.requests if summary.requests else 0.0
    incomplete = f"{summary.refused} refused, {summary.failed} failed"
    return [
        tile("TTFA, median", shown(ttfa.p50), "ms", f"of {ttfa.count} requests"),
        tile("TTFA, p95", shown(ttfa.p95), "ms", f"p99 {shown(ttfa.p99)} ms"),
        tile("Completed", f"{share * 100:.4g}", "%", incomplete, "bad" if summary.any_failed else ""),
        tile("Stall-free", f"{summary.continuity['C50'] * 100:.4g}", "%", "no stall of 50 ms"),
        tile(
            "In flight, at most",
            str(summary.peak_in_flight),
            "",
            f"{shown(summary.completed_hz)} completed / s",
        ),
        _last_tile(summary),
    ]


def _last_tile(summary: Summary) -> str:
    overhead = summary.distributions["overhead_ms"]
    if overhead.count:
        return tile("Server overhead", shown(overhead.p50), "ms", f"median, p95 {shown(overhead.p95)}")
    return tile("Audio delivered", shown(summary.audio_per_s), "s / s", f"{shown(summary.audio_s)} s in all")


def _reasons(summary: Summary) -> list[str]:
    lines = [f"{count} × {reason}" for reason, count in summary.reasons.items()]
    if summary.warmup_failed:
        lines.append(f"{summary.warmup_failed} of {summary.warmup_requests} failed in the warm-up")
    return lines


def _latency_plot(completed: Sequence[RequestRecord]) -> str:
    curves = [
        ("one", "TTFA, first audible sample", sorted(v for r in completed for v in ttfa_ms(r, 0))),
        ("two", "TTFB, first byte", sorted(v for r in completed for v in ttfb_ms(r, 0))),
    ]
    values = [value for _, _, curve in curves for value in curve if value > 0]
    if not values:
        return figure(_empty("milliseconds"))
    x = _span_axis(min(values), max(values), "milliseconds")
    y = Axis(0, 100, "% of requests")
    plot = Plot(x, y, HALF_WIDTH, _HEIGHT, "Cumulative distribution of TTFA and TTFB")
    for style, _, curve in curves:
        share = 100 / max(len(curve), 1)
        points = [(value, (rank + 1) * share) for rank, value in enumerate(curve)]
        plot.line([(curve[0], 0.0), *_thinned(points)] if curve else [], style)
    return figure(plot.render(), [(style, words) for style, words, _ in curves])


def _gap_plot(completed: Sequence[RequestRecord]) -> str:
    gaps = sorted(value for record in completed for value in gaps_ms(record, 0))
    if not gaps:
        return figure(_empty("milliseconds"))
    high = max(gaps[_p999_index(gaps)] * 1.02, 1e-6)
    counts = [0] * _BINS
    for gap in gaps:
        counts[min(int(gap / high * _BINS), _BINS - 1)] += 1
    y = Axis(0, max(counts), "gaps")
    plot = Plot(Axis(0, high, "milliseconds"), y, HALF_WIDTH, _HEIGHT, "Histogram of gaps between deliveries")
    edges = [high * k / _BINS for k in range(_BINS + 1)]
    plot.bars(
        (
            (edges[k], edges[k + 1], float(count), f"{edges[k]:.3g} to {edges[k + 1]:.3g} ms: {count}")
            for k, count in enumerate(counts)
            if count
        ),
        "one",
    )
    return figure(plot.render())


def _gap_note(completed: Sequence[RequestRecord]) -> str:
    gaps = sorted(value for record in completed for value in gaps_ms(record, 0))
    if not gaps:
        return "None: every answer came at once"
    beyond = len(gaps) - 1 - _p999_index(gaps)
    tail = f"; the last bar holds {beyond} more, the longest {shown(gaps[-1])} ms" if beyond else ""
    return f"{len(gaps):,} gaps of all requests together{tail}"


def _p999_index(ordered: Sequence[float]) -> int:
    return min(len(ordered) - 1, int(len(ordered) * 0.999))


def _timeline(run: Run, records: Sequence[RequestRecord]) -> str:
    total_s = max([run.load.total_s, *(record.finished_ns / NS_PER_S for record in records)])
    x = Axis(0, total_s, "seconds from the start of the run")
    heard = [(r, v) for r in records if r.outcome is Outcome.COMPLETED for v in ttfa_ms(r, 0)]
    top = max((value for _, value in heard), default=1.0)
    dots = Plot(x, Axis(0, top * 1.1, "TTFA, ms"), FULL_WIDTH, 270, "TTFA of each request over time")
    count = Axis(0, max(run.summary.peak_in_flight, 1), "requests in flight")
    under = Plot(x, count, FULL_WIDTH, 180, "Requests under way over time")

    if run.load.warmup_s:
        dots.band(0, run.load.warmup_s, "warm-up")
        under.band(0, run.load.warmup_s, "")
    dots.dots(
        _thinned([(r.scheduled_ns / NS_PER_S, v, f"request {r.index}: TTFA {v:.1f} ms") for r, v in heard]),
        "one",
    )
    legend = [("one", "TTFA, and requests in flight below")]
    for outcome, style in ((Outcome.REFUSED, "warn"), (Outcome.FAILED, "bad")):
        ended = [r for r in records if r.outcome is outcome]
        legend += [(style, f"{len(ended)} {outcome.value}")] if ended else []
        crosses = [(r.scheduled_ns / NS_PER_S, top * 1.04, f"request {r.index}: {r.reason}") for r in ended]
        dots.crosses(_thinned(crosses), style)
    under.steps(_thinned([(at_ns / NS_PER_S, float(count)) for at_ns, count in in_flight(records)]), "one")
    return figure(dots.render() + under.render(), legend)


def _metric_table(summary: Summary) -> str:
    rows = []
    for metric in METRICS:
        found = summary.distributions[metric.name]
        if found.count:
            name = f"{metric.title}, {metric.unit}" if metric.unit else metric.title
            values = (found.mean, found.p50, found.p95, found.p99, found.max)
            rows.append([name, f"{found.count:,}", *(shown(value) for value in values)])
    continuity = ", ".join(f"{name} {share * 100:.4g} %" for name, share in summary.continuity.items())
    note = f'<p class="sub">Continuity: {continuity}</p>'
    return table(["", "values", "mean", "p50", "p95", "p99", "max"], rows) + note


def _packet_card(run: Run) -> str:
    packets = run.summary.packets
    if packets is None:
        return ""
    counts = [packets.received, packets.lost, packets.reordered, packets.duplicates, packets.late]
    head = ["", "received", "lost", "reordered", "duplicates", "late"]
    note = f"Late: after its instant in a jitter buffer of {run.jitter_buffer_ms} ms"
    return card("RTP packets", note, table(head, [["of completed calls", *(f"{each:,}" for each in counts)]]))


def _facts(run: Run) -> list[tuple[str, str]]:
    machine = run.machine
    gpus = ", ".join(machine.gpus) or "none"
    options = ", ".join(f"{name} {said}" for name, said in run.options.items())
    return [
        (
            "Machine",
            f"{machine.cpu}, {machine.cores} cores, {machine.memory_mib / 1024:.1f} GiB, GPU: {gpus}",
        ),
        ("System", f"{machine.system}, {machine.python}"),
        (
            "Load",
            f"average {run.load_average:.2f} before; the load generator used {run.client_cores:.2f} cores",
        ),
        ("Commit of the load generator", machine.commit or "unknown"),
        ("Server says", ", ".join(f"{name}: {said}" for name, said in run.server.items()) or "nothing"),
        ("Options", options or "none"),
        ("Arrivals", f"{run.load.pattern.value}, seed {run.load.seed}, version {run.arrivals_version}"),
        ("Texts", f"{run.texts.text_set}, {run.texts.digest}, version {run.texts.version}"),
        ("Jitter buffer of the replay", f"{run.jitter_buffer_ms} ms"),
        ("Time limit of a request", f"{run.timeout_s:g} s"),
    ]


def _deliveries(run: Run) -> str:
    names = {"http": "pieces of the body", "ws": "messages", "rtp": "packets", "engine": "chunks"}
    return names.get(run.protocol, "deliveries")


def _span_axis(low: float, high: float, title: str) -> Axis:
    if high / low > _LOG_FROM_RATIO:
        return Axis(low * 0.9, high * 1.05, title + ", logarithmic", log=True)
    return Axis(0, high * 1.05, title)


def _empty(title: str) -> str:
    return Plot(Axis(0, 1, title), Axis(0, 1, ""), HALF_WIDTH, _HEIGHT, "Nothing was measured").render()


def _thinned(marks: Sequence[Mark]) -> list[Mark]:
    """Every n-th mark, and the last."""
    step = -(-len(marks) // _MAX_MARKS) or 1
    kept = list(marks[::step])
    return kept if not marks or kept[-1] is marks[-1] else [*kept, marks[-1]]
