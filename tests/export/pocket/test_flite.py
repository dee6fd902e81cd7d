"""Flite itself, where it is installed."""

import numpy as np
import pytest

from export.pocket.corpus import gain, say
from export.pocket.flite import FLITE_HZ, PAUSE, VOICES, speak
from tests.peers import require_program

TEXT = "Don't worry, the brown-eyed fox jumps."


@pytest.fixture(autouse=True)
def flite() -> None:
    require_program("flite")


@pytest.mark.peer
@pytest.mark.parametrize("voice", VOICES)
def test_flite_tells_what_it_said(voice: str) -> None:
    spoken = speak(TEXT, voice)
    assert spoken.words == len(TEXT.split())
    assert sorted({phone.word for phone in spoken.phones if phone.word is not None}) == list(range(6))
    assert [phone.name for phone in spoken.phones if phone.word == 4] == ["f", "aa", "k", "s"]
    assert spoken.phones[0].name == spoken.phones[-1].name == PAUSE
    ends = [phone.end_s for phone in spoken.phones]
    assert ends == sorted(ends)
    assert ends[-1] == pytest.approx(len(spoken.samples) / FLITE_HZ, abs=0.05)
    assert np.abs(spoken.samples).max() > 1_000
    voiced = spoken.pitch_hz[spoken.pitch_hz > 0]
    assert 70 < voiced.min() < voiced.max() < 250
    assert len(spoken.pitch_hz) == pytest.approx(len(spoken.samples) / 80, abs=2)


@pytest.mark.peer
def test_the_same_text_is_said_the_same_whatever_was_said_before() -> None:
    first = speak(TEXT, "rms").samples
    speak("Something else.", "awb")
    assert np.array_equal(speak(TEXT, "rms").samples, first)


@pytest.mark.peer
def test_both_voices_are_brought_to_one_level_and_cut_to_their_speech() -> None:
    levels = []
    for voice in VOICES:
        samples = say(TEXT, voice)
        assert len(samples) < len(speak(TEXT, voice).samples) / 1.0
        assert 0.05 < gain(voice) < 5
        levels.append(20 * np.log10(np.sqrt(np.mean(samples**2))))
    assert abs(levels[0] - levels[1]) < 3
