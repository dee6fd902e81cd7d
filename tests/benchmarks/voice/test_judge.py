from pathlib import Path
from typing import Any

import pytest

from benchmarks.voice import judge as judging
from benchmarks.voice.errors import JudgeFailed
from benchmarks.voice.judge import Judged, judge, plan_rows
from benchmarks.voice.sets import GENERAL, Sentence
from benchmarks.voice.verdict import SOURCE, SPEECH, TOKENS, VOCODER
from benchmarks.voice.ways import ONE_SHOT, STREAMED, Setup
from engines.errors import InvalidRequest
from tests.benchmarks.voice.made import FakeListener, fake_say
from tests.fakes.tiny_export import tiny_export, tiny_weights

SENTENCES = tuple(Sentence(GENERAL, text, text) for text in ("The cat sat.", "It ran off then."))
ONE_VOICE = {"default": "rms"}


@pytest.fixture(autouse=True)
def natural(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "say", fake_say)


def judged(setup: Setup, listener: Any = None) -> Judged:
    return judge(setup, SENTENCES, 1, listener or FakeListener())


def test_the_first_way_and_voice_are_judged_in_full_and_the_others_against_them() -> None:
    paths = (Path("weights"), Path("graphs"), None)
    rows = plan_rows(Setup(*paths, ways=("onnx", "pytorch"), voices={"default": "rms", "awb": "awb"}))
    assert [(row.stage, row.way, row.mode, row.voice, row.compared_with) for row in rows] == [
        (SOURCE, "", "", "default", None),
        (SOURCE, "", "", "awb", None),
        (VOCODER, "pytorch", "", "default", 0),
        (TOKENS, "onnx", ONE_SHOT, "default", 0),
        (TOKENS, "onnx", STREAMED, "default", 3),
        (TOKENS, "pytorch", STREAMED, "default", 4),
        (SPEECH, "onnx", ONE_SHOT, "default", None),
        (SPEECH, "onnx", STREAMED, "default", 6),
        (SPEECH, "pytorch", STREAMED, "default", None),
        (TOKENS, "onnx", STREAMED, "awb", None),
        (SPEECH, "onnx", STREAMED, "awb", None),
    ]


def test_without_a_model_the_sources_are_judged_alone() -> None:
    listener = FakeListener()
    found = judged(Setup(None, None, None), listener)
    assert [row.stage for row in found.rows] == [SOURCE, SOURCE]
    assert len(found.utterances) == len(listener.pcm) == 4
    assert {each.heard for each in found.utterances} == {"the cat sat"}
    assert [len(each) for each in found.samples] == [48_000, 48_000]  # the second sentence: four words


def test_every_row_holds_every_sentence_in_order() -> None:
    done: list[str] = []
    setup = Setup(tiny_weights(), None, None, voices=ONE_VOICE, threads=1)
    found = judge(setup, SENTENCES, 0, FakeListener(), lambda row: done.append(row.stage))
    places = [(each.row, each.sentence) for each in found.utterances]
    assert places == [(row, sentence) for row in range(len(found.rows)) for sentence in range(2)]
    assert len(done) == len(places)
    assert len(found.samples) == len(found.rows)


def test_each_stage_is_measured_for_what_it_has() -> None:
    found = judged(Setup(tiny_weights(), None, None, voices=ONE_VOICE, threads=1))
    source, vocoder, whole, streamed, spoken, spoken_streamed = (
        [each for each in found.utterances if each.row == row] for row in range(6)
    )
    assert all(each.length_ratio is None and each.mel_l1 is None for each in source)
    assert all(each.length_ratio == pytest.approx(1, abs=0.03) for each in (*vocoder, *whole, *streamed))
    assert all(each.mel_l1 is not None and each.mel_l1 > 0 for each in (*vocoder, *whole, *streamed))
    assert all(each.seam_jump is None for each in (*source, *vocoder, *whole, *spoken))
    assert all(each.seam_jump is not None for each in streamed)
    assert all(each.ended for each in (*spoken, *spoken_streamed))
    assert not any(each.ended for each in (*source, *vocoder, *whole, *streamed))
    # T3 says the same whether it is heard at once or in windows.
    pairs = list(zip(spoken, spoken_streamed, strict=True))
    assert all(one.seconds == other.seconds and one.ended == other.ended for one, other in pairs)
    assert all(other.mel_l1 is not None for _, other in pairs)


def test_streaming_is_nearer_to_one_piece_than_another_runtime_is_exact() -> None:
    setup = Setup(tiny_weights(), tiny_export(), None, ("onnx", "pytorch"), ONE_VOICE, threads=1)
    found = judged(setup)
    runtime = next(
        number for number, row in enumerate(found.rows) if (row.stage, row.way) == (TOKENS, "pytorch")
    )
    streamed = runtime - 1
    distances = {
        row: [each.mel_l1 or 0 for each in found.utterances if each.row == row] for row in (streamed, runtime)
    }
    assert max(distances[runtime]) < 0.01 < min(distances[streamed])


def test_with_two_voices_each_is_said_to_be_like_one_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    voices = {"default": "rms", "other": "awb"}
    stages = judging._Stages(Setup(tiny_weights(), None, None, voices=voices, threads=1), SENTENCES)
    row = next(row for row in plan_rows(stages._setup) if row.stage == SPEECH)
    for flite, expected in (("rms", True), ("awb", False)):
        made = fake_say(SENTENCES[0].spoken, flite)
        measured = stages.measure(row, 0, made)
        assert (measured["like_mel"], measured["like_xvector"]) == (expected, expected)


def test_a_voice_that_the_model_lacks_is_told_with_those_it_has() -> None:
    setup = Setup(tiny_weights(), None, None, voices={"nobody": "rms"}, threads=1)
    with pytest.raises((JudgeFailed, InvalidRequest), match=r"nobody.*default"):
        judged(setup)
