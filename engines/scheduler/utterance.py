"""The only mutable records of the engine: an utterance and the two lanes of its segments."""

from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from engines.backends.base import Voice
from engines.contract import SpokenSegment
from engines.rates import SPEECH_CODES, START_TOKEN, samples_to_ns
from engines.scheduler.chunking import ChunkSchedule, WindowPlan, is_ready, ready_window
from engines.scheduler.policy import StepKind


class TokenPhase(Enum):
    """Where a segment's token lane stands."""

    WAITING = "waiting"  # for a slot and its prefill
    STARTING = "starting"  # its prefill is in flight
    DECODING = "decoding"
    ENDED = "ended"


_LEGAL = {
    TokenPhase.WAITING: {TokenPhase.STARTING},
    TokenPhase.STARTING: {TokenPhase.DECODING},
    TokenPhase.DECODING: {TokenPhase.ENDED},
    TokenPhase.ENDED: set[TokenPhase](),
}


@dataclass(slots=True)
class SegmentLanes:
    """A segment on its way: tokens (T3) run ahead, audio (S3Gen) follows."""

    segment: SpokenSegment
    needed_tokens: int  # unspoken ones that make its next window ready
    token_phase: TokenPhase = TokenPhase.WAITING
    slot: int | None = None
    token_state: Any = None
    tokens: list[int] = field(default_factory=list)  # speech codes only
    last_token: int = START_TOKEN  # fed back, code or not
    decoded: int = 0
    decode_in_flight: bool = False
    emitted_tokens: int = 0
    windows: int = 0
    window_in_flight: bool = False
    carry: Any = None

    def enter(self, phase: TokenPhase) -> None:
        if phase not in _LEGAL[self.token_phase]:
            raise AssertionError(f"token lane cannot go from {self.token_phase.value} to {phase.value}")
        self.token_phase = phase

    def land(self, kind: StepKind) -> None:
        """A step of this segment is back, whatever it brought."""
        if kind is StepKind.DECODE:
            self.decode_in_flight = False
        elif kind is StepKind.WINDOW:
            self.window_in_flight = False
        else:
            self.enter(TokenPhase.DECODING)

    @property
    def token_step_in_flight(self) -> bool:
        return self.token_phase is TokenPhase.STARTING or self.decode_in_flight

    @property
    def in_flight(self) -> bool:
        return self.token_step_in_flight or self.window_in_flight

    @property
    def unspoken_tokens(self) -> int:
        return len(self.tokens) - self.emitted_tokens

    @property
    def spoken(self) -> bool:
        """Every token there will ever be has become audio."""
        ended = self.token_phase is TokenPhase.ENDED
        return ended and not self.window_in_flight and not self.unspoken_tokens

    @property
    def missing_tokens(self) -> int:
        """Decodes until the next window is ready, if the segment goes on that long."""
        return max(1, self.needed_tokens - self.unspoken_tokens)

    @property
    def window_ready(self) -> bool:
        ended = self.token_phase is TokenPhase.ENDED
        return not self.window_in_flight and is_ready(self.unspoken_tokens, self.needed_tokens, ended)

    def take_token(self, token: int) -> None:
        """A decoded token; those beyond the codebook (start, stop) steer and are never spoken."""
        self.decoded += 1
        self.last_token = token
        if token < SPEECH_CODES:
            self.tokens.append(token)

    def take_audio(self, new_tokens: int, carry: Any, schedule: ChunkSchedule) -> None:
        """A window's tokens have become audio."""
        self.emitted_tokens += new_tokens
        self.windows += 1
        self.needed_tokens = schedule.needed(self.windows)
        self.carry = carry

    def next_window(self, schedule: ChunkSchedule) -> WindowPlan | None:
        """The window that could be synthesised now; None while tokens are missing."""
        ended = self.token_phase is TokenPhase.ENDED
        return ready_window(schedule, len(self.tokens), self.emitted_tokens, self.windows, ended)


@dataclass(slots=True)
class Utterance:
    """One speak request under way."""

    utterance_id: int
    voice: Voice
    seed: int
    arrived_ns: int
    segments: deque[SegmentLanes] = field(default_factory=deque)
    text_ended: bool = False
    published_samples: int = 0
    consumed_samples: int = 0
    runs_dry_ns: int | None = None  # when the listener has heard all that was published
    last_served: int = 0  # number of the step that served it last

    @property
    def unread_samples(self) -> int:
        """Published, and still in the stream: the reader has not come for it."""
        return self.published_samples - self.consumed_samples

    @property
    def unspoken_tokens(self) -> int:
        """Decoded tokens that no window has spoken."""
        unspoken_tokens = 0
        for lanes in self.segments:
            unspoken_tokens += lanes.unspoken_tokens
            if lanes.token_phase is not TokenPhase.ENDED:
                break  # no later segment has tokens
        return unspoken_tokens

    @property
    def token_lane(self) -> SegmentLanes | None:
        """The segment whose tokens are next: at most one row of an utterance decodes."""
        for lanes in self.segments:
            if lanes.token_phase is not TokenPhase.ENDED:
                return lanes
        return None

    @property
    def complete(self) -> bool:
        return self.text_ended and not self.segments

    def find(self, segment_index: int) -> SegmentLanes:
        return next(lanes for lanes in self.segments if lanes.segment.index == segment_index)

    def publish(self, samples: int, now_ns: int) -> int:
        """Account for new audio; returns its first sample's position.

        A listener who ran dry starts again now: the deadline moves with the gap.
        """
        first_sample = self.published_samples
        self.published_samples += samples
        start_ns = now_ns if self.runs_dry_ns is None else max(now_ns, self.runs_dry_ns)
        self.runs_dry_ns = start_ns + samples_to_ns(samples)
        return first_sample
