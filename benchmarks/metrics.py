"""Pure: every metric as a difference of two named instants of a record. METHODOLOGY.md says it in words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.record import Outcome, RequestRecord
from benchmarks.replay import replay, samples_to_ns

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Metric:
    """One column of every table. A record gives no value, one, or (gaps) many."""

    name: str
    title: str
    unit: str
    values: Callable[[RequestRecord, int], list[float]]
    """Of a record, and of the jitter buffer in nanoseconds."""


def scheduling_lag_ms(record: RequestRecord, jitter_buffer_ns: int) -> list[float]:
    """started - scheduled: how late the load generator itself was."""
    return [(record.started_ns - record.scheduled_ns) / NS_PER_MS]


def setup_ms(record: RequestRecord, jitter_buffer_ns: int) -> list[float]:
    """dispatched - started: setting the call up before any text."""
    return [] if record.dispatched_ns is None else [(record.dispatched_ns - record.started_ns) / NS_PER_MS]


def ttfb_ms(record: RequestRecord, jitter_buffer_ns: int) -> list[float]:
    """first byte - dispatched."""
    return _since_dispatch(record, record.first_byte_ns)


def ttfa_ms(record: RequestRecord, jitter_buffer_ns: int) -> list[float]:
    """heard(first audible sample) - dispatched, played with no jitter buffer."""
    if record.first_audible_sample is None:
        return []
    playback = replay(record.deliveries, record.rate_hz)
    return _since_dispatch(record, playback.heard_ns(record.first_audible_sample))


def leading_silence_ms(record: RequestRecord, jitter_buffer_ns: int) -> list[float]:
    """Audio before the first audible sample; it is inside TTFA already."""
    if record.first_audible_sample is None:
        return []
    return [samples_to_ns(record.first_audible_sample, record.rate_hz) / NS_PER_MS]


def gaps_ms(record: RequestRecord, jitter_buffer_ns: int) -> list[float]:
    """arrival of a delivery - arrival of the one before, in the order of arrival."""
    return [(late - early) / NS_PER_MS for early, late in pairwise(sorted(record.deliveries.at_ns))]


def jitter_ms(record: RequestRecord, jitter_buffer_ns: int) -> list[float]:
    """Interarrival jitter of RFC 3550; RTP alone has it."""
    return [] if record.reception is None else [record.reception.jitter_ms]


def stall_ms(record: RequestRecord, jitter_buffer_ns: int) -> list[float]:
    """Longest stall of the replay; 0 for a request that played through."""
    if not record.deliveries.at_ns:
        return []
    return [replay(record.deliveries, record.rate_hz, jitter_buffer_ns).longest_stall_ns / NS_PER_MS]


def e2e_ms(record: RequestRecord, jitter_buffer_ns: int) -> list[float]:
    """finished - dispatched."""
    return _since_dispatch(record, record.finished_ns)


def rtf(record: RequestRecord, jitter_buffer_ns: int) -> list[float]:
    """(finished - dispatched) / audio."""
    return [e2e / 1000 / audio_s(record) for e2e in e2e_ms(record, jitter_buffer_ns) if audio_s(record)]


def xrt(record: RequestRecord, jitter_buffer_ns: int) -> list[float]:
    """1 / RTF: seconds of audio in each second."""
    return [1 / each for each in rtf(record, jitter_buffer_ns) if each]


def overhead_ms(record: RequestRecord, jitter_buffer_ns: int) -> list[float]:
    """(first speech - dispatched) - the engine's part, as the server reports that."""
    if record.engine_ms is None:
        return []
    return [each - record.engine_ms for each in _since_dispatch(record, record.first_speech_ns)]


METRICS = (
    Metric("ttfa_ms", "TTFA", "ms", ttfa_ms),
    Metric("ttfb_ms", "TTFB", "ms", ttfb_ms),
    Metric("leading_silence_ms", "Leading silence", "ms", leading_silence_ms),
    Metric("overhead_ms", "Server overhead", "ms", overhead_ms),
    Metric("gap_ms", "Gap between deliveries", "ms", gaps_ms),
    Metric("jitter_ms", "RTP jitter", "ms", jitter_ms),
    Metric("stall_ms", "Longest stall", "ms", stall_ms),
    Metric("e2e_ms", "Request, end to end", "ms", e2e_ms),
    Metric("rtf", "RTF", "", rtf),
    Metric("xrt", "xRT", "×", xrt),
    Metric("setup_ms", "Call setup", "ms", setup_ms),
    Metric("scheduling_lag_ms", "Scheduling lag", "ms", scheduling_lag_ms),
)
"""In the order in which tables show them."""


def audio_s(record: RequestRecord) -> float:
    """Seconds of audio delivered."""
    return sum(record.deliveries.samples) / record.rate_hz


def measured(records: Sequence[RequestRecord], outcome: Outcome) -> list[RequestRecord]:
    """The records behind the warm-up that ended so."""
    return [record for record in records if record.measured and record.outcome is outcome]


def in_flight(records: Sequence[RequestRecord]) -> list[tuple[int, int]]:
    """(instant, requests under way from there on), at each change."""
    changes = sorted([(r.started_ns, 1) for r in records] + [(r.finished_ns, -1) for r in records])
    points: list[tuple[int, int]] = []
    now = 0
    for at_ns, change in changes:
        now += change
        if points and points[-1][0] == at_ns:
            points.pop()
        points.append((at_ns, now))
    return points


def _since_dispatch(record: RequestRecord, at_ns: int | None) -> list[float]:
    if at_ns is None or record.dispatched_ns is None:
        return []
    return [(at_ns - record.dispatched_ns) / NS_PER_MS]
