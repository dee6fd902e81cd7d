"""The scheduler as pure code, carried out by a simulator under a fake clock."""

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.contract import FinishReason
from engines.rates import SAMPLE_RATE_HZ, STOP_TOKEN, TOKEN_SAMPLES
from engines.scheduler import DecodeStep, PrefillStep, Scheduler, WindowStep
from engines.scheduler.policy import Candidate, DeadlinePolicy, StepKind, Urgency
from engines.scheduler.scheduler import Occupancy
from engines.scheduler.step import SlotReleased, Step, UtteranceEnded, split
from tests.fakes.backend import VOICE, FakeModel, Fault, audio_of, fake_backend
from tests.fakes.engine_clock import MS, Listener, Simulation, make_scheduler, segments

EMPTY = Occupancy(0, 0, 0, 0)
SENTENCE = "a sentence of some forty characters in all"


def run_whole(*texts: str, seed: int = 0) -> Listener:
    simulation = Simulation()
    listener = simulation.speak(1, *texts, seed=seed)
    simulation.run()
    return listener


def kinds(steps: list[Step]) -> set[StepKind]:
    return {step.kind for step in steps}


# What is heard


@pytest.mark.parametrize("tokens", [1, 9, 10, 12, 13, 14, 25, 100])
def test_a_segment_is_heard_exactly_whatever_its_length(tokens: int) -> None:
    text = "x" * tokens
    listener = run_whole(text, seed=3)
    assert np.array_equal(listener.audio, audio_of(text, seed=3))
    assert listener.reason is FinishReason.COMPLETED


def test_segments_are_heard_in_order_and_the_last_chunk_of_each_says_so() -> None:
    texts = [SENTENCE, "b" * 17, "c"]
    listener = run_whole(*texts)
    assert np.array_equal(
        listener.audio, np.concatenate([audio_of(text, segment=i) for i, text in enumerate(texts)])
    )
    assert [chunk.segment_index for chunk in listener.chunks if chunk.ends_segment] == [0, 1, 2]


def test_chunks_follow_the_schedule() -> None:
    listener = run_whole("x" * 80)
    assert listener.chunk_samples == [tokens * TOKEN_SAMPLES for tokens in (10, 12, 16, 25, 17)]


def test_a_segment_that_stops_at_once_ends_with_a_chunk_of_no_samples() -> None:
    listener = run_whole(SENTENCE, "", "c" * 4)
    empty = [chunk for chunk in listener.chunks if not len(chunk.samples)]
    assert [(chunk.segment_index, chunk.ends_segment) for chunk in empty] == [(1, True)]
    assert np.array_equal(listener.audio, np.concatenate([audio_of(SENTENCE), audio_of("c" * 4, segment=2)]))


def test_an_utterance_of_nothing_but_empty_segments_completes() -> None:
    listener = run_whole("", "")
    assert listener.chunk_samples == [0, 0]
    assert listener.reason is FinishReason.COMPLETED


def test_an_utterance_without_text_completes_at_once() -> None:
    scheduler = make_scheduler()
    scheduler.admit(1, VOICE, 0, now_ns=0)
    assert scheduler.end_text(1) == [UtteranceEnded(1, FinishReason.COMPLETED)]
    assert scheduler.occupancy == EMPTY


def test_a_segment_that_never_stops_is_ended_at_the_limit() -> None:
    backend = fake_backend(FakeModel({"endless": Fault.NEVER_STOPS}), max_segment_tokens=50)
    simulation = Simulation(backend=backend)
    listener = simulation.speak(1, "endless", "next")
    simulation.run()
    assert np.array_equal(
        listener.audio, np.concatenate([audio_of("endless", tokens=50), audio_of("next", segment=1)])
    )
    assert simulation.scheduler.occupancy == EMPTY


def test_text_in_pieces_is_heard_as_text_at_once() -> None:
    texts = [SENTENCE, "b" * 30, "c" * 5]
    simulation = Simulation()
    listener = simulation.open(1)
    for index, text in enumerate(texts):
        simulation.scheduler.add_segments(1, segments(text, first_index=index))
        simulation.run()
    assert listener.reason is None
    simulation.take(simulation.scheduler.end_text(1))
    whole = run_whole(*texts)
    assert np.array_equal(listener.audio, whole.audio)
    assert listener.chunk_samples == whole.chunk_samples
    assert listener.reason is FinishReason.COMPLETED


