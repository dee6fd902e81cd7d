"""Which text was spoken at a position: properties that hold for any text, any segments and any audio."""

from dataclasses import dataclass

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engines import AudioChunk
from engines.contract import TextSpan
from server.spoken import SpokenText

WORDS = st.text("abcü7.,'", min_size=1, max_size=8)
GAPS = st.text(" \n\t", min_size=1, max_size=3)


@dataclass
class Scene:
    """An utterance as its call knows it: text, and the audio that came so far."""

    text: str
    chunks: list[AudioChunk]

    @property
    def samples(self) -> int:
        return sum(len(chunk.samples) for chunk in self.chunks)

    @property
    def spoken(self) -> SpokenText:
        spoken = SpokenText()
        for start in range(0, len(self.text), 7):  # text comes in deltas
            spoken.add_text(self.text[start : start + 7])
        for chunk in self.chunks:
            spoken.add_audio(chunk)
        return spoken


def chunk(first_sample: int, samples: int, index: int, span: TextSpan, ends: bool) -> AudioChunk:
    return AudioChunk(np.zeros(samples, np.float32), first_sample, index, span, ends)


@st.composite
def scenes(draw: st.DrawFn, complete: bool) -> Scene:
    """Segments tile the text from its start; the last one may still be under way, or not begun."""
    segments = draw(st.lists(st.lists(st.tuples(WORDS, GAPS), min_size=1, max_size=6), max_size=4))
    text, chunks, first_sample = draw(st.sampled_from(["", " "])), list[AudioChunk](), 0
    for index, words in enumerate(segments):
        start = len(text)
        text += "".join(word + gap for word, gap in words)
        span = TextSpan(start, len(text.rstrip()))
        lengths = draw(st.lists(st.integers(0, 40_000), min_size=1, max_size=3))
        for number, samples in enumerate(lengths, start=1):
            chunks.append(chunk(first_sample, samples, index, span, number == len(lengths)))
            first_sample += samples
    if not complete:
        chunks = chunks[: draw(st.integers(0, len(chunks)))]
    return Scene(text, chunks)


@given(scenes(complete=False), st.integers(0, 400_000))
def test_spoken_and_not_spoken_are_always_the_text(scene: Scene, played_samples: int) -> None:
    assert "".join(scene.spoken.split(played_samples)) == scene.text


@given(scenes(complete=False), st.integers(0, 400_000), st.integers(0, 400_000))
def test_what_was_spoken_only_grows_with_the_position(scene: Scene, one: int, other: int) -> None:
    spoken = scene.spoken
    early, late = spoken.split(min(one, other))[0], spoken.split(max(one, other))[0]
    assert late.startswith(early)


@given(scenes(complete=False), st.integers(0, 400_000))
def test_the_cut_is_where_a_word_begins(scene: Scene, played_samples: int) -> None:
    spoken, rest = scene.spoken.split(played_samples)
    if spoken and rest:
        assert spoken[-1].isspace()
        assert not rest[0].isspace()


@given(scenes(complete=True))
def test_at_the_end_all_of_it_was_spoken(scene: Scene) -> None:
    # A segment without samples at the very end is not passed by playing: position knows nothing of it.
    assume(scene.chunks)
    last = scene.chunks[-1].span
    assume(any(len(each.samples) for each in scene.chunks if each.span == last))
    assert scene.spoken.split(scene.samples) == (scene.text, "")


@given(scenes(complete=False))
def test_before_the_first_sample_nothing_was_spoken(scene: Scene) -> None:
    assert scene.spoken.split(0) == ("", scene.text)


@given(st.lists(WORDS, min_size=2, max_size=12), st.floats(0.05, 0.95))
@settings(max_examples=50)
def test_inside_a_segment_the_cut_is_within_a_word_of_the_share_of_its_audio(
    words: list[str], share: float
) -> None:
    text = " ".join(words)
    spoken = SpokenText()
    spoken.add_text(text)
    spoken.add_audio(chunk(0, 24_000, 0, TextSpan(0, len(text)), True))
    cut_chars = len(spoken.split(round(24_000 * share))[0])
    assert -max(map(len, words)) - 1 <= cut_chars - share * len(text) <= 1


def test_a_cut_in_a_known_sentence_is_written_out() -> None:
    spoken = SpokenText()
    spoken.add_text("One two three. Four five six.")
    spoken.add_audio(chunk(0, 14_000, 0, TextSpan(0, 14), True))
    spoken.add_audio(chunk(14_000, 14_000, 1, TextSpan(15, 29), True))
    assert spoken.split(0) == ("", "One two three. Four five six.")
    assert spoken.split(6_999) == ("One ", "two three. Four five six.")
    assert spoken.split(13_999) == ("One two ", "three. Four five six.")
    assert spoken.split(14_000) == ("One two three. ", "Four five six.")
    assert spoken.split(20_000) == ("One two three. Four ", "five six.")
    assert spoken.split(28_000) == ("One two three. Four five six.", "")


def test_a_sentence_whose_end_is_not_known_is_measured_by_those_before_it() -> None:
    spoken = SpokenText()
    spoken.add_text("Slow speech. Then more of it follows.")
    spoken.add_audio(chunk(0, 48_000, 0, TextSpan(0, 12), True))  # 4,000 samples a character
    spoken.add_audio(chunk(48_000, 9_600, 1, TextSpan(13, 37), False))
    assert spoken.split(48_000 + 9_600) == ("Slow speech. ", "Then more of it follows.")
    assert spoken.split(48_000 + 24_000) == ("Slow speech. Then ", "more of it follows.")
