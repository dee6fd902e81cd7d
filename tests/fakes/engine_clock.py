"""The scheduler under a fake clock: a discrete-event simulation with assumed step costs, without threads.

Time passes only by steps and, with nothing to do, by waiting for the next planned act. As in the
real loop, acts due during a step are carried out after it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from itertools import count

import numpy as np

from engines.backends.base import Backend
from engines.contract import AudioChunk, FinishReason, Samples, SpokenSegment, TextSpan
from engines.rates import samples_to_ns
from engines.scheduler import DecodeStep, PrefillStep, Scheduler, Step
from engines.scheduler.chunking import ChunkSchedule
from engines.scheduler.policy import DeadlinePolicy, StepKind
from engines.scheduler.scheduler import Limits
from engines.scheduler.step import ChunkReady, Event, SlotReleased, UtteranceEnded
from tests.fakes.backend import VOICE, fake_backend

MS = 1_000_000  # ns

_ENDLESS_STEPS = 20_000


@dataclass(frozen=True, slots=True)
class Price:
    """Assumed cost of a step: so much, and so much a row."""

    step_ns: int
    row_ns: int


PRICES: Mapping[StepKind, Price] = {
    StepKind.PREFILL: Price(8 * MS, 2 * MS),
    StepKind.DECODE: Price(6 * MS, MS // 50),
    StepKind.WINDOW: Price(8 * MS, MS // 2),
}


@dataclass(slots=True)
class Listener:
    """One utterance as it is heard: plays as it comes, in real time."""

    chunks: list[AudioChunk] = field(default_factory=list)
    reads: bool = True  # False: takes nothing out of its stream
    asked_ns: int = 0
    first_audio_ns: int | None = None
    runs_dry_ns: int = 0
    gaps_ns: list[int] = field(default_factory=list)  # silences inside the utterance
    ended: UtteranceEnded | None = None

    @property
    def audio(self) -> Samples:
        return np.concatenate([np.zeros(0, np.float32), *(chunk.samples for chunk in self.chunks)])

    @property
    def chunk_samples(self) -> list[int]:
        return [len(chunk.samples) for chunk in self.chunks]

    @property
    def reason(self) -> FinishReason | None:
        return self.ended.reason if self.ended else None

    def hear(self, chunk: AudioChunk, now_ns: int) -> int:
        """Returns when its playing begins."""
        assert self.ended is None, "audio after the end"
        assert chunk.first_sample == sum(self.chunk_samples), "audio is not contiguous"
        self.chunks.append(chunk)
        if len(chunk.samples) == 0:
            return now_ns
        if self.first_audio_ns is None:
            self.first_audio_ns = now_ns
        elif now_ns > self.runs_dry_ns:
            self.gaps_ns.append(now_ns - self.runs_dry_ns)
        begins_ns = max(now_ns, self.runs_dry_ns)
        self.runs_dry_ns = begins_ns + samples_to_ns(len(chunk.samples))
        return begins_ns


def make_scheduler(
    backend: Backend | None = None,
    policy: DeadlinePolicy | None = None,
    max_utterances: int = 1_000,
    max_unspoken_tokens: int = 100,
    max_unread_samples: int = 96_000,
    new_tokens: tuple[int, ...] = (10, 12, 16, 25),
) -> Scheduler:
    backend = backend or fake_backend()
    limits = Limits.of(backend, max_utterances, max_unspoken_tokens, max_unread_samples, 10 * MS)
    schedule = ChunkSchedule(new_tokens, backend.left_context_tokens, backend.lookahead_tokens)
    return Scheduler(limits, schedule, policy or DeadlinePolicy(1_000 * MS))


def segments(*texts: str, first_index: int = 0) -> list[SpokenSegment]:
    return [
        SpokenSegment(index, text, TextSpan(0, len(text))) for index, text in enumerate(texts, first_index)
    ]


class Simulation:
    """A scheduler, a backend and their listeners on one fake clock."""

    def __init__(
        self,
        scheduler: Scheduler | None = None,
        backend: Backend | None = None,
        prices: Mapping[StepKind, Price] = PRICES,
    ) -> None:
        self.backend = backend or fake_backend()
        self.scheduler = scheduler or make_scheduler(self.backend)
        self.now_ns = 0
        self.listeners: dict[int, Listener] = {}
        self.steps: list[Step] = []
        self._prices = prices
        self._acts: list[tuple[int, int, Callable[[], object]]] = []
        self._order = count()

    def at(self, when_ns: int, act: Callable[[], object]) -> None:
        heappush(self._acts, (when_ns, next(self._order), act))

    def speak(self, utterance_id: int, *texts: str, seed: int = 0, reads: bool = True) -> Listener:
        """A whole utterance, now."""
        listener = self.open(utterance_id, seed, reads)
        self.scheduler.add_segments(utterance_id, segments(*texts))
        self.take(self.scheduler.end_text(utterance_id))
        return listener

    def speak_at(self, when_ns: int, utterance_id: int, *texts: str, seed: int = 0) -> None:
        self.at(when_ns, partial(self.speak, utterance_id, *texts, seed=seed))

    def open(self, utterance_id: int, seed: int = 0, reads: bool = True) -> Listener:
        assert self.scheduler.admit(utterance_id, VOICE, seed, self.now_ns)
        self.listeners[utterance_id] = Listener(reads=reads, asked_ns=self.now_ns)
        return self.listeners[utterance_id]

    def run(self, until_ns: int | None = None) -> None:
        """Until nothing is left to do, or the clock is there."""
        while until_ns is None or self.now_ns < until_ns:
            while self._acts and self._acts[0][0] <= self.now_ns:
                heappop(self._acts)[2]()
            if self.step():
                continue
            if not self._acts:
                return
            self.now_ns = max(self.now_ns, self._acts[0][0])

    def step(self) -> bool:
        """One step, planned, paid for and committed; False: there was nothing to do."""
        step = self.scheduler.plan(self.now_ns)
        if step is None:
            return False
        self.steps.append(step)
        assert len(self.steps) < _ENDLESS_STEPS, "the simulation does not end"
        price = self._prices[step.kind]
        cost_ns = price.step_ns + price.row_ns * len(step.rows)
        self.now_ns += cost_ns
        self.scheduler.record_cost(step, cost_ns)
        self.take(self.commit(step))
        return True

    def commit(self, step: Step) -> list[Event]:
        if isinstance(step, PrefillStep):
            return self.scheduler.commit_prefill(step, self.backend.tokens.start(step.rows))
        if isinstance(step, DecodeStep):
            return self.scheduler.commit_decode(step, self.backend.tokens.step(step.rows))
        audio = self.backend.synthesizer.synthesize(step.rows)
        return self.scheduler.commit_windows(step, audio, self.now_ns)

    def take(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, SlotReleased):
                self.backend.tokens.stop(event.slot, event.state)
            elif isinstance(event, ChunkReady):
                self._hear(event)
            else:
                listener = self.listeners[event.utterance_id]
                assert listener.ended is None, "an utterance ended twice"
                listener.ended = event

    def _hear(self, event: ChunkReady) -> None:
        listener = self.listeners[event.utterance_id]
        begins_ns = listener.hear(event.chunk, self.now_ns)
        if listener.reads:
            samples = len(event.chunk.samples)
            self.at(begins_ns, lambda: self.scheduler.consumed(event.utterance_id, samples))
