"""Pure: a run's summary as a table of plain text."""

from benchmarks.metrics import METRICS
from benchmarks.page import shown
from benchmarks.summary import Summary

_PARTS = ("p50", "p95", "p99", "max")


def format_summary(summary: Summary) -> str:
    """What is printed when a run ends."""
    lines = [_counts(summary), _rates(summary), ""]
    lines.append(f"{'':<28}{'values':>9}" + "".join(f"{part:>11}" for part in _PARTS))
    for metric in METRICS:
        found = summary.distributions[metric.name]
        if found.count:
            name = f"{metric.title}, {metric.unit}" if metric.unit else metric.title
            values = "".join(f"{shown(getattr(found, part)):>11}" for part in _PARTS)
            lines.append(f"{name:<28}{found.count:>9,}{values}")
    lines += ["", _continuity(summary)]
    lines += [f"{count:>6} x {reason}" for reason, count in summary.reasons.items()]
    if summary.warmup_failed:
        lines.append(f"{summary.warmup_failed:>6} of {summary.warmup_requests} failed in the warm-up")
    return "\n".join(lines)


def _counts(summary: Summary) -> str:
    ended = f"{summary.completed} completed, {summary.refused} refused, {summary.failed} failed"
    return f"{summary.requests} requests: {ended} ({summary.warmup_requests} more in the warm-up)"


def _rates(summary: Summary) -> str:
    rates = f"{shown(summary.completed_hz)} completed a second, {shown(summary.audio_per_s)} s of audio"
    return f"{rates}; at most {summary.peak_in_flight} in flight"


def _continuity(summary: Summary) -> str:
    shares = ", ".join(f"{name} {share * 100:.4g} %" for name, share in summary.continuity.items())
    packets = summary.packets
    if packets is None:
        return f"continuity: {shares}"
    lost = f"{packets.lost} lost, {packets.late} late, {packets.reordered} reordered"
    return f"continuity: {shares}; {packets.received:,} packets, {lost}"
