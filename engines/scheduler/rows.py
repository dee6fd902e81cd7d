"""Rows of a step, made from an utterance's lanes; making one marks its lane as in flight."""

from engines.backends.base import SynthWindow, TokenRow, TokenStart
from engines.scheduler.chunking import ChunkSchedule
from engines.scheduler.utterance import SegmentLanes, TokenPhase, Utterance


def token_lane(utterance: Utterance) -> SegmentLanes:
    lanes = utterance.token_lane
    assert lanes is not None, "a token step is planned only while text is left"
    return lanes


def token_start(utterance: Utterance, slot: int) -> TokenStart:
    lanes = token_lane(utterance)
    lanes.enter(TokenPhase.STARTING)
    lanes.slot = slot
    return TokenStart(slot, lanes.segment.spoken, utterance.voice, utterance.seed)


def token_row(utterance: Utterance) -> TokenRow:
    lanes = token_lane(utterance)
    assert lanes.slot is not None, "a decoding row holds a slot"
    lanes.decode_in_flight = True
    return TokenRow(lanes.slot, lanes.token_state, lanes.last_token, lanes.decoded, utterance.seed)


def synth_window(utterance: Utterance, schedule: ChunkSchedule) -> SynthWindow:
    lanes = utterance.segments[0]
    plan = lanes.next_window(schedule)
    assert plan is not None, "a window is planned only when it is ready"
    lanes.window_in_flight = True
    return SynthWindow(
        voice=utterance.voice,
        seed=utterance.seed,
        tokens=tuple(lanes.tokens[plan.first_token : plan.end_token]),
        first_token=plan.first_token,
        left_context_tokens=plan.left_context_tokens,
        new_tokens=plan.new_tokens,
        final=plan.final,
        token_state=lanes.token_state,
        carry=lanes.carry,
    )
