import sys

import numpy as np
import pytest

from benchmarks.voice.errors import ListenerMissing
from benchmarks.voice.hearing import Listener, describe, transcribe
from benchmarks.voice.natural import say
from benchmarks.voice.phone import through_phone
from benchmarks.voice.words import compared, errors
from tests.peers import require_module, require_program

SAID = (
    "The newspaper printed the wrong photograph on the front page.",
    "Good tools make difficult work easier.",
)


@pytest.mark.peer
@pytest.mark.timeout(600)  # some seconds, on a machine that has nothing else to do
def test_flite_is_understood_through_the_phone_and_the_same_in_any_order() -> None:
    require_program("flite")
    require_module("pocketsphinx")
    pcm = [through_phone(say(text, "rms").samples) for text in SAID]
    there = [transcribe(each) for each in pcm]
    back = [transcribe(each) for each in reversed(pcm)]
    assert there == back[::-1]
    wrong = sum(
        errors(compared(text), compared(heard)).total for text, heard in zip(SAID, there, strict=True)
    )
    assert wrong <= 4


@pytest.mark.peer
@pytest.mark.timeout(600)
def test_a_listener_in_another_process_hears_the_same_audio_once_and_nothing_in_none() -> None:
    require_module("pocketsphinx")
    silence = np.zeros(8_000, np.int16)
    with Listener(1) as listener:
        heard = listener.hear(silence)
        assert listener.hear(silence.copy()) is heard
        assert listener.hear(silence[:4_000]) is not heard
        assert len(heard.result().split()) <= 1, "it makes a short word of digital silence"
        assert listener.hear(silence[:0]).result() == ""


def test_without_pocketsphinx_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(ListenerMissing, match=r"talkspurt\[judge\]"):
        describe()
