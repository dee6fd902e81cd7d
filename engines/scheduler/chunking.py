"""Pure chunk planning: when an audio lane has a window ready, and which tokens are in it.

The schedule depends on the tokens alone, never on timing or on who shares the batch, so the same
request gives the same audio. A small first chunk is heard soon; later ones grow, because each
window recomputes its left context and larger windows waste less.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChunkSchedule:
    """New tokens of the first, second, ... window of a segment; the last entry repeats."""

    new_tokens: tuple[int, ...] = (10, 12, 16, 25)
    left_context_tokens: int = 0
    lookahead_tokens: int = 3

    def wanted(self, window_index: int) -> int:
        return self.new_tokens[min(window_index, len(self.new_tokens) - 1)]


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """Token positions of one window: [first_token, end_token) holds context, new and lookahead."""

    first_token: int
    end_token: int
    left_context_tokens: int
    new_tokens: int
    final: bool


def ready_window(
    schedule: ChunkSchedule, known_tokens: int, emitted_tokens: int, window_index: int, tokens_ended: bool
) -> WindowPlan | None:
    """The next window of a segment, or None while its tokens are not there yet.

    Once the tokens have ended, a rest of at most one and a half chunks goes out whole: no chunk
    is left that would be too short to be worth its step.
    """
    wanted = schedule.wanted(window_index)
    remaining = known_tokens - emitted_tokens
    if tokens_ended and 2 * remaining <= 3 * wanted:
        return _window(schedule, emitted_tokens, remaining, end_token=known_tokens, final=True)
    if remaining < wanted + schedule.lookahead_tokens:
        if not tokens_ended:
            return None
        # The rest is longer than one and a half chunks, yet the full lookahead is not there: the
        # segment's last tokens stand in for it, as they do in a one-shot rendering.
        return _window(schedule, emitted_tokens, wanted, end_token=known_tokens, final=False)
    end_token = emitted_tokens + wanted + schedule.lookahead_tokens
    return _window(schedule, emitted_tokens, wanted, end_token, final=False)


def _window(
    schedule: ChunkSchedule, emitted_tokens: int, new_tokens: int, end_token: int, final: bool
) -> WindowPlan:
    left = min(schedule.left_context_tokens, emitted_tokens)
    return WindowPlan(emitted_tokens - left, end_token, left, new_tokens, final)
