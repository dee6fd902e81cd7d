"""What the pocket voice learns to say."""

import gzip
import random
from itertools import islice
from pathlib import Path

import pytest

from engines.text.normalize import normalize
from export.pocket import texts as room
from export.pocket.templates import SLOTS, TEMPLATES, telephone_text
from export.pocket.texts import SourceMissing, bare, is_speakable, spoken_segments, texts

DICTIONARY = """\
00-database-info
   about
barn
    n 1: an outlying farm building for storing grain or animal feed
         and housing farm animals; "they painted the barn" [syn: {barn}]
    2: (physics) a unit of nuclear cross section
run
    v 1: move fast by using one's feet, with one foot off the ground;
         "Don't run"; "he ran all the way home (again)"
"""


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    dictionary, words = tmp_path / "wn.dict.dz", tmp_path / "words"
    dictionary.write_bytes(gzip.compress(("x\n" * 30 + DICTIONARY).encode()))
    words.write_text("apple\nbridge\ncandle\ndon't\nÉmile\nlantern\n")
    fortunes = tmp_path / "fortunes"
    fortunes.mkdir()
    (fortunes / "wisdom").write_text("Rain is good for the garden.\n\t\t-- A. Gardener\n%\nASCII | art\n%\n")
    (fortunes / "wisdom.dat").write_bytes(b"\xff")
    monkeypatch.setattr(room, "DICTIONARY", dictionary)
    monkeypatch.setattr(room, "WORDS", words)
    monkeypatch.setattr(room, "FORTUNES", fortunes)
    return tmp_path


def test_the_dictionary_gives_its_examples_and_its_longer_definitions(sources: Path) -> None:
    assert [text.strip() for text in room._dictionary()] == [
        "Don't run",
        "a unit of nuclear cross section",
        "an outlying farm building for storing grain or animal feed and housing farm animals",
        "he ran all the way home",
        "move fast by using one's feet, with one foot off the ground",
        "they painted the barn",
    ]


def test_fortunes_lose_their_authors_and_drawings(sources: Path) -> None:
    assert [text for text in room._fortunes() if text] == ["Rain is good for the garden."]


def test_word_lists_hold_plain_words_of_the_list_alone(sources: Path) -> None:
    words = set(room._word_lists(random.Random(1))().replace(",", "").split())
    assert words <= {"apple", "bridge", "candle", "lantern"}
    assert len(words) >= 3


def test_texts_are_told_by_their_seed_and_leave_out_what_is_kept_for_judging(sources: Path) -> None:
    first = list(islice(texts(5), 200))
    assert first == list(islice(texts(5), 200))
    assert first != list(islice(texts(6), 200))
    assert {kind for kind, _ in first} == {"dictionary", "fortunes", "words", "telephone"}
    assert any(text == "They painted the barn." for _, text in first)
    banned = frozenset({bare("They painted the barn!")})
    assert not any(text == "They painted the barn." for _, text in islice(texts(5, banned), 200))


def test_all_texts_are_as_the_engine_hands_them_to_t3(sources: Path) -> None:
    for _, text in islice(texts(2), 300):
        assert is_speakable(text)
        assert text[0].isupper() or not text[0].isalpha()
        assert spoken_segments(text) == [text], "cut and normalised again, it is the same"


def test_a_source_that_is_not_installed_is_named_with_its_package(
    sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "DICTIONARY", sources / "none")
    with pytest.raises(SourceMissing, match="install dict-wn"):
        next(texts(1))
    monkeypatch.setattr(room, "FORTUNES", sources / "none")
    with pytest.raises(SourceMissing, match="install fortunes"):
        room._fortunes()


@pytest.mark.parametrize(
    "text",
    [
        "Too short.",
        "x" * 300,
        "Room 12 is free now.",
        "Call the FBI about it.",
        "The brrr of an engine.",
        "Naïve plan.",
    ],
)
def test_what_flite_would_guess_at_is_left_out(text: str) -> None:
    assert not is_speakable(text)


def test_every_template_becomes_words_without_digits() -> None:
    draw = random.Random(4)
    for _ in range(400):
        text = telephone_text(draw)
        assert "{" not in text
        assert not any(map(str.isdigit, normalize(text)))
    assert len(TEMPLATES) == len(set(TEMPLATES))
    used = {slot for slot in SLOTS if any("{" + slot + "}" in each for each in TEMPLATES)}
    assert used == set(SLOTS), "no slot is without a template"
