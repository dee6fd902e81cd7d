"""What one request was: frozen instants, and the journal that takes them down as they happen.

Instants are monotonic nanoseconds from the start of the run. Everything else is derived from them in
metrics.py; no duration is stored.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from benchmarks.audible import Onset, SampleReader, Samples
from telephony.format import AudioFormat


class Outcome(str, Enum):
    """How a request ended. A refusal is an answer of a full server; a failure is a broken promise."""

    COMPLETED = "completed"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target's word on one request; the reason is empty when it completed."""

    outcome: Outcome
    reason: str = ""


COMPLETED = Verdict(Outcome.COMPLETED)


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Audio as it came, one column each, in the order of the audio.

    A delivery is what arrived at one instant: a packet, a message, a piece of an HTTP body, a chunk.
    """

    at_ns: tuple[int, ...] = ()
    first_sample: tuple[int, ...] = ()
    """Position of the delivery's first sample in the stream."""
    samples: tuple[int, ...] = ()

    @property
    def end_sample(self) -> int:
        """Length of the stream; what was lost inside it counts."""
        return self.first_sample[-1] + self.samples[-1] if self.samples else 0


@dataclass(frozen=True, slots=True)
class Reception:
    """What happened to one RTP stream on its way (RFC 3550 section 6.4.1 and appendix A)."""

    packets: int
    lost: int
    reordered: int
    duplicates: int
    foreign: int
    """Datagrams that were not of this stream: not RTP, or another SSRC."""
    jitter_ms: float
    """Interarrival jitter at the end of the stream."""


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request, whole. An instant that never came is None."""

    index: int
    measured: bool
    """False in the warm-up."""
    text_chars: int
    rate_hz: int
    outcome: Outcome
    reason: str
    scheduled_ns: int
    started_ns: int
    """First act on the network."""
    dispatched_ns: int | None
    """The text left. The same as started, but on WebSocket, where the call is set up first."""
    admitted_ns: int | None
    first_byte_ns: int | None
    first_speech_ns: int | None
    """First delivery of the utterance itself; silence that a paced line carries before it is not."""
    finished_ns: int
    received_bytes: int
    first_audible_sample: int | None
    deliveries: Deliveries
    reception: Reception | None
    engine_ms: float | None
    """The engine's part, as the server reports it."""


class Journal:
    """Takes one request down. Every instant is stamped once: the first time counts."""

    def __init__(self, audio_format: AudioFormat, now_ns: Callable[[], int]) -> None:
        self.format = audio_format
        self.now_ns = now_ns
        self.dispatched_ns: int | None = None
        self.admitted_ns: int | None = None
        self.first_byte_ns: int | None = None
        self.first_speech_ns: int | None = None
        self.finished_ns: int | None = None
        self.received_bytes = 0
        self.engine_ms: float | None = None
        self.reception: Reception | None = None
        self.deliveries = Deliveries()
        self.onset = Onset(audio_format.rate_hz)
        self._reader = SampleReader(audio_format.encoding)
        self._at_ns: list[int] = []
        self._samples: list[int] = []

    def dispatched(self) -> None:
        """The text leaves now."""
        self.dispatched_ns = _first(self.dispatched_ns, self.now_ns())

    def admitted(self) -> None:
        """The server said yes."""
        self.admitted_ns = _first(self.admitted_ns, self.now_ns())

    def finished(self) -> None:
        """The last byte, or the last word, has come."""
        self.finished_ns = _first(self.finished_ns, self.now_ns())

    def received(self, payload: bytes) -> None:
        """More bytes of a gapless stream have come."""
        at_ns = self.now_ns()
        self.first_byte_ns = _first(self.first_byte_ns, at_ns)
        self.received_bytes += len(payload)
        self._take(at_ns, self._reader.push(payload))

    def chunk(self, samples: Samples) -> None:
        """A chunk of samples has come, in-process."""
        at_ns = self.now_ns()
        self.first_byte_ns = _first(self.first_byte_ns, at_ns)
        self.received_bytes += samples.nbytes
        self._take(at_ns, samples)

    def close(
        self,
        index: int,
        measured: bool,
        text_chars: int,
        scheduled_ns: int,
        started_ns: int,
        verdict: Verdict,
    ) -> RequestRecord:
        """The finished record."""
        self.finished()
        assert self.finished_ns is not None, "finished was stamped above"
        return RequestRecord(
            index=index,
            measured=measured,
            text_chars=text_chars,
            rate_hz=self.format.rate_hz,
            outcome=verdict.outcome,
            reason=verdict.reason,
            scheduled_ns=scheduled_ns,
            started_ns=started_ns,
            dispatched_ns=self.dispatched_ns,
            admitted_ns=self.admitted_ns,
            first_byte_ns=self.first_byte_ns,
            first_speech_ns=self.first_speech_ns,
            finished_ns=self.finished_ns,
            received_bytes=self.received_bytes,
            first_audible_sample=self.onset.first_audible_sample,
            deliveries=self._gapless() if self._at_ns else self.deliveries,
            reception=self.reception,
            engine_ms=self.engine_ms,
        )

    def _take(self, at_ns: int, samples: Samples) -> None:
        if not len(samples):
            return
        self.first_speech_ns = _first(self.first_speech_ns, at_ns)
        self._at_ns.append(at_ns)
        self._samples.append(len(samples))
        self.onset.push(samples)

    def _gapless(self) -> Deliveries:
        ends = [0]
        for samples in self._samples:
            ends.append(ends[-1] + samples)
        return Deliveries(tuple(self._at_ns), tuple(ends[:-1]), tuple(self._samples))


def _first(stamped_ns: int | None, at_ns: int) -> int:
    return at_ns if stamped_ns is None else stamped_ns
