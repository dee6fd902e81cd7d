"""When speech has run on: pure rules over a segment's codes, and its budget of them.

A language model that misses its stop goes on until something stops it: with silence, or with the same
few codes over and over. Complaints and measurements of the published model: 53 of 187 texts ran into
20 s of silence and more, while texts that ended well took 6.7 codes a text id, and at most 16.
"""

from collections.abc import Sequence

from engines.rates import TOKEN_HZ

MAX_SILENCE_TOKENS = 2 * TOKEN_HZ
"""No pause between two words is longer."""

MAX_CYCLE_TOKENS = 16
MAX_CYCLING_TOKENS = 3 * TOKEN_HZ
"""No voice makes up to 0.64 s of sound again and again, code for code, for 3 s."""

BASE_TOKENS = 100
TOKENS_PER_TEXT_ID = 25
TOKENS_PER_TAG = 100


def budget_tokens(text_ids: int, tags: int) -> int:
    """How many codes a text may take: far more than any has needed. ``tags`` are among its ids."""
    return BASE_TOKENS + TOKENS_PER_TEXT_ID * text_ids + TOKENS_PER_TAG * tags


def run_on(codes: Sequence[int], silence_code: int) -> str | None:
    """Why ``codes`` should end here, or None; to be asked after every code."""
    silent = codes[-(MAX_SILENCE_TOKENS + 1) :]
    if len(silent) > MAX_SILENCE_TOKENS and all(code == silence_code for code in silent):
        return "silence"
    tail = codes[-(MAX_CYCLING_TOKENS + 1) :]
    if len(tail) > MAX_CYCLING_TOKENS and any(_cycles(tail, period) for period in _PERIODS):
        return "repetition"
    return None


_PERIODS = range(1, MAX_CYCLE_TOKENS + 1)


def _cycles(tail: Sequence[int], period: int) -> bool:
    return tail[-1] == tail[-1 - period] and tail[period:] == tail[:-period]
