"""The mutable records: phases and their legal moves, and what an utterance knows of itself."""

from itertools import product

import pytest

from engines.contract import SpokenSegment, TextSpan
from engines.rates import SAMPLE_RATE_HZ, SPEECH_CODES, START_TOKEN, STOP_TOKEN
from engines.scheduler.chunking import ChunkSchedule
from engines.scheduler.policy import StepKind
from engines.scheduler.utterance import SegmentLanes, TokenPhase, Utterance
from tests.fakes.backend import VOICE

SCHEDULE = ChunkSchedule((10, 12), left_context_tokens=0, lookahead_tokens=3)
WAITING, STARTING, DECODING, ENDED = TokenPhase
LEGAL = {(WAITING, STARTING), (STARTING, DECODING), (DECODING, ENDED)}


def make_lanes(index: int = 0, tokens: int = 0, ended: bool = False) -> SegmentLanes:
    lanes = SegmentLanes(SpokenSegment(index, "text", TextSpan(0, 4)), SCHEDULE.needed(0))
    if tokens or ended:
        lanes.enter(STARTING)
        lanes.land(StepKind.PREFILL)
    for token in range(tokens):
        lanes.take_token(token)
    if ended:
        lanes.enter(ENDED)
    return lanes


def make_utterance(*segments: SegmentLanes) -> Utterance:
    utterance = Utterance(1, VOICE, seed=0, arrived_ns=0)
    utterance.segments.extend(segments)
    return utterance


@pytest.mark.parametrize(("here", "there"), [*product(TokenPhase, TokenPhase)])
def test_an_illegal_move_raises_with_both_names(here: TokenPhase, there: TokenPhase) -> None:
    lanes = make_lanes()
    lanes.token_phase = here
    if (here, there) in LEGAL:
        lanes.enter(there)
        assert lanes.token_phase is there
    else:
        with pytest.raises(AssertionError, match=f"from {here.value} to {there.value}"):
            lanes.enter(there)


def test_a_lane_is_in_flight_until_each_of_its_steps_has_landed() -> None:
    lanes = make_lanes(tokens=20)
    lanes.decode_in_flight = lanes.window_in_flight = True
    lanes.land(StepKind.WINDOW)
    assert (lanes.in_flight, lanes.token_step_in_flight) == (True, True)
    lanes.land(StepKind.DECODE)
    assert (lanes.in_flight, lanes.token_step_in_flight) == (False, False)


def test_a_prefill_in_flight_is_a_token_step_in_flight() -> None:
    lanes = make_lanes()
    lanes.enter(STARTING)
    assert lanes.token_step_in_flight
    lanes.land(StepKind.PREFILL)
    assert (lanes.token_phase, lanes.in_flight) == (DECODING, False)


def test_tokens_beyond_the_codebook_are_fed_back_and_never_spoken() -> None:
    lanes = make_lanes()
    for token in (SPEECH_CODES - 1, START_TOKEN, 0, STOP_TOKEN):
        lanes.take_token(token)
    assert lanes.tokens == [SPEECH_CODES - 1, 0]
    assert (lanes.decoded, lanes.last_token) == (4, STOP_TOKEN)


def test_missing_tokens_count_down_to_the_next_window_and_not_below_one() -> None:
    assert [make_lanes(tokens=tokens).missing_tokens for tokens in (0, 1, 12, 13, 30)] == [13, 12, 1, 1, 1]


def test_after_a_window_the_next_of_the_schedule_is_needed() -> None:
    lanes = make_lanes(tokens=13)
    lanes.take_audio(10, "carry", SCHEDULE)
    assert (lanes.needed_tokens, lanes.unspoken_tokens, lanes.missing_tokens) == (15, 3, 12)
    assert lanes.carry == "carry"


@pytest.mark.parametrize(
    ("tokens", "ended", "ready"),
    [(12, False, False), (13, False, True), (1, True, True), (0, True, False)],
)
def test_window_ready_agrees_with_the_window_planned(tokens: int, ended: bool, ready: bool) -> None:
    lanes = make_lanes(tokens=tokens, ended=ended)
    assert lanes.window_ready is ready
    assert (lanes.next_window(SCHEDULE) is not None) is ready


def test_no_window_is_ready_while_one_is_in_flight() -> None:
    lanes = make_lanes(tokens=40)
    lanes.window_in_flight = True
    assert not lanes.window_ready


def test_a_segment_is_spoken_when_its_tokens_have_ended_and_all_are_audio() -> None:
    decoding, unspoken, spoken, in_flight = (
        make_lanes(tokens=5),
        make_lanes(tokens=5, ended=True),
        make_lanes(tokens=5, ended=True),
        make_lanes(tokens=5, ended=True),
    )
    for lanes in (decoding, spoken, in_flight):
        lanes.take_audio(5, None, SCHEDULE)
    in_flight.window_in_flight = True
    assert [lanes.spoken for lanes in (decoding, unspoken, spoken, in_flight)] == [False, False, True, False]


def test_the_token_lane_is_the_first_segment_whose_tokens_have_not_ended() -> None:
    first, second, third = make_lanes(0, 5, ended=True), make_lanes(1), make_lanes(2)
    assert make_utterance(first, second, third).token_lane is second
    assert make_utterance(first).token_lane is None
    assert make_utterance().token_lane is None


def test_unspoken_tokens_add_up_over_segments() -> None:
    utterance = make_utterance(make_lanes(0, 5, ended=True), make_lanes(1, 7), make_lanes(2))
    assert utterance.unspoken_tokens == 12
    utterance.segments[0].take_audio(5, None, SCHEDULE)
    assert utterance.unspoken_tokens == 7


def test_published_audio_moves_the_deadline_by_how_long_it_sounds() -> None:
    utterance = make_utterance()
    assert utterance.runs_dry_ns is None
    assert utterance.publish(SAMPLE_RATE_HZ, now_ns=500) == 0
    assert utterance.publish(SAMPLE_RATE_HZ // 2, now_ns=600) == SAMPLE_RATE_HZ
    assert utterance.runs_dry_ns == 1_500_000_500


def test_a_listener_who_ran_dry_starts_again_now() -> None:
    utterance = make_utterance()
    utterance.publish(SAMPLE_RATE_HZ, now_ns=0)
    utterance.publish(SAMPLE_RATE_HZ, now_ns=5_000_000_000)
    assert utterance.runs_dry_ns == 6_000_000_000


def test_unread_audio_is_what_was_published_and_not_consumed() -> None:
    utterance = make_utterance()
    utterance.publish(1_000, now_ns=0)
    utterance.consumed_samples += 400
    assert utterance.unread_samples == 600


@pytest.mark.parametrize(
    ("text_ended", "lanes", "complete"),
    [(False, [], False), (True, [make_lanes()], False), (True, [], True)],
)
def test_an_utterance_is_complete_when_text_has_ended_and_no_segment_is_left(
    text_ended: bool, lanes: list[SegmentLanes], complete: bool
) -> None:
    utterance = make_utterance(*lanes)
    utterance.text_ended = text_ended
    assert utterance.complete is complete
