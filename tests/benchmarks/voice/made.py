"""Verdicts with written-out utterances, listeners and speakers of no sound, for tests."""

from concurrent.futures import Future
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.voice.rendered import Rendered
from benchmarks.voice.sets import GENERAL, TELEPHONE, Sentence
from benchmarks.voice.verdict import (
    SOURCE,
    SPEECH,
    VOICE_SCHEMA,
    VOICE_VERSION,
    Row,
    Timed,
    Utterance,
    Verdict,
)
from engines.rates import SAMPLE_RATE_HZ
from tests.benchmarks.made import MACHINE

SENTENCES = (
    Sentence(GENERAL, "The cat sat.", "The cat sat."),
    Sentence(TELEPHONE, "Press 5 now", "Press five now."),
)
ROWS = (Row(SOURCE, "", "", "default", None), Row(SPEECH, "onnx", "streamed", "default", None))


def utterance(row: int, sentence: int, heard: str, **changed: Any) -> Utterance:
    usual: dict[str, Any] = {
        "seconds": 1.0,
        "length_ratio": None,
        "ended": "",
        "seam_jump": None,
        "mel_l1": None,
        "like_mel": None,
        "like_xvector": None,
    }
    return Utterance(row, sentence, heard, **(usual | changed))


def verdict(**changed: Any) -> Verdict:
    usual: dict[str, Any] = {
        "schema": VOICE_SCHEMA,
        "version": VOICE_VERSION,
        "began": "2026-01-02T03:04:05+00:00",
        "label": "a voice <of> noise",
        "machine": MACHINE,
        "load_average": 0.5,
        "seed": 0,
        "sets_version": 1,
        "sets_digest": "c0ffee",
        "listener": {"listener": "nobody"},
        "settings": {"onnx": {"backend": "onnx", "threads": 1}},
        "sentences": SENTENCES,
        "rows": ROWS,
        "sample": 0,
        "timed": (),
    }
    return Verdict(**(usual | changed))


def timed(way: str, first_audio_s: float, total_s: float) -> Timed:
    return Timed(way, first_audio_s, total_s, 2.0, 0.1, 0.2)


class FakeListener:
    """Hears how many samples came, and keeps them."""

    def __init__(self) -> None:
        self.pcm: list[NDArray[np.int16]] = []

    def hear(self, pcm_8k: NDArray[np.int16]) -> Future[str]:
        self.pcm.append(pcm_8k)
        heard: Future[str] = Future()
        heard.set_result("the cat sat")
        return heard


def fake_say(spoken: str, flite_voice: str) -> Rendered:
    """Half a second of a hum a word, each voice with a colour of its own."""
    draw = np.random.default_rng(len(flite_voice) + ord(flite_voice[0]))
    noise = np.random.default_rng(0).standard_normal(len(spoken.split()) * SAMPLE_RATE_HZ // 2)
    return Rendered((0.02 * np.convolve(noise, draw.standard_normal(9), "same")).astype(np.float32))