def test_text_for_an_ended_utterance_is_ignored() -> None:
    scheduler = make_scheduler()
    scheduler.admit(1, VOICE, 0, now_ns=0)
    scheduler.cancel(1)
    scheduler.add_segments(1, segments("late"))
    scheduler.consumed(1, 100)
    assert scheduler.end_text(1) == []
    assert scheduler.cancel(1) == []
    assert scheduler.plan(0) is None
    assert scheduler.occupancy == EMPTY


def test_left_context_is_recomputed_and_not_heard_twice() -> None:
    simulation = Simulation(backend=fake_backend(left_context_tokens=7))
    listener = simulation.speak(1, "x" * 70)
    simulation.run()
    windows = [row for step in simulation.steps if isinstance(step, WindowStep) for row in step.rows]
    assert [window.left_context_tokens for window in windows] == [0, 7, 7, 7, 7]
    assert np.array_equal(listener.audio, audio_of("x" * 70))


# Whoever shares the batch


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 3), st.integers(1, 6), st.integers(2, 40))
def test_who_shares_the_batch_changes_no_sample_and_no_chunk(
    shuffle: int, prefill_rows: int, window_rows: int, token_rows: int
) -> None:
    backend = fake_backend(
        max_prefill_rows=prefill_rows, max_window_rows=window_rows, max_token_rows=token_rows
    )
    simulation = Simulation(backend=backend)
    order = random.Random(shuffle)
    texts = {each: "w" * order.randrange(1, 60) + str(each) for each in range(30)}
    for each in order.sample(sorted(texts), len(texts)):
        simulation.speak_at(order.randrange(2_000) * MS, each, texts[each], "tail", seed=each)
    simulation.run()
    for each, text in texts.items():
        alone = run_whole(text, "tail", seed=each)
        assert np.array_equal(simulation.listeners[each].audio, alone.audio)
        assert simulation.listeners[each].chunk_samples == alone.chunk_samples


def test_an_utterance_sounds_the_same_alone_and_among_two_hundred() -> None:
    simulation = Simulation(backend=fake_backend(max_window_rows=32))
    for each in range(201):
        simulation.speak(each, f"utterance {each} says {'so ' * (each % 9)}", "and ends", seed=each)
    simulation.run()
    for each in (0, 100, 200):
        alone = run_whole(f"utterance {each} says {'so ' * (each % 9)}", "and ends", seed=each)
        assert np.array_equal(simulation.listeners[each].audio, alone.audio)
        assert simulation.listeners[each].chunk_samples == alone.chunk_samples


# Batches


def test_rows_of_a_step_never_exceed_its_limit_and_are_of_different_utterances() -> None:
    simulation = Simulation(backend=fake_backend(max_prefill_rows=3, max_window_rows=5, max_token_rows=16))
    for each in range(40):
        simulation.speak(each, SENTENCE)
    simulation.run()
    limit = {StepKind.PREFILL: 3, StepKind.WINDOW: 5, StepKind.DECODE: 16}
    most = dict.fromkeys(StepKind, 0)
    for step in simulation.steps:
        assert len({key.utterance_id for key in step.keys}) == len(step.rows) == len(step.keys)
        most[step.kind] = max(most[step.kind], len(step.rows))
    assert most == limit


def test_all_decoding_rows_share_a_step() -> None:
    simulation = Simulation(backend=fake_backend(max_prefill_rows=8))
    for each in range(8):
        simulation.speak(each, SENTENCE)
    first, second = simulation.step(), simulation.step()
    assert first
    assert second
    assert [(step.kind, len(step.rows)) for step in simulation.steps] == [
        (StepKind.PREFILL, 8),
        (StepKind.DECODE, 8),
    ]


def test_a_prefill_waits_for_a_slot() -> None:
    simulation = Simulation(backend=fake_backend(max_token_rows=2, max_prefill_rows=4))
    for each in range(3):
        simulation.speak(each, SENTENCE)
    simulation.run(until_ns=1)
    assert simulation.scheduler.occupancy == Occupancy(3, 2, 1, 0)
    started_after = 0
    while simulation.scheduler.occupancy.waiting_segments:
        assert simulation.scheduler.occupancy.slots_in_use <= 2
        assert simulation.step()
        started_after += 1
    assert started_after > len(SENTENCE)
    simulation.run()
    assert [listener.reason for listener in simulation.listeners.values()] == [FinishReason.COMPLETED] * 3


