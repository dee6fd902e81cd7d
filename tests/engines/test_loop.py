"""The only thread: what it isolates, what it reports, and how it ends."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from unittest.mock import Mock

import numpy as np
import pytest

from engines.backends.base import Backend
from engines.contract import FinishReason, Samples, StepRecord
from engines.loop import AddSegments, Admit, Cancel, Consumed, EndText, EngineLoop, Stop
from engines.scheduler import Scheduler
from engines.scheduler.policy import StepKind
from engines.scheduler.step import ChunkReady, UtteranceEnded
from tests.fakes.backend import VOICE, FakeModel, Fault, audio_of, fake_backend
from tests.fakes.engine_clock import make_scheduler, segments

PATIENCE_S = 10

each_kind = pytest.mark.parametrize("kind", list(StepKind), ids=lambda kind: kind.name.lower())


@dataclass
class Recorder:
    """A running loop and all that it says."""

    backend: Backend
    chunks: dict[int, list[Samples]] = field(default_factory=dict)
    ended: dict[int, UtteranceEnded] = field(default_factory=dict)
    records: list[StepRecord] = field(default_factory=list)
    scheduler: Scheduler | None = None
    has_stopped: threading.Event = field(default_factory=threading.Event)
    expected: int = 0
    all_ended: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.loop = EngineLoop(
            self.backend,
            self.scheduler or make_scheduler(self.backend),
            self.deliver,
            self.records.append,
            self.has_stopped.set,
        )

    def deliver(self, event: ChunkReady | UtteranceEnded) -> None:
        if isinstance(event, ChunkReady):
            self.chunks.setdefault(event.utterance_id, []).append(event.chunk.samples)
            self.loop.send(Consumed(event.utterance_id, len(event.chunk.samples)))
            return
        assert event.utterance_id not in self.ended, "an utterance ended twice"
        self.ended[event.utterance_id] = event
        if len(self.ended) == self.expected:
            self.all_ended.set()

    def speak(self, *texts: str) -> None:
        """One utterance each."""
        for utterance_id, text in enumerate(texts):
            self.loop.send(Admit(utterance_id, VOICE, 0))
            self.loop.send(AddSegments(utterance_id, tuple(segments(text))))
            self.loop.send(EndText(utterance_id))
        self.expected += len(texts)

    def run(self) -> None:
        self.loop.start()
        assert self.all_ended.wait(PATIENCE_S), "utterances did not end"
        self.loop.send(Stop())
        assert self.loop.join(PATIENCE_S)
        assert self.has_stopped.is_set()

    def audio(self, utterance_id: int) -> Samples:
        return np.concatenate(self.chunks[utterance_id])


def run(model: FakeModel, texts: Sequence[str]) -> Recorder:
    recorder = Recorder(fake_backend(model, max_prefill_rows=8))
    recorder.speak(*texts)
    recorder.run()
    return recorder


TEXTS = [f"utterance number {each} of eight" for each in range(8)]


def test_utterances_sent_together_are_all_spoken() -> None:
    recorder = run(FakeModel(), TEXTS)
    for each, text in enumerate(TEXTS):
        assert np.array_equal(recorder.audio(each), audio_of(text))
        assert recorder.ended[each].reason is FinishReason.COMPLETED


@pytest.mark.parametrize(
    "fault",
    [
        Fault.PREFILL_RAISES,
        Fault.DECODE_RAISES,
        Fault.WINDOW_RAISES,
        Fault.BAD_FIRST_TOKEN,
        Fault.BAD_TOKEN,
        Fault.NAN_AUDIO,
    ],
)
def test_one_bad_row_in_a_batch_fails_alone(fault: Fault) -> None:
    model = FakeModel({TEXTS[3]: fault})
    recorder = run(model, TEXTS)
    reasons = {each: ended.reason for each, ended in recorder.ended.items()}
    assert reasons == {
        each: FinishReason.FAILED if each == 3 else FinishReason.COMPLETED for each in range(8)
    }
    for each in {*range(8)} - {3}:
        assert np.array_equal(recorder.audio(each), audio_of(TEXTS[each]))
    assert model.held == {}


def test_a_failure_names_what_was_raised() -> None:
    recorder = run(FakeModel({TEXTS[3]: Fault.DECODE_RAISES}), TEXTS)
    assert recorder.ended[3].error == f"RuntimeError: DECODE_RAISES for {TEXTS[3]}"


@each_kind
def test_batches_that_come_back_short_are_run_row_by_row(kind: StepKind) -> None:
    model = FakeModel(row_shortage=kind)
    recorder = run(model, TEXTS)
    for each, text in enumerate(TEXTS):
        assert np.array_equal(recorder.audio(each), audio_of(text))
    assert model.held == {}


def test_a_backend_that_raises_in_every_step_fails_every_utterance_and_serves_on() -> None:
    broken = True

    def before_step(kind: StepKind) -> None:
        if broken:
            raise RuntimeError("no device")

    recorder = Recorder(fake_backend(FakeModel(before_step=before_step)))
    recorder.speak(*TEXTS)
    recorder.loop.start()
    assert recorder.all_ended.wait(PATIENCE_S)
    assert {ended.reason for ended in recorder.ended.values()} == {FinishReason.FAILED}
    broken = False
    recorder.all_ended.clear()
    recorder.expected += 1
    recorder.loop.send(Admit(99, VOICE, 0))
    recorder.loop.send(AddSegments(99, tuple(segments("well again"))))
    recorder.loop.send(EndText(99))
    assert recorder.all_ended.wait(PATIENCE_S)
    assert np.array_equal(recorder.audio(99), audio_of("well again"))
    stop(recorder)


def stop(recorder: Recorder) -> None:
    recorder.loop.send(Stop())
    assert recorder.loop.join(PATIENCE_S)


def test_every_step_is_recorded_with_its_kind_rows_and_cost() -> None:
    recorder = run(FakeModel(), TEXTS)
    assert {record.kind for record in recorder.records} == {"prefill", "decode", "window"}
    assert sum(record.rows for record in recorder.records if record.kind == "prefill") == len(TEXTS)
    decoded = sum(record.rows for record in recorder.records if record.kind == "decode")
    assert decoded == sum(map(len, TEXTS))  # each prefill gave the first token, the last is the stop
    assert all(record.seconds > 0 for record in recorder.records)


def test_every_steps_cost_goes_into_the_reserves() -> None:
    backend = fake_backend()
    scheduler = Mock(wraps=make_scheduler(backend))
    recorder = Recorder(backend, scheduler=scheduler)
    recorder.speak(*TEXTS)
    recorder.run()
    costs_s = [call.args[1] / 1e9 for call in scheduler.record_cost.call_args_list]
    assert costs_s == [record.seconds for record in recorder.records]


@contextmanager
def held_in(kind: StepKind, model: FakeModel) -> Iterator[Recorder]:
    """A loop whose backend stands in a step of ``kind`` until the block is left."""
    reached, go_on = threading.Event(), threading.Event()

    def before_step(each: StepKind) -> None:
        if each is kind:
            reached.set()
            assert go_on.wait(PATIENCE_S)

    model.before_step = before_step
    recorder = Recorder(fake_backend(model))
    recorder.speak(TEXTS[0])
    recorder.loop.start()
    assert reached.wait(PATIENCE_S)
    try:
        yield recorder
    finally:
        go_on.set()


@each_kind
def test_commands_are_carried_out_between_two_steps(kind: StepKind) -> None:
    model = FakeModel()
    with held_in(kind, model) as recorder:
        recorder.loop.send(Cancel(0))
        assert recorder.ended == {}
    assert recorder.all_ended.wait(PATIENCE_S)
    assert recorder.ended[0].reason is FinishReason.CANCELLED
    stop(recorder)
    assert model.held == {}


@each_kind
def test_stop_waits_for_the_step_in_flight_and_no_longer(kind: StepKind) -> None:
    with held_in(kind, FakeModel()) as recorder:
        recorder.loop.send(Stop())
        assert not recorder.loop.join(0.01)
    assert recorder.loop.join(PATIENCE_S)
    assert recorder.has_stopped.is_set()
    assert recorder.ended == {}


def test_nothing_sent_after_stop_is_carried_out() -> None:
    recorder = Recorder(fake_backend())
    recorder.loop.send(Stop())
    recorder.speak("too late")
    recorder.loop.start()
    assert recorder.loop.join(PATIENCE_S)
    assert recorder.chunks == {}


@pytest.mark.parametrize("breaks", ["deliver", "observe"])
def test_a_bug_of_ours_ends_the_thread_and_says_so_once(
    breaks: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise AssertionError("a bug")

    acts = {"deliver": ignore, "observe": ignore, breaks: fail}
    has_stopped = threading.Event()
    backend = fake_backend()
    loop = EngineLoop(backend, make_scheduler(backend), acts["deliver"], acts["observe"], has_stopped.set)
    for command in (Admit(1, VOICE, 0), AddSegments(1, tuple(segments("text")))):
        loop.send(command)
    loop.start()
    assert has_stopped.wait(PATIENCE_S)
    assert loop.join(PATIENCE_S)
    assert [record.message for record in caplog.records] == ["engine thread died"]


def ignore(_: object) -> None:
    pass


def test_an_idle_loop_sleeps_until_it_is_sent_something() -> None:
    scheduler = Mock(wraps=make_scheduler())
    recorder = Recorder(fake_backend(), scheduler=scheduler)
    recorder.loop.start()
    recorder.loop.send(Admit(1, VOICE, 0))
    time.sleep(0.05)  # enough for thousands of plans
    stop(recorder)
    assert scheduler.plan.call_count == 1
