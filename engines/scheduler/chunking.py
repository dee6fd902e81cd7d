"""Pure chunk planning: when an audio lane has a window ready, and which tokens are in it.

The windows depend on the tokens alone, never on when they are asked for or on who shares the
batch, so the same request gives the same audio. A small first chunk is heard soon; later ones
grow, because each window recomputes its left context and larger windows waste less.
"""

from dataclasses import dataclass

from engines.rates import LOOKAHEAD_TOKENS, MAX_LOOKAHEAD_TOKENS


@dataclass(frozen=True, slots=True)
class ChunkSchedule:
    """New tokens of the first, second, ... window of a segment; the last entry repeats."""

    new_tokens: tuple[int, ...] = (10, 12, 16, 25)
    left_context_tokens: int = 0
    lookahead_tokens: int = LOOKAHEAD_TOKENS

    def __post_init__(self) -> None:
        # A window goes out with a later token known, so that the last one of a segment is not empty.
        in_range = 1 <= self.lookahead_tokens <= MAX_LOOKAHEAD_TOKENS
        assert in_range, f"lookahead is 1 to {MAX_LOOKAHEAD_TOKENS} tokens, not {self.lookahead_tokens}"

    def wanted(self, window_index: int) -> int:
        return self.new_tokens[min(window_index, len(self.new_tokens) - 1)]

    def needed(self, window_index: int) -> int:
        """Unspoken tokens that make a window ready while more may come: its own and its lookahead."""
        return self.wanted(window_index) + self.lookahead_tokens


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """Token positions of one window: [first_token, end_token) holds context, new and lookahead."""

    first_token: int
    end_token: int
    left_context_tokens: int
    new_tokens: int
    final: bool


def is_ready(unspoken_tokens: int, needed_tokens: int, tokens_ended: bool) -> bool:
    """Whether a segment's next window can go out."""
    return unspoken_tokens >= needed_tokens or (tokens_ended and unspoken_tokens > 0)


def ready_window(
    schedule: ChunkSchedule, known_tokens: int, emitted_tokens: int, window_index: int, tokens_ended: bool
) -> WindowPlan | None:
    """The next window of a segment, or None while its tokens are not there yet.

    Knowing that the tokens have ended changes no window that was ready without knowing it; it
    only sends the rest out whole, which the lookahead keeps from being too short to be worth a
    step. No window is longer than left context, wanted tokens and lookahead.
    """
    unspoken_tokens = known_tokens - emitted_tokens
    needed_tokens = schedule.needed(window_index)
    if not is_ready(unspoken_tokens, needed_tokens, tokens_ended):
        return None
    left = min(schedule.left_context_tokens, emitted_tokens)
    first_token = emitted_tokens - left
    if unspoken_tokens < needed_tokens:
        return WindowPlan(first_token, known_tokens, left, unspoken_tokens, final=True)
    return WindowPlan(
        first_token, emitted_tokens + needed_tokens, left, schedule.wanted(window_index), final=False
    )