def test_with_more_work_than_rows_the_most_urgent_go_first() -> None:
    scheduler = make_scheduler(fake_backend(max_prefill_rows=2))
    for utterance_id, arrived_ns in ((1, 40), (2, 10), (3, 30), (4, 20)):
        scheduler.admit(utterance_id, VOICE, 0, arrived_ns)
        scheduler.add_segments(utterance_id, segments(SENTENCE))
    step = scheduler.plan(now_ns=50)
    assert step is not None
    assert [key.utterance_id for key in step.keys] == [2, 4]


def test_calls_with_enough_audio_take_turns() -> None:
    backend = fake_backend(max_window_rows=1)
    scheduler = make_scheduler(backend, DeadlinePolicy(lead_ns=1), max_unread_samples=TOKEN_SAMPLES)
    simulation = Simulation(scheduler, backend)
    for each in (1, 2):
        simulation.speak(each, "x" * 200, reads=False)
    simulation.run()
    before = len(simulation.steps)
    for each in (1, 2):  # both have tokens for several windows, and now room for them
        scheduler.consumed(each, 200 * TOKEN_SAMPLES)
    simulation.now_ns = 0  # long before either runs dry
    while simulation.step():
        pass
    windows = [step for step in simulation.steps[before:] if isinstance(step, WindowStep)]
    assert [step.keys[0].utterance_id for step in windows[:6]] == [1, 2, 1, 2, 1, 2]


def test_one_row_of_an_utterance_decodes_at_a_time() -> None:
    simulation = Simulation()
    simulation.speak(1, SENTENCE, SENTENCE, SENTENCE)
    while simulation.step():
        assert simulation.scheduler.occupancy.slots_in_use <= 1


# No room


def test_a_full_scheduler_refuses_and_those_in_go_on() -> None:
    simulation = Simulation(make_scheduler(max_utterances=2))
    listeners = [simulation.speak(1, SENTENCE), simulation.speak(2, SENTENCE)]
    assert simulation.scheduler.admit(3, VOICE, 0, now_ns=0) is False
    simulation.run()
    assert [listener.reason for listener in listeners] == [FinishReason.COMPLETED] * 2
    assert simulation.scheduler.admit(3, VOICE, 0, now_ns=0) is True


def test_admitting_an_utterance_twice_is_a_bug() -> None:
    scheduler = make_scheduler()
    scheduler.admit(1, VOICE, 0, now_ns=0)
    with pytest.raises(AssertionError, match="utterance 1 is admitted twice"):
        scheduler.admit(1, VOICE, 0, now_ns=0)


def test_room_too_small_for_a_window_is_a_bug_and_not_a_silence() -> None:
    with pytest.raises(AssertionError, match="28 tokens"):
        make_scheduler(max_unspoken_tokens=27)


# A reader that stops


def test_a_reader_that_stops_stops_its_lanes_at_the_bounds_and_nobody_elses() -> None:
    simulation = Simulation(make_scheduler(max_unread_samples=SAMPLE_RATE_HZ, max_unspoken_tokens=50))
    stopped = simulation.speak(1, "s" * 900, reads=False)
    others = [simulation.speak(each, "o" * 300, seed=each) for each in range(2, 12)]
    simulation.run()
    # The bound is reached within the second chunk of 25 tokens, and no chunk follows it.
    assert stopped.chunk_samples == [tokens * TOKEN_SAMPLES for tokens in (10, 12, 16)]
    assert stopped.reason is None
    decoded = sum(
        1 for step in simulation.steps for key in step.keys if is_token_step(step, key.utterance_id)
    )
    assert decoded == 38 + 50  # spoken, and ahead of its audio
    assert [listener.reason for listener in others] == [FinishReason.COMPLETED] * 10
    assert not any(listener.gaps_ns for listener in others)


def is_token_step(step: Step, utterance_id: int) -> bool:
    return utterance_id == 1 and not isinstance(step, WindowStep)


def test_a_reader_that_comes_back_is_served_to_the_end() -> None:
    simulation = Simulation(make_scheduler(max_unread_samples=SAMPLE_RATE_HZ))
    listener = simulation.speak(1, "s" * 200, reads=False)
    simulation.run()
    listener.reads = True
    simulation.scheduler.consumed(1, sum(listener.chunk_samples))
    simulation.run()
    assert listener.reason is FinishReason.COMPLETED
    assert np.array_equal(listener.audio, audio_of("s" * 200))


