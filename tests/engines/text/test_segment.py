"""The segmenter: where it cuts, how soon, and that the cutting of its input does not show."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.text import Segment, Segmenter

STOPS = [
    "...",
    "…",
    ".",
    "?",
    "!",
    "?!",
    "。",
    "！",
    ";",
    ":",
    ",",
    " - ",
    "—",
    '"',
    "'",
    ")",
    "*",
    "#",
    "-",
    "•",
]
ABBREVIATIONS = [
    "Dr.",
    "e.g.",
    "No.",
    "St.",
    "U.S.",
    "p.m.",
    "J.",
    "etc.",
    "3.5",
    "$1,234.50",
    "1.",
    "Mr. O'Brien",
]
GAPS = [" ", " ", " ", "  ", "\n", "\n\n", "\r\n", "\n- ", "\n12", "\n1. ", "\t", "🎉"]
WORDS = [
    "Hello",
    "there",
    "The",
    "Mary",
    "I",
    "You",
    "It",
    "Th",
    "a",
    "5",
    "x" * 30,
    "example.com",
    "é",
    "你好",
]
TRAPS = STOPS + ABBREVIATIONS + GAPS + WORDS
texts = st.lists(st.sampled_from(TRAPS) | st.text(max_size=3), max_size=40).map("".join)
limits = st.sampled_from([(1, 1), (5, 5), (20, 8), (60, 20), (300, 120)])


def segments_of(text: str, max_chars: int = 300, first_max_chars: int = 300) -> list[Segment]:
    segmenter = Segmenter(max_chars, first_max_chars)
    return segmenter.push(text) + segmenter.flush()


def texts_of(text: str, max_chars: int = 300, first_max_chars: int = 300) -> list[str]:
    return [each.text for each in segments_of(text, max_chars, first_max_chars)]


@settings(max_examples=400, deadline=None)
@given(text=texts, limit=limits, cuts=st.lists(st.integers(1, 9), min_size=1))
def test_any_cutting_gives_the_segments_of_one_push(
    text: str, limit: tuple[int, int], cuts: list[int]
) -> None:
    segmenter = Segmenter(*limit)
    segments: list[Segment] = []
    at = 0
    while at < len(text):
        step = cuts[at % len(cuts)]
        segments += segmenter.push(text[at : at + step])
        at += step
    assert segments + segmenter.flush() == segments_of(text, *limit)


@settings(max_examples=200, deadline=None)
@given(text=texts, limit=limits)
def test_one_character_at_a_time_gives_the_segments_of_one_push(text: str, limit: tuple[int, int]) -> None:
    segmenter = Segmenter(*limit)
    segments = [segment for char in text for segment in segmenter.push(char)]
    assert segments + segmenter.flush() == segments_of(text, *limit)


@settings(max_examples=300, deadline=None)
@given(text=texts, limit=limits)
def test_spans_point_at_the_text_in_order_and_lose_no_letter(text: str, limit: tuple[int, int]) -> None:
    segments = segments_of(text, *limit)
    assert [each.index for each in segments] == list(range(len(segments)))
    for segment in segments:
        assert text[segment.start_char : segment.end_char] == segment.text == segment.text.strip()
        assert 0 < len(segment.text) <= limit[0]
        assert any(map(str.isalnum, segment.text))
    ends = [0, *(each.end_char for each in segments)]
    assert all(each.start_char >= end for each, end in zip(segments, ends, strict=False))
    spoken = sum(map(str.isalnum, "".join(each.text for each in segments)))
    assert spoken == sum(map(str.isalnum, text))


@pytest.mark.parametrize(
    "sentence",
    [
        "Dr. Smith is in.",
        "Use a card, e.g. this one.",
        "It costs 3.5 or $1,234.50 today.",
        "Come at 4:30 p.m. on Tuesday.",
        "We close at 4 p.m. Tuesday.",
        "He joined the U.S. Army.",
        "See www.example.com for more.",
        "St. Mary's is open.",
        "Take No. 5 please.",
        "This is J. R. Smith speaking.",
        "Well... I think so.",
        "Well… maybe.",
        "Ask Mr. O'Brien.",
        'He said "no." and left.',
        'Did he say "no?" and leave?',
        "It is approx. five miles.",
        "Acme Inc. Mary speaking.",
        "Born on Jan. 5 in Ohio.",
        "1. First of all.",
        "One line\ngoes on.",
        "A Ph.D. student called.",
    ],
)
def test_a_stop_inside_a_sentence_does_not_end_it(sentence: str) -> None:
    assert texts_of(sentence) == [sentence]
    assert texts_of(f"{sentence} Then we spoke.") == [sentence, "Then we spoke."]


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("Hello there. How are you?", ["Hello there.", "How are you?"]),
        ("What?! No way! Ok", ["What?!", "No way!", "Ok"]),
        ("ok. sure", ["ok.", "sure"]),
        ('He said "no." Then he left.', ['He said "no."', "Then he left."]),
        ("(Really.) Yes.", ["(Really.)", "Yes."]),
        ("**Bold.** Next.", ["**Bold.**", "Next."]),
        ("They live in the U.S. The end.", ["They live in the U.S.", "The end."]),
        ("Come at 4 p.m. Please be there.", ["Come at 4 p.m.", "Please be there."]),
        ("Turn at Main St. Your car is there.", ["Turn at Main St.", "Your car is there."]),
        ("He left the U.S. Th\n\nBye", ["He left the U.S. Th", "Bye"]),
        ("At 4 p.m. T。再", ["At 4 p.m. T。", "再"]),
        ("No. You cannot.", ["No.", "You cannot."]),
        ("Plan B. Then go.", ["Plan B.", "Then go."]),
        ("See example.com. Then call.", ["See example.com.", "Then call."]),
        ("One paragraph\n\nanother", ["One paragraph", "another"]),
        ("We have:\n- apples\n- pears\n1. plums", ["We have:", "- apples", "- pears", "1. plums"]),
        ("# Hours\nWe open at 8", ["# Hours", "We open at 8"]),
        ("你好。再见！好", ["你好。", "再见！", "好"]),
        ("1. First. 2. Second.", ["1. First.", "2. Second."]),
        ("Hi. Yes.", ["Hi.", "Yes."]),
        ("Great! 🎉", ["Great!"]),
    ],
)
def test_segments_end_where_sentences_lines_and_items_do(text: str, segments: list[str]) -> None:
    assert texts_of(text) == segments


@pytest.mark.parametrize("text", ["", "  \n", "🎉", "... --- !", "“ ”", "🎉. 🎉. 🎉"])
def test_text_without_letter_or_digit_makes_no_segment(text: str) -> None:
    assert segments_of(text) == []


def test_offsets_count_the_source_as_it_came() -> None:
    assert segments_of("  Hello there. 🎉  \n\n Bye! ") == [
        Segment(0, "Hello there.", 2, 14),
        Segment(1, "Bye!", 21, 25),
    ]


def emissions(deltas: list[str]) -> list[list[str]]:
    segmenter = Segmenter()
    return [[each.text for each in segmenter.push(delta)] for delta in deltas]


def test_a_sentence_is_out_with_the_first_character_of_the_next() -> None:
    assert emissions(["Hello there", ".", " ", "H"]) == [[], [], [], ["Hello there."]]


def test_a_blank_line_is_enough_by_itself() -> None:
    assert emissions(["Hello", "\n", "\n"]) == [[], [], ["Hello"]]


def test_a_foreign_stop_needs_one_character_more() -> None:
    assert emissions(["你好", "。", "再"]) == [[], [], ["你好。"]]


def test_after_an_ambiguous_abbreviation_only_a_word_that_opens_sentences_is_waited_for() -> None:
    assert emissions(["at 4 p.m.", " ", "T", "h", "e", " "]) == [[], [], [], [], [], ["at 4 p.m."]]
    assert emissions(["at 4 p.m. Tu", ". ", "Yes"]) == [[], [], ["at 4 p.m. Tu."]]


def test_a_bullet_is_known_at_the_space_after_its_mark() -> None:
    assert emissions(["milk", "\n", "1", "2", ".", " "]) == [[], [], [], [], [], ["milk"]]


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("one two; three, four five", ["one two;", "three, four five"]),
        ("one two: three, four five", ["one two:", "three, four five"]),
        ("one two - three, four five", ["one two -", "three, four five"]),
        ("one two, three four five", ["one two,", "three four five"]),
        ("one two three four five", ["one two three four", "five"]),
        ("aaaaaaaaaaaaaaaaaaaaaaaaa bb", ["aaaaaaaaaaaaaaaaaaaa", "aaaaa bb"]),
        ("an aaaaaaaaaaaaaaaaaaaaaaaaa", ["an", "aaaaaaaaaaaaaaaaaaaa", "aaaaa"]),
        ("one two three four. 5", ["one two three four.", "5"]),
        ("abcd abcd abcd abcde", ["abcd abcd abcd abcde"]),
        ("a" + " " * 40 + "b", ["a", "b"]),
    ],
)
def test_what_is_too_long_is_cut_at_the_best_place_within_the_limit(text: str, segments: list[str]) -> None:
    assert texts_of(text, max_chars=20, first_max_chars=20) == segments


def test_the_first_segment_may_have_a_limit_of_its_own() -> None:
    assert texts_of("one two three four five six", 20, 10) == ["one two", "three four five six"]


def test_flush_and_clear_start_anew() -> None:
    segmenter = Segmenter()
    assert segmenter.push("Some text") == []
    segmenter.clear()
    assert segmenter.flush() == []
    assert segmenter.push("One. T") == [Segment(0, "One.", 0, 4)]
    assert segmenter.flush() == [Segment(1, "T", 5, 6)]
    assert segmenter.push("Two. T") == [Segment(0, "Two.", 0, 4)]


@pytest.mark.parametrize("unit", ["Hello there my friend. ", "a", " ", ". ", "🎉", "U.S. Th", "\n1", "x, "])
def test_the_work_for_a_character_does_not_grow_with_the_text(unit: str) -> None:
    def cost_s(chars: int) -> float:
        text = (unit * chars)[:chars]
        best = float("inf")
        for _ in range(3):
            segmenter = Segmenter()
            start = time.process_time()
            for char in text:
                segmenter.push(char)
            best = min(best, time.process_time() - start)
        return best

    assert cost_s(32_000) < 80 * cost_s(2_000)  # 16 times the text; quadratic work would take 256 times
