from dataclasses import replace

import numpy as np
import pytest

from benchmarks.voice.vocoding import Vocoding
from benchmarks.voice.ways import ONE_SHOT, STREAMED, Setup
from benchmarks.voice.windows import Encoders, synthesize
from engines.chatterbox.audio import ChatterboxSynthesizer
from engines.engine import open_backend
from engines.rates import SAMPLE_RATE_HZ, TOKEN_SAMPLES
from engines.voices.loudness import normalise
from tests.engines.voices.speechlike import speechlike
from tests.fakes.tiny_export import tiny_export, tiny_weights

SPEECH = speechlike(1.7)


def setup() -> Setup:
    return Setup(tiny_weights(), tiny_export(), None, threads=1)


def test_streamed_codes_meet_where_the_schedule_cuts_and_last_as_long_as_in_one_piece() -> None:
    codes = tuple(range(40))
    made = {}
    for mode in (ONE_SHOT, STREAMED):
        config = setup().config("pytorch", mode)
        backend = open_backend(config)
        made[mode] = synthesize(backend, config, backend.voices["default"], codes, seed=1)
    assert made[ONE_SHOT].seams == ()
    assert made[STREAMED].seams == tuple(TOKEN_SAMPLES * end for end in (10, 22))
    assert len(made[ONE_SHOT].samples) == len(made[STREAMED].samples) == 40 * TOKEN_SAMPLES
    assert not np.array_equal(made[ONE_SHOT].samples, made[STREAMED].samples)


def test_codes_and_x_vectors_are_those_that_enrolling_finds() -> None:
    config = setup().config("pytorch", STREAMED)
    encoders = Encoders.open(config)
    enroller = open_backend(config).enroller
    assert enroller is not None
    recording = speechlike(6)
    voice = enroller.enroll(recording)
    heard = normalise(recording)
    assert encoders.codes(heard) == tuple(voice.s3_prompt)
    assert np.allclose(encoders.xvector(heard), voice.embedding, rtol=1e-3, atol=1e-4)


def test_every_40_ms_begun_have_a_code() -> None:
    encoders = Encoders.open(setup().config("onnx", STREAMED))
    assert len(encoders.codes(SPEECH[: 10 * TOKEN_SAMPLES])) == 10
    assert len(encoders.codes(SPEECH[: 10 * TOKEN_SAMPLES + 1])) == 11


def test_the_prompt_cache_is_what_the_way_says() -> None:
    exact, cached = (
        open_backend(setup().config(way, STREAMED)).synthesizer for way in ("onnx", "onnx, prompt cache")
    )
    assert isinstance(exact, ChatterboxSynthesizer)
    assert isinstance(cached, ChatterboxSynthesizer)
    assert exact.prompts is None
    assert cached.prompts is not None


def test_the_vocoder_alone_gives_audio_of_the_same_length_and_the_same_again() -> None:
    vocoding = Vocoding(tiny_weights())
    one, again, other = (vocoding.render(SPEECH, seed).samples for seed in (1, 1, 2))
    assert len(one) == pytest.approx(1.7 * SAMPLE_RATE_HZ, abs=480)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_a_plan_of_the_threads_reaches_the_engine() -> None:
    assert replace(setup(), threads=2).config("onnx", STREAMED).threads == 2