def test_a_reader_that_stops_can_be_cancelled() -> None:
    simulation = Simulation(make_scheduler(max_unread_samples=SAMPLE_RATE_HZ))
    listener = simulation.speak(1, "s" * 900, reads=False)
    simulation.run()
    simulation.take(simulation.scheduler.cancel(1))
    assert listener.reason is FinishReason.CANCELLED
    assert simulation.scheduler.occupancy == EMPTY


# Cancellation, at every stage


def before_text(simulation: Simulation) -> list[Step]:
    simulation.open(1)
    return []


def waiting(simulation: Simulation) -> list[Step]:
    simulation.speak(1, SENTENCE, SENTENCE)
    return []


def in_flight(kind: StepKind) -> Callable[[Simulation], list[Step]]:
    def reach(simulation: Simulation) -> list[Step]:
        simulation.speak(1, SENTENCE, SENTENCE)
        while (step := simulation.scheduler.plan(0)) is not None and step.kind is not kind:
            simulation.take(simulation.commit(step))
        assert step is not None
        return [step]

    return reach


def landed(kind: StepKind) -> Callable[[Simulation], list[Step]]:
    def reach(simulation: Simulation) -> list[Step]:
        for step in in_flight(kind)(simulation):
            simulation.take(simulation.commit(step))
        return []

    return reach


def window_ready(simulation: Simulation) -> list[Step]:
    simulation.speak(1, SENTENCE, SENTENCE)
    while sum(isinstance(step, DecodeStep) for step in simulation.steps) < 12:
        simulation.step()
    return []


def decode_and_window_in_flight(simulation: Simulation) -> list[Step]:
    window_ready(simulation)
    steps = [simulation.scheduler.plan(0), simulation.scheduler.plan(0)]
    assert [step.kind for step in steps if step] == [StepKind.WINDOW, StepKind.DECODE]
    return [step for step in steps if step]


def window_in_flight_of_one_segment_and_prefill_of_the_next(simulation: Simulation) -> list[Step]:
    simulation.speak(1, "short", SENTENCE)
    while True:
        step = simulation.scheduler.plan(0)
        assert step is not None
        if isinstance(step, WindowStep):
            prefill = simulation.scheduler.plan(0)
            assert isinstance(prefill, PrefillStep)
            return [step, prefill]
        simulation.take(simulation.commit(step))


def between_segments(simulation: Simulation) -> list[Step]:
    listener = simulation.open(1)
    simulation.scheduler.add_segments(1, segments(SENTENCE))
    simulation.run()
    assert listener.chunks[-1].ends_segment
    return []


def after_the_end(simulation: Simulation) -> list[Step]:
    simulation.speak(1, SENTENCE)
    simulation.run()
    return []


STAGES = {
    "before text": before_text,
    "waiting": waiting,
    "prefill in flight": in_flight(StepKind.PREFILL),
    "prefilled": landed(StepKind.PREFILL),
    "decode in flight": in_flight(StepKind.DECODE),
    "decoding": landed(StepKind.DECODE),
    "window ready": window_ready,
    "window in flight": in_flight(StepKind.WINDOW),
    "heard": landed(StepKind.WINDOW),
    "decode and window in flight": decode_and_window_in_flight,
    "two segments in flight": window_in_flight_of_one_segment_and_prefill_of_the_next,
    "between segments": between_segments,
    "after the end": after_the_end,
}


@pytest.fixture(params=["in order", "backwards"])
def landing(request: pytest.FixtureRequest) -> Callable[[list[Step]], list[Step]]:
    return list if request.param == "in order" else lambda steps: steps[::-1]


@pytest.mark.parametrize("outcome", ["result", "failure"])
@pytest.mark.parametrize("stage", STAGES)
def test_cancelled_at_any_stage_it_ends_once_and_leaves_nothing(
    stage: str, outcome: str, landing: Callable[[list[Step]], list[Step]]
) -> None:
    model = FakeModel()
    simulation = Simulation(backend=fake_backend(model))
    steps = STAGES[stage](simulation)
    listener = simulation.listeners[1]
    was_over = listener.ended is not None
    chunks_before = len(listener.chunks)
    simulation.take(simulation.scheduler.cancel(1))
    assert simulation.scheduler.occupancy.utterances == 0
    for step in landing(steps):
        events = (
            simulation.commit(step) if outcome == "result" else simulation.scheduler.fail(step, "it failed")
        )
        assert {type(event) for event in events} <= {SlotReleased}
        simulation.take(events)
    assert listener.reason is (FinishReason.COMPLETED if was_over else FinishReason.CANCELLED)
    assert len(listener.chunks) == chunks_before
    assert simulation.scheduler.occupancy == EMPTY
    assert model.held == {}
    assert simulation.scheduler.plan(0) is None


