"""Pure: a whole run in one value.

Requests of the warm-up do not count, and distributions are of the completed requests alone.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.distribution import Distribution
from benchmarks.metrics import METRICS, NS_PER_MS, NS_PER_S, audio_s, in_flight, measured, stall_ms
from benchmarks.record import Outcome, Reception, RequestRecord
from benchmarks.replay import late_deliveries

CONTINUITY_MS = (50, 100, 200)
"""C50: the share of requests of which no stall reached 50 ms; and so on."""

MAX_REASONS = 20
"""Kinds of failure that are told apart."""


@dataclass(frozen=True, slots=True)
class Packets:
    """RTP of all completed requests together."""

    received: int
    lost: int
    reordered: int
    duplicates: int
    late: int
    """Came after their instant in a fixed jitter buffer: a telephone throws them away."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What the tables show."""

    warmup_requests: int
    warmup_failed: int
    requests: int
    completed: int
    refused: int
    failed: int
    reasons: dict[str, int]
    """Of refusals and failures behind the warm-up, and how often each."""
    span_s: float
    """First scheduled to last finished, behind the warm-up."""
    audio_s: float
    peak_in_flight: int
    continuity: dict[str, float]
    """C50, C100, C200 as shares from 0 to 1."""
    packets: Packets | None
    distributions: dict[str, Distribution]

    @property
    def completed_hz(self) -> float:
        return self.completed / self.span_s if self.span_s else 0.0

    @property
    def audio_per_s(self) -> float:
        """Seconds of audio delivered in each second: xRT of the whole server."""
        return self.audio_s / self.span_s if self.span_s else 0.0

    @property
    def any_failed(self) -> bool:
        return self.failed + self.warmup_failed > 0


def summarize(records: Sequence[RequestRecord], jitter_buffer_ms: int) -> Summary:
    """Reduce a run's records."""
    jitter_buffer_ns = jitter_buffer_ms * NS_PER_MS
    counted = [record for record in records if record.measured]
    completed = measured(records, Outcome.COMPLETED)
    warmup = [record for record in records if not record.measured]
    outcomes = Counter(record.outcome for record in counted)
    reasons = Counter(record.reason for record in counted if record.outcome is not Outcome.COMPLETED)
    return Summary(
        warmup_requests=len(warmup),
        warmup_failed=sum(record.outcome is Outcome.FAILED for record in warmup),
        requests=len(counted),
        completed=outcomes[Outcome.COMPLETED],
        refused=outcomes[Outcome.REFUSED],
        failed=outcomes[Outcome.FAILED],
        reasons=dict(reasons.most_common(MAX_REASONS)),
        span_s=_span_s(counted),
        audio_s=sum(audio_s(record) for record in completed),
        peak_in_flight=max((count for _, count in in_flight(records)), default=0),
        continuity=_continuity(completed, jitter_buffer_ns),
        packets=_packets(completed, jitter_buffer_ns),
        distributions={
            each.name: Distribution.of(
                value for record in completed for value in each.values(record, jitter_buffer_ns)
            )
            for each in METRICS
        },
    )


def _span_s(records: Sequence[RequestRecord]) -> float:
    if not records:
        return 0.0
    first_ns = min(record.scheduled_ns for record in records)
    return (max(record.finished_ns for record in records) - first_ns) / NS_PER_S


def _continuity(completed: Sequence[RequestRecord], jitter_buffer_ns: int) -> dict[str, float]:
    stalls = [value for record in completed for value in stall_ms(record, jitter_buffer_ns)]
    return {
        f"C{bound}": sum(stall < bound for stall in stalls) / len(stalls) if stalls else 0.0
        for bound in CONTINUITY_MS
    }


def _packets(completed: Sequence[RequestRecord], jitter_buffer_ns: int) -> Packets | None:
    heard: list[tuple[RequestRecord, Reception]] = [(r, r.reception) for r in completed if r.reception]
    if not heard:
        return None
    return Packets(
        received=sum(reception.packets for _, reception in heard),
        lost=sum(reception.lost for _, reception in heard),
        reordered=sum(reception.reordered for _, reception in heard),
        duplicates=sum(reception.duplicates for _, reception in heard),
        late=sum(late_deliveries(r.deliveries, r.rate_hz, jitter_buffer_ns) for r, _ in heard),
    )
