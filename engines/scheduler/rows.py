"""Rows of a step, made from an utterance's lanes; making one marks its lane as in flight."""

import numpy as np

from engines.backends.base import SynthWindow, TokenRow, TokenStart
from engines.contract import Samples
from engines.rates import TOKEN_SAMPLES
from engines.scheduler.chunking import ChunkSchedule
from engines.scheduler.utterance import SegmentLanes, TokenPhase, Utterance

_SEED_STRIDE = 0x9E3779B97F4A7C15
"""2^64 over the golden ratio (Weyl sequence): segments of one seed get keys far apart."""


def segment_seed(seed: int, segment_index: int) -> int:
    """Positions count within a segment, so each has a seed of its own: no two hear the same noise."""
    return (seed + segment_index * _SEED_STRIDE) % (1 << 64)


def token_start(utterance: Utterance, lanes: SegmentLanes, slot: int) -> TokenStart:
    lanes.enter(TokenPhase.STARTING)
    lanes.slot = slot
    return TokenStart(
        slot, lanes.segment.spoken, utterance.voice, segment_seed(utterance.seed, lanes.segment.index)
    )


def token_row(utterance: Utterance, lanes: SegmentLanes) -> TokenRow:
    assert lanes.slot is not None, "a decoding row holds a slot"
    lanes.decode_in_flight = True
    return TokenRow(
        lanes.slot,
        lanes.token_state,
        lanes.last_token,
        lanes.decoded,
        segment_seed(utterance.seed, lanes.segment.index),
    )


def synth_window(utterance: Utterance, lanes: SegmentLanes, schedule: ChunkSchedule) -> SynthWindow:
    plan = lanes.next_window(schedule)
    assert plan is not None, "a window is planned only when it is ready"
    lanes.window_in_flight = True
    return SynthWindow(
        voice=utterance.voice,
        seed=segment_seed(utterance.seed, lanes.segment.index),
        tokens=tuple(lanes.tokens[plan.first_token : plan.end_token]),
        first_token=plan.first_token,
        left_context_tokens=plan.left_context_tokens,
        new_tokens=plan.new_tokens,
        final=plan.final,
        token_state=lanes.token_state,
        carry=lanes.carry,
    )


def audio_fault(window: SynthWindow, samples: Samples) -> str:
    """What is wrong with a window's audio; empty when it is fit to be heard."""
    most = window.new_tokens * TOKEN_SAMPLES
    if samples.ndim != 1 or len(samples) > most or (len(samples) < most and not window.final):
        return f"the synthesiser returned samples of shape {samples.shape} for {window.new_tokens} tokens"
    if not np.isfinite(samples).all():
        return "the synthesiser returned samples that are not finite"
    return ""