@pytest.mark.parametrize("stage", STAGES)
def test_a_slot_is_not_given_back_while_a_step_uses_it(stage: str) -> None:
    simulation = Simulation(backend=fake_backend(max_token_rows=1))
    steps = STAGES[stage](simulation)
    simulation.take(simulation.scheduler.cancel(1))
    busy = any(not isinstance(step, WindowStep) for step in steps)
    assert simulation.scheduler.occupancy.slots_in_use == (1 if busy else 0)
    simulation.speak(2, SENTENCE)
    started = simulation.scheduler.plan(0)
    assert (started is None) is busy


def test_a_cancelled_utterance_leaves_others_in_its_step_unharmed() -> None:
    simulation = Simulation()
    kept, _ = simulation.speak(1, SENTENCE), simulation.speak(2, SENTENCE)
    for _ in range(30):
        step = simulation.scheduler.plan(simulation.now_ns)
        assert step is not None
        simulation.take(simulation.scheduler.cancel(2))
        simulation.take(simulation.commit(step))
    simulation.run()
    assert np.array_equal(kept.audio, audio_of(SENTENCE))
    assert simulation.listeners[2].reason is FinishReason.CANCELLED


# Failures


@pytest.mark.parametrize("kind", list(StepKind), ids=lambda kind: kind.name.lower())
def test_a_failed_step_ends_its_utterances_as_failed_and_no_others(kind: StepKind) -> None:
    model = FakeModel()
    simulation = Simulation(backend=fake_backend(model))
    steps = in_flight(kind)(simulation)
    other = simulation.speak(2, SENTENCE)
    for step in steps:
        simulation.take(simulation.scheduler.fail(step, "the GPU is on fire"))
    assert simulation.listeners[1].ended == UtteranceEnded(1, FinishReason.FAILED, "the GPU is on fire")
    simulation.run()
    assert other.reason is FinishReason.COMPLETED
    assert simulation.scheduler.occupancy == EMPTY


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault.BAD_FIRST_TOKEN, f"speech token {STOP_TOKEN + 1} is out of range"),
        (Fault.BAD_TOKEN, f"speech token {STOP_TOKEN + 1} is out of range"),
        (Fault.NAN_AUDIO, "the synthesiser returned samples that are not finite"),
        (Fault.LONG_AUDIO, "the synthesiser returned samples of shape (9601,) for 10 tokens"),
        (Fault.SHORT_AUDIO, "the synthesiser returned samples of shape (9599,) for 10 tokens"),
    ],
)
def test_a_senseless_result_fails_its_utterance_alone(fault: Fault, says: str) -> None:
    model = FakeModel({SENTENCE: fault})
    simulation = Simulation(backend=fake_backend(model))
    spoilt, other = simulation.speak(1, SENTENCE), simulation.speak(2, "good " * 10)
    simulation.run()
    assert spoilt.ended == UtteranceEnded(1, FinishReason.FAILED, says)
    assert other.reason is FinishReason.COMPLETED
    assert np.array_equal(other.audio, audio_of("good " * 10))
    assert (simulation.scheduler.occupancy, model.held) == (EMPTY, {})


def test_a_last_chunk_may_be_shorter_than_its_tokens() -> None:
    simulation = Simulation(backend=fake_backend(FakeModel({"short": Fault.SHORT_AUDIO})))
    listener = simulation.speak(1, "short")
    simulation.run()
    assert listener.chunk_samples == [5 * TOKEN_SAMPLES - 1]
    assert listener.reason is FinishReason.COMPLETED


def test_a_window_that_fails_while_a_decode_is_in_flight_keeps_the_slot_until_it_lands() -> None:
    simulation = Simulation()
    window, decode = decode_and_window_in_flight(simulation)
    simulation.take(simulation.scheduler.fail(window, "no audio"))
    assert simulation.scheduler.occupancy == Occupancy(0, 1, 0, 1)
    assert [type(event) for event in simulation.commit(decode)] == [SlotReleased]
    assert simulation.scheduler.occupancy == EMPTY


