from random import Random

import pytest

from benchmarks.voice.words import SAME, Errors, compared, errors, word_error_rate


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The river rises, quickly!", "the river rises quickly"),
        ("twenty-two dollars", "twenty two dollars"),
        ("You've used it", "youve used it"),
        ("at ten a.m. or five p.m.", "at ten am or five pm"),
        ("at ten a m or five p m", "at ten am or five pm"),
        ("OK, Mr. Grey", "okay mister gray"),
        ("all right", "alright"),
        ("'quoted' -- and -", "quoted and"),
        ("", ""),
        ("...!", ""),
    ],
)
def test_words_are_compared_without_case_marks_or_spelling(text: str, words: str) -> None:
    assert compared(text) == tuple(words.split())


def test_words_that_merely_sound_alike_stay_apart() -> None:
    assert compared("two sons") != compared("too suns")


def test_no_spelling_is_folded_into_one_that_is_folded_again() -> None:
    for other in SAME.values():
        assert compared(" ".join(other)) == other


@pytest.mark.parametrize(
    ("said", "heard", "substitutions", "deletions", "insertions"),
    [
        ("a b c", "a b c", 0, 0, 0),
        ("a b c", "a x c", 1, 0, 0),
        ("a b c", "a c", 0, 1, 0),
        ("a b c", "a b x c", 0, 0, 1),
        ("a b c", "", 0, 3, 0),
        ("", "x y", 0, 0, 2),
        ("a b c d", "b c d e", 0, 1, 1),
        ("the cat sat", "a cat sat down", 1, 0, 1),
    ],
)
def test_errors_are_the_fewest_edits(
    said: str, heard: str, substitutions: int, deletions: int, insertions: int
) -> None:
    expected = Errors(substitutions, deletions, insertions, len(said.split()))
    assert errors(said.split(), heard.split()) == expected


def test_the_kinds_of_errors_account_for_the_lengths() -> None:
    draw = Random(1)
    for _ in range(300):
        said, heard = (draw.choices("abc", k=draw.randrange(8)) for _ in range(2))
        found = errors(said, heard)
        assert len(said) - found.deletions + found.insertions == len(heard)
        assert abs(len(said) - len(heard)) <= found.total <= max(len(said), len(heard))
        assert found.total == errors(heard, said).total


def test_the_rate_is_of_all_words_not_of_sentences() -> None:
    assert word_error_rate([Errors(1, 0, 0, 1), Errors(0, 0, 0, 9)]) == 0.1


def test_words_heard_too_many_make_a_rate_above_one() -> None:
    assert word_error_rate([errors(["a"], ["b", "c", "d"])]) == 3.0


def test_nothing_said_is_no_error() -> None:
    assert word_error_rate([]) == 0.0
