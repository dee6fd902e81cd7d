"""Any sequence of commands, steps, failures and cancellations keeps the scheduler's invariants.

Up to three steps are in flight at once and land in any order, which is more than the engine's
loop does today: the scheduler does not rely on who drives it.
"""

from collections import defaultdict

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engines.contract import FinishReason, Samples
from engines.rates import TOKEN_SAMPLES
from engines.scheduler import PrefillStep, Step
from engines.scheduler.scheduler import Occupancy
from engines.scheduler.step import ChunkReady, Event, SlotReleased, UtteranceEnded
from tests.fakes.backend import VOICE, FakeModel, audio_of, fake_backend
from tests.fakes.engine_clock import MS, Simulation, make_scheduler, segments

PLACES, SLOTS = 4, 3
UTTERANCES = st.integers(0, 200)  # taken modulo those under way
TEXTS = st.text("ab", max_size=9)


class SchedulerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.model = FakeModel()
        backend = fake_backend(
            self.model, max_token_rows=SLOTS, max_prefill_rows=2, max_window_rows=2, lookahead_tokens=1
        )
        scheduler = make_scheduler(
            backend,
            max_utterances=PLACES,
            max_unspoken_tokens=6,
            max_unread_samples=5 * TOKEN_SAMPLES,
            new_tokens=(2, 3),
        )
        self.simulation = Simulation(scheduler, backend)
        self.scheduler = scheduler
        self.in_flight: list[Step] = []
        self.slots: set[int] = set()
        self.texts: dict[int, list[str]] = {}
        self.open: set[int] = set()  # takes more text
        self.running: list[int] = []
        self.heard: dict[int, list[Samples]] = defaultdict(list)
        self.reasons: dict[int, FinishReason] = {}
        self.unread: dict[int, int] = defaultdict(int)
        self.now_ns = 0

    # What may happen

    @rule()
    def admit(self) -> None:
        utterance_id = len(self.texts)
        admitted = self.scheduler.admit(utterance_id, VOICE, utterance_id, self.now_ns)
        assert admitted is (len(self.running) < PLACES)
        if admitted:
            self.texts[utterance_id] = []
            self.open.add(utterance_id)
            self.running.append(utterance_id)

    @precondition(lambda self: self.open)
    @rule(pick=UTTERANCES, texts=st.lists(TEXTS, max_size=3))
    def add_text(self, pick: int, texts: list[str]) -> None:
        utterance_id = sorted(self.open)[pick % len(self.open)]
        first_index = len(self.texts[utterance_id])
        self.texts[utterance_id] += texts
        self.scheduler.add_segments(utterance_id, segments(*texts, first_index=first_index))

    @precondition(lambda self: self.open)
    @rule(pick=UTTERANCES)
    def end_text(self, pick: int) -> None:
        utterance_id = sorted(self.open)[pick % len(self.open)]
        self.open.remove(utterance_id)
        self.take(self.scheduler.end_text(utterance_id))

    @precondition(lambda self: self.texts)
    @rule(pick=UTTERANCES)
    def cancel(self, pick: int) -> None:
        utterance_id = pick % len(self.texts)
        was_running = utterance_id in self.running
        events = self.scheduler.cancel(utterance_id)
        assert any(isinstance(event, UtteranceEnded) for event in events) is was_running
        self.take(events)

    @precondition(lambda self: self.texts)
    @rule(pick=UTTERANCES)
    def read(self, pick: int) -> None:
        utterance_id = pick % len(self.texts)
        self.scheduler.consumed(utterance_id, self.unread.pop(utterance_id, 0))

    @precondition(lambda self: len(self.in_flight) < 3)
    @rule()
    def plan(self) -> None:
        step = self.scheduler.plan(self.now_ns)
        if step is None:
            return
        self.in_flight.append(step)
        if isinstance(step, PrefillStep):
            for row in step.rows:
                assert row.slot not in self.slots, "a slot is given to two rows"
                self.slots.add(row.slot)

    @precondition(lambda self: self.in_flight)
    @rule(pick=UTTERANCES, ms=st.integers(0, 100))
    def land(self, pick: int, ms: int) -> None:
        self.now_ns += ms * MS
        step = self.in_flight.pop(pick % len(self.in_flight))
        self.simulation.now_ns = self.now_ns
        self.take(self.simulation.commit(step))
        self.scheduler.record_cost(step, ms * MS)

    @precondition(lambda self: self.in_flight)
    @rule(pick=UTTERANCES)
    def fail(self, pick: int) -> None:
        step = self.in_flight.pop(pick % len(self.in_flight))
        self.take(self.scheduler.fail(step, "chosen to fail"))

    # What must hold

    def take(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, SlotReleased):
                self.slots.remove(event.slot)
                self.model.stop(event.slot, event.state)
            elif isinstance(event, ChunkReady):
                self.hear(event)
            else:
                self.end(event)

    def hear(self, event: ChunkReady) -> None:
        utterance_id, chunk = event.utterance_id, event.chunk
        assert utterance_id in self.running, "audio after the end"
        before = self.heard[utterance_id]
        assert chunk.first_sample == sum(map(len, before)), "audio is not contiguous"
        before.append(chunk.samples)
        self.unread[utterance_id] += len(chunk.samples)
        assert self.unread[utterance_id] < (5 + 4) * TOKEN_SAMPLES, "a lane ran past its reader's bound"

    def end(self, event: UtteranceEnded) -> None:
        utterance_id = event.utterance_id
        assert utterance_id in self.running, "an utterance ended twice"
        self.running.remove(utterance_id)
        self.open.discard(utterance_id)
        self.reasons[utterance_id] = event.reason
        if event.reason is FinishReason.COMPLETED:
            assert np.array_equal(self.audio(utterance_id), self.expected(utterance_id))

    def audio(self, utterance_id: int) -> Samples:
        return np.concatenate([np.zeros(0, np.float32), *self.heard[utterance_id]])

    def expected(self, utterance_id: int) -> Samples:
        waves = [audio_of(text, utterance_id, segment=i) for i, text in enumerate(self.texts[utterance_id])]
        return np.concatenate([np.zeros(0, np.float32), *waves])

    @invariant()
    def occupancy_is_what_was_given_and_not_returned(self) -> None:
        occupancy = self.scheduler.occupancy
        assert occupancy.utterances == len(self.running)
        assert occupancy.slots_in_use == len(self.slots) <= SLOTS

    @invariant()
    def what_was_heard_is_the_beginning_of_what_must_be(self) -> None:
        for utterance_id in self.running:
            audio = self.audio(utterance_id)
            assert np.array_equal(audio, self.expected(utterance_id)[: len(audio)])

    def teardown(self) -> None:
        """With readers reading and text ended, everyone is spoken to the end and nothing is left."""
        while self.in_flight:
            self.land(0, 0)
        for _ in sorted(self.open):
            self.end_text(0)
        for _ in range(5_000):
            for utterance_id in self.running:
                self.read(utterance_id)
            self.plan()
            if not self.in_flight:
                break
            self.land(0, 1)
        assert self.running == [], "utterances are left, with nothing to do or without end"
        assert self.scheduler.plan(self.now_ns) is None
        assert self.scheduler.occupancy == Occupancy(0, 0, 0, 0)
        assert self.model.held == {}
        assert self.reasons.keys() == self.texts.keys()


TestScheduler = SchedulerMachine.TestCase
TestScheduler.settings = settings(
    max_examples=100, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)
