"""An utterance's marks fall behind the frames of the text before them, and frames go through untouched."""

from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engines import AudioChunk
from engines.contract import TextSpan
from server.utterance import CallUtterance
from telephony.format import AudioFormat

FRAME_SAMPLES = 480  # at 24 kHz
WORD = "word "


@dataclass
class Told:
    """What one utterance is told, in order: text and marks, then its audio by segments."""

    sentences: list[tuple[int, int]]
    """Words of each, and samples of its audio."""
    marks_behind: list[int]
    """Words that precede each mark, growing."""
    frames_per_push: int
    delay_samples: int


@st.composite
def tellings(draw: st.DrawFn) -> Told:
    sentences = draw(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5_000)), min_size=1, max_size=5))
    words = sum(count for count, _ in sentences)
    marks = sorted(draw(st.lists(st.integers(0, words), max_size=8)))
    return Told(sentences, marks, draw(st.integers(1, 7)), draw(st.sampled_from([0, 1, 200, 480])))


def utterance_of(told: Told) -> CallUtterance:
    utterance = CallUtterance(1, 0, AudioFormat.of("mulaw"), told.delay_samples)
    said = 0
    for number, behind in enumerate(told.marks_behind):
        utterance.add_text(WORD * (behind - said))
        utterance.add_mark(str(number))
        said = behind
    utterance.add_text(WORD * (sum(count for count, _ in told.sentences) - said))
    utterance.end_text()
    return utterance


def run(told: Told, utterance: CallUtterance) -> tuple[list[bytes], dict[str, int]]:
    """Chunk by chunk as the call does it: the frames that came out, and the frame each mark came behind."""
    out, marks = list[bytes](), dict[str, int]()
    samples = chars = frames_made = 0

    def hand_on(payloads: list[bytes]) -> None:
        for start in range(0, len(payloads), told.frames_per_push):
            for frames, names in utterance.cut_at_marks(payloads[start : start + told.frames_per_push]):
                out.extend(frames)
                for frame, name in names:
                    assert name not in marks
                    assert frame == len(out), "a mark is told where it falls"
                    marks[name] = frame

    for index, (words, length) in enumerate(told.sentences):
        span = TextSpan(chars, chars + words * len(WORD) - 1)
        utterance.take_chunk(AudioChunk(np.zeros(length, np.float32), samples, index, span, True))
        chars, samples = chars + words * len(WORD), samples + length
        whole = max(0, samples - told.delay_samples) // FRAME_SAMPLES  # the encoder holds its delay back
        hand_on([b"%d" % number for number in range(frames_made, whole)])
        frames_made = max(frames_made, whole)
    last = -(-(samples + told.delay_samples) // FRAME_SAMPLES)
    hand_on([b"%d" % number for number in range(frames_made, last)])
    for frame, name in utterance.take_marks():
        assert frame == len(out)
        marks[name] = frame
    return out, marks


def model(told: Told) -> dict[str, int]:
    """Each mark, at the first frame border by which every sentence that begins before it has been played."""
    wanted = {}
    total = sum(length for _, length in told.sentences)
    for number, behind in enumerate(told.marks_behind):
        words = samples = 0
        for count, length in told.sentences:
            if words >= behind:
                break
            words, samples = words + count, samples + length
        border = -(-(samples + told.delay_samples) // FRAME_SAMPLES) if samples else 0
        wanted[str(number)] = min(border, -(-(total + told.delay_samples) // FRAME_SAMPLES))
    return wanted


@given(tellings())
@settings(max_examples=200)
def test_frames_run_through_unchanged_and_in_order(told: Told) -> None:
    out, _ = run(told, utterance_of(told))
    assert out == [b"%d" % number for number in range(len(out))]


@given(tellings())
@settings(max_examples=300)
def test_each_mark_falls_behind_the_last_frame_of_the_sentence_before_it(told: Told) -> None:
    _, marks = run(told, utterance_of(told))
    # One ahead of all text is placed with the first sentence's end: nobody asks where nothing ends.
    wanted = {name: frame for name, frame in model(told).items() if told.marks_behind[int(name)]}
    assert {name: marks[name] for name in wanted} == wanted


@given(tellings())
def test_marks_come_once_each_and_in_their_order(told: Told) -> None:
    _, marks = run(told, utterance_of(told))
    assert list(marks) == [str(number) for number in range(len(told.marks_behind))]
    assert list(marks.values()) == sorted(marks.values())


def test_without_audio_every_mark_is_left_over_at_frame_0() -> None:
    utterance = CallUtterance(1, 0, AudioFormat.of("mulaw"), 0)
    utterance.add_mark("ahead")
    utterance.add_text("  ")
    utterance.add_mark("behind")
    assert utterance.take_marks() == [(0, "ahead"), (0, "behind")]
    assert utterance.take_marks() == []


def test_played_to_its_last_frame_all_text_was_spoken_though_the_audio_ends_inside_it() -> None:
    utterance = CallUtterance(1, 0, AudioFormat.of("mulaw"), 24)
    utterance.add_text("Hello there. *** ")  # the stars are in no segment
    utterance.take_chunk(AudioChunk(np.zeros(1_000, np.float32), 0, 0, TextSpan(0, 12), True))
    list(utterance.cut_at_marks([b"a", b"b", b"c"]))
    assert utterance.split_text(60) == ("Hello there. ", "*** ")
    utterance.handed_on = True
    assert utterance.split_text(60) == ("Hello there. *** ", "")
    assert utterance.split_text(40)[1] != ""


def test_the_delay_of_the_encoder_is_not_speech_yet() -> None:
    utterance = CallUtterance(1, 0, AudioFormat.of("mulaw"), 480)
    utterance.add_text("Hello. There.")
    utterance.take_chunk(AudioChunk(np.zeros(480, np.float32), 0, 0, TextSpan(0, 6), True))
    utterance.take_chunk(AudioChunk(np.zeros(480, np.float32), 480, 1, TextSpan(7, 13), True))
    assert utterance.split_text(20) == ("", "Hello. There.")
    assert utterance.split_text(40) == ("Hello. ", "There.")