def test_a_split_step_is_the_same_work_one_row_a_step() -> None:
    simulation = Simulation()
    for each in range(3):
        simulation.speak(each, SENTENCE)
    for _ in range(15):
        step = simulation.scheduler.plan(simulation.now_ns)
        assert step is not None
        for alone in split(step):
            assert (type(alone), len(alone.rows)) == (type(step), 1)
            simulation.take(simulation.commit(alone))
    simulation.run()
    assert all(np.array_equal(each.audio, audio_of(SENTENCE)) for each in simulation.listeners.values())


# Under load


class FirstComeFirstServed(DeadlinePolicy):
    """What the ranking must beat: calls not yet heard before all others."""

    def urgency(self, work: Candidate, now_ns: int) -> Urgency:
        return Urgency.UNHEARD if work.runs_dry_ns is None else Urgency.TURN


CALLS, ARRIVALS = 40, 200


def burst(policy: DeadlinePolicy) -> Simulation:
    """Calls under way with a second of audio each, then five times as many within 0.4 s."""
    backend = fake_backend(max_prefill_rows=2, max_window_rows=16)
    scheduler = make_scheduler(backend, policy, max_unspoken_tokens=30, max_unread_samples=SAMPLE_RATE_HZ)
    simulation = Simulation(scheduler, backend)
    for each in range(CALLS):
        simulation.speak_at(each * 40 * MS, each, *[SENTENCE * 4] * 3)
    for each in range(ARRIVALS):
        simulation.speak_at((2_600 + 2 * each) * MS, CALLS + each, SENTENCE)
    simulation.run()
    return simulation


def gaps(simulation: Simulation) -> int:
    return sum(len(listener.gaps_ns) for listener in simulation.listeners.values())


def longest_wait_ns(simulation: Simulation) -> int:
    waits_ns = [
        listener.first_audio_ns - listener.asked_ns
        for listener in simulation.listeners.values()
        if listener.first_audio_ns is not None
    ]
    assert len(waits_ns) == CALLS + ARRIVALS
    return max(waits_ns)


def test_no_listener_runs_dry_while_arrivals_burst_and_no_arrival_waits_for_their_leads() -> None:
    simulation = burst(DeadlinePolicy(500 * MS))
    assert gaps(simulation) == 0
    assert longest_wait_ns(simulation) < 1_500 * MS
    assert all(listener.reason is FinishReason.COMPLETED for listener in simulation.listeners.values())


def test_without_deadlines_the_same_burst_makes_listeners_run_dry() -> None:
    assert gaps(burst(FirstComeFirstServed(500 * MS))) > 10


def test_a_new_call_is_heard_soon_while_others_have_a_lead() -> None:
    simulation = Simulation()
    for each in range(40):
        simulation.speak(each, *[SENTENCE * 4] * 3)
    simulation.run(until_ns=6_000 * MS)
    listener = simulation.speak(99, SENTENCE)
    simulation.run()
    assert listener.first_audio_ns is not None
    waited_ns = listener.first_audio_ns - listener.asked_ns
    # A prefill, 12 decodes and a window of its own are 116 ms; some steps of others come between.
    assert waited_ns < 300 * MS
    assert gaps(simulation) == 0


def test_occupancy_shows_what_is_held() -> None:
    scheduler = make_scheduler()
    scheduler.admit(1, VOICE, 0, now_ns=0)
    scheduler.add_segments(1, segments("one", "two"))
    assert scheduler.occupancy == Occupancy(1, 0, 2, 0)
    step = scheduler.plan(0)
    assert isinstance(step, PrefillStep)
    assert scheduler.occupancy == Occupancy(1, 1, 1, 0)
    scheduler.cancel(1)
    assert scheduler.occupancy == Occupancy(0, 1, 0, 1)
    scheduler.commit_prefill(step, fake_backend().tokens.start(step.rows))
    assert scheduler.occupancy == replace(EMPTY)


def test_nothing_to_do_is_none() -> None:
    scheduler: Scheduler = make_scheduler()
    assert scheduler.plan(0) is None
    scheduler.admit(1, VOICE, 0, now_ns=0)
    assert scheduler.plan(0) is None
