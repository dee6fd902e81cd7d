import re
from collections import Counter

import pytest

from benchmarks.voice.sets import GENERAL, SETS, TELEPHONE, digest, sentences, spoken, typed
from export.pocket.templates import TEMPLATES


def test_there_are_enough_sentences_to_tell_two_points_apart() -> None:
    assert len(typed(GENERAL)) >= 200
    assert len(typed(TELEPHONE)) >= 60


@pytest.mark.parametrize("name", SETS)
def test_no_sentence_comes_twice(name: str) -> None:
    assert max(Counter(map(str.lower, typed(name))).values()) == 1


def test_general_sentences_are_plain_words_of_a_telling_length() -> None:
    for text in typed(GENERAL):
        assert re.fullmatch(r"[A-Z][A-Za-z ,'-]*\.", text), text
        assert 5 <= len(text.split()) <= 16, text


def test_telephone_texts_hold_digits_as_people_type_them_and_are_spoken_without() -> None:
    for text in typed(TELEPHONE):
        assert re.search(r"\d", text), text
        assert not re.search(r"\d", spoken(text)), text


def test_no_sentence_shares_a_frame_of_five_words_with_a_training_template() -> None:
    frames = {frame for template in TEMPLATES for frame in frames_of(re.sub(r"\{\w+\}", "{}", template))}
    shared = {frame for name in SETS for text in typed(name) for frame in frames_of(text)} & frames
    assert shared == set()


def frames_of(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\{\}|[a-z']+", text.lower())
    return {tuple(words[at : at + 5]) for at in range(len(words) - 4)}


def test_a_text_is_judged_by_the_words_that_the_engine_speaks() -> None:
    assert spoken("Press 0 by 5 PM.") == "Press zero by five p.m."


def test_all_are_judged_in_order() -> None:
    found = sentences()
    assert [each.text for each in found] == [*typed(GENERAL), *typed(TELEPHONE)]
    assert {each.set for each in found} == set(SETS)


def test_quick_takes_so_many_of_each_set_spread_over_it() -> None:
    found = sentences(4)
    assert Counter(each.set for each in found) == {GENERAL: 4, TELEPHONE: 4}
    places = [typed(GENERAL).index(each.text) for each in found[:4]]
    quarter = len(typed(GENERAL)) / 4
    assert places == [int(quarter * k) for k in range(4)]


def test_quick_beyond_a_set_takes_all_of_it() -> None:
    assert len(sentences(10_000)) == len(sentences())


def test_the_digest_tells_other_sentences_and_another_order() -> None:
    found = sentences(3)
    assert digest(found) == digest(sentences(3)) != digest(found[::-1]) != digest(found[:2])
