from pathlib import Path

import numpy as np

from benchmarks.voice.speaking import speak
from benchmarks.voice.ways import ONE_SHOT, STREAMED, Setup
from engines.config import EngineConfig
from engines.contract import DEFAULT_VOICE
from tests.fakes.tiny_export import tiny_weights
from tests.fakes.tiny_model import tiny_checkpoint

TEXTS = ("One.", "Two and three. Four and five.")


def test_a_sentence_has_the_seams_of_its_chunks_but_not_of_its_segments() -> None:
    config = EngineConfig.resolve(backend="tone", chunk_tokens=[10, 12])
    one, two = speak(config, DEFAULT_VOICE, ("A text of some length. " * 2, "Go."), seed=0)
    assert all(seam % 960 == 0 for seam in one.seams)
    whole = EngineConfig.resolve(
        backend="tone", chunk_tokens=[500], max_unspoken_ms=50_000, max_unread_ms=50_000
    )
    (piece,) = speak(whole, DEFAULT_VOICE, ("A text of some length. " * 2,), seed=0)
    assert one.seams
    assert piece.seams == ()
    assert len(piece.samples) == len(one.samples) > len(two.samples)


def test_each_sentence_tells_how_it_ended() -> None:
    setup = Setup(tiny_weights(), None, None, threads=1)
    found = list(speak(setup.config("pytorch", STREAMED), DEFAULT_VOICE, TEXTS, seed=0))
    assert len(found) == 2
    assert {each.ended for each in found} <= {"stop", "silence", "repetition", "budget"}


def test_what_never_stops_is_told_so(tmp_path: Path) -> None:
    weights = tiny_checkpoint(tmp_path, never_stops=True)
    setup = Setup(weights, None, None, threads=1)
    config = EngineConfig.resolve(
        **{**setup.settings("pytorch", ONE_SHOT), "max_segment_tokens": 60, "chunk_tokens": [40]}
    )
    (found,) = speak(config, DEFAULT_VOICE, ["Go."], seed=0)
    assert found.ended != "stop"
    assert found.ended


def test_a_preview_without_t3_has_no_ending_to_tell() -> None:
    (found,) = speak(EngineConfig.resolve(backend="tone"), DEFAULT_VOICE, ["Go."], seed=0)
    assert found.ended == ""
    assert found.samples.dtype == np.float32


def test_the_seed_and_the_place_tell_the_audio() -> None:
    setup = Setup(tiny_weights(), None, None, threads=1)
    config = setup.config("pytorch", STREAMED)
    one, two = (each.samples for each in speak(config, DEFAULT_VOICE, ["Go."] * 2, seed=5))
    (again,) = (each.samples for each in speak(config, DEFAULT_VOICE, ["Go."], seed=6))
    assert np.array_equal(two, again)
    assert not np.array_equal(one, two)
