"""Prometheus metrics. One registry per server, so that two in one process never mix."""

import time
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from engines import AudioChunk, FinishReason
from engines.contract import StepRecord
from engines.rates import NS_PER_SECOND

_TTFA_BUCKETS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5)
_GAP_BUCKETS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_STEP_BUCKETS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.3, 1)
_RTF_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2)


class Metrics:
    """Every metric of the server, by its name without the prefix ``talkspurt_``."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.ttfa_seconds = self._histogram(
            "ttfa_seconds", "First text to first audio handed on.", _TTFA_BUCKETS, "protocol"
        )
        self.engine_first_chunk_seconds = self._histogram(
            "engine_first_chunk_seconds", "The engine's part of ttfa_seconds.", _TTFA_BUCKETS
        )
        self.inter_chunk_seconds = self._histogram(
            "inter_chunk_seconds", "Between two chunks of an utterance.", _GAP_BUCKETS
        )
        self.rtf = self._histogram(
            "rtf", "Synthesis seconds per second of audio, whole utterances.", _RTF_BUCKETS
        )
        self.step_seconds = self._histogram("step_seconds", "One model call.", _STEP_BUCKETS, "kind")
        self.step_rows_total = self._counter("step_rows", "Rows of all steps.", "kind")
        self.audio_seconds_total = self._counter("audio_seconds", "Audio synthesised.")
        self.utterances_total = self._counter("utterances", "Utterances ended, by reason.", "reason")
        self.underrun_total = self._counter("underrun", "Times that a paced line ran dry in an utterance.")
        self.underrun_seconds_total = self._counter("underrun_seconds", "Comfort silence played for it.")
        self.rejected_total = self._counter("rejected", "Refused at the door.", "reason")

    def gauge(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """A value read when it is scraped."""
        Gauge(f"talkspurt_{name}", help_text, registry=self.registry).set_function(read)

    def counter(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """A count kept elsewhere, read when it is scraped."""
        self.registry.register(_ReadCounter(f"talkspurt_{name}", help_text, read))

    def observe_step(self, record: StepRecord) -> None:
        """Called from the engine thread."""
        self.step_seconds.labels(record.kind).observe(record.seconds)
        self.step_rows_total.labels(record.kind).inc(record.rows)

    def _histogram(self, name: str, help_text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"talkspurt_{name}", help_text, labels, buckets=buckets, registry=self.registry)

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"talkspurt_{name}", help_text, labels, registry=self.registry)


class _ReadCounter(Collector):
    """A counter whose owner is not prometheus_client."""

    def __init__(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        self._name, self._help_text, self._read = name, help_text, read

    def collect(self) -> Iterable[Metric]:
        yield CounterMetricFamily(self._name, self._help_text, value=self._read())

    def describe(self) -> Iterable[Metric]:
        yield CounterMetricFamily(self._name, self._help_text)


class UtteranceMeter:
    """Times one utterance: from its first text (asked) over the engine's start to its chunks."""

    def __init__(self, metrics: Metrics, protocol: str, asked_ns: int, opened_ns: int) -> None:
        self._metrics = metrics
        self._protocol = protocol
        self._asked_ns = asked_ns
        self._opened_ns = opened_ns
        self._last_ns = 0
        self._samples_s = 0.0
        self.engine_ms = 0.0
        self.ttfa_ms = 0.0

    def chunk(self, chunk: AudioChunk) -> None:
        """A chunk has come from the engine."""
        if not len(chunk.samples):  # the end of a segment that had nothing more to say
            return
        now_ns = time.monotonic_ns()
        if self._last_ns:
            self._metrics.inter_chunk_seconds.observe((now_ns - self._last_ns) / NS_PER_SECOND)
        else:
            self.engine_ms = (now_ns - self._opened_ns) / 1e6
            self._metrics.engine_first_chunk_seconds.observe(self.engine_ms / 1000)
        self._last_ns = now_ns
        self._samples_s += chunk.duration_s
        self._metrics.audio_seconds_total.inc(chunk.duration_s)

    @property
    def heard(self) -> bool:
        """Whether any audio has come."""
        return self._last_ns != 0

    def handed_on(self) -> None:
        """Its first audio has gone to the line or the connection."""
        self.ttfa_ms = (time.monotonic_ns() - self._asked_ns) / 1e6
        self._metrics.ttfa_seconds.labels(self._protocol).observe(self.ttfa_ms / 1000)

    def ended(self, reason: FinishReason | None) -> None:
        """No chunk follows."""
        self._metrics.utterances_total.labels((reason or FinishReason.CANCELLED).value).inc()
        if reason is FinishReason.COMPLETED and self._samples_s:
            busy_s = (self._last_ns - self._opened_ns) / NS_PER_SECOND
            self._metrics.rtf.observe(busy_s / self._samples_s)
