"""Speech that has run on is told by its codes alone."""

import random

import pytest

from engines.chatterbox.runon import (
    MAX_CYCLE_TOKENS,
    MAX_CYCLING_TOKENS,
    MAX_SILENCE_TOKENS,
    budget_tokens,
    run_on,
)
from engines.model import SILENCE_TOKEN


def speech(tokens: int) -> list[int]:
    return random.Random(1).sample(range(4_000), tokens)


def first_reason(codes: list[int], silence_code: int = SILENCE_TOKEN) -> tuple[int, str] | None:
    """At how many codes the first reason comes, asked after every code as it is said."""
    for said in range(len(codes) + 1):
        if reason := run_on(codes[:said], silence_code):
            return said, reason
    return None


@pytest.mark.parametrize("codes", [[], [7], speech(1_000), [SILENCE_TOKEN] * MAX_SILENCE_TOKENS])
def test_speech_and_pauses_go_on(codes: list[int]) -> None:
    assert first_reason(codes) is None


def test_a_silence_longer_than_any_pause_ends_it() -> None:
    codes = speech(30) + [SILENCE_TOKEN] * (MAX_SILENCE_TOKENS + 5)
    assert first_reason(codes) == (30 + MAX_SILENCE_TOKENS + 1, "silence")


def test_which_code_is_silence_is_the_models_to_say() -> None:
    codes = [5, *[0] * 60, *speech(30)]
    assert first_reason(codes, silence_code=0) == (1 + MAX_SILENCE_TOKENS + 1, "silence")
    assert first_reason(codes, silence_code=5) is None


def test_pauses_between_words_add_up_to_nothing() -> None:
    codes = [code for word in speech(40) for code in (word, *[SILENCE_TOKEN] * (MAX_SILENCE_TOKENS - 1))]
    # Words and pauses of the same lengths are no cycle: the words differ.
    assert first_reason(codes) is None


@pytest.mark.parametrize("period", [1, 2, 3, 7, MAX_CYCLE_TOKENS])
def test_the_same_codes_again_and_again_end_it(period: int) -> None:
    cycle = speech(period)
    codes = [5_000, 5_001, *cycle * (2 * MAX_CYCLING_TOKENS // period + 1)]
    assert first_reason(codes) == (2 + MAX_CYCLING_TOKENS + 1, "repetition")


def test_one_other_code_within_the_cycling_is_speech() -> None:
    codes = [3] * MAX_CYCLING_TOKENS + [4] + [3] * MAX_CYCLING_TOKENS
    assert first_reason(codes) is None


def test_a_longer_cycle_is_speech() -> None:
    assert first_reason(speech(MAX_CYCLE_TOKENS + 1) * 40) is None


@pytest.mark.parametrize(
    ("text_ids", "tags", "tokens"), [(0, 0, 100), (1, 0, 125), (10, 0, 350), (10, 2, 550), (1, 1, 225)]
)
def test_the_budget_grows_with_the_text_and_its_tags(text_ids: int, tags: int, tokens: int) -> None:
    assert budget_tokens(text_ids, tags) == tokens
