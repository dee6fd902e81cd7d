"""Number words, checked against num2words over whole small domains."""

import pytest
from num2words import num2words

from engines.text.numbers import amount, cardinal, integer, ordinal, pairs, spell, year


def american(words: str) -> str:
    return words.replace(",", "").replace(" and ", " ")


@pytest.mark.parametrize("numbers", [range(3000), range(9_990, 10_020), range(999_990, 1_000_010)])
def test_cardinals_are_those_of_num2words_without_its_and(numbers: range) -> None:
    assert [cardinal(each) for each in numbers] == [american(num2words(each)) for each in numbers]


def test_large_cardinals_name_every_group() -> None:
    assert cardinal(10**15 + 1) == "one quadrillion one"
    assert cardinal(987_654_321) == american(num2words(987_654_321))


def test_ordinals_are_those_of_num2words() -> None:
    assert [ordinal(each) for each in range(1200)] == [
        american(num2words(each, to="ordinal")) for each in range(1200)
    ]


def test_years_are_those_of_num2words_but_for_its_hyphen_in_oh_five() -> None:
    for each in range(1100, 2100):
        if each % 1000 >= 10 and each != 2000:
            assert year(each) == american(num2words(each, to="year")).replace("oh-", "oh "), each


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (5, "five"),
        (12, "twelve"),
        (221, "two twenty-one"),
        (305, "three oh five"),
        (500, "five hundred"),
        (1000, "one thousand"),
        (1204, "twelve oh four"),
        (1600, "sixteen hundred"),
    ],
)
def test_house_numbers_go_in_pairs(number: int, words: str) -> None:
    assert pairs(number) == words


@pytest.mark.parametrize(
    ("digits", "words"),
    [
        ("1,000,000", "one million"),
        ("1000000", "one million"),
        ("0", "zero"),
        ("007", "zero zero seven"),
        ("1234567", "one two three four five six seven"),
        ("9" * 20, " ".join(["nine"] * 20)),
    ],
)
def test_what_looks_like_an_identifier_is_read_digit_by_digit(digits: str, words: str) -> None:
    assert integer(digits) == words


def test_decimals_are_read_digit_by_digit_after_the_point() -> None:
    assert amount("3.1416") == "three point one four one six"
    assert amount(".5") == "point five"
    assert spell("4B") == "four B"
