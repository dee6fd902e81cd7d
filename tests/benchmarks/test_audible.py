from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.audible import AUDIBLE_DBOV, Onset, SampleReader, Samples, first_audible_sample
from telephony.format import AudioFormat, Encoding
from tests.fakes.speech_audio import silence_then_tone

AUDIBLE = 10 ** (AUDIBLE_DBOV / 20)


def read(encoding: str, rate_hz: int, audio: bytes) -> Samples:
    return SampleReader(AudioFormat.of(encoding, rate_hz).encoding).push(audio)


@pytest.mark.parametrize(
    ("encoding", "rate_hz"),
    [("mulaw", 8000), ("alaw", 8000), ("pcm16", 8000), ("pcm16", 16_000), ("pcm16", 24_000)],
)
def test_the_onset_is_the_first_sample_of_the_tone(encoding: str, rate_hz: int) -> None:
    audio = silence_then_tone(AudioFormat.of(encoding, rate_hz), silence_ms=130, tone_ms=40)
    assert first_audible_sample(read(encoding, rate_hz, audio), rate_hz) == 130 * rate_hz // 1000


@pytest.mark.parametrize("encoding", ["mulaw", "alaw"])
def test_the_idle_noise_of_g711_is_not_audible(encoding: str) -> None:
    quietest = {"mulaw": b"\xff\x7f\xfe\x7e", "alaw": b"\xd5\x55\xd4\x54"}[encoding]
    assert first_audible_sample(read(encoding, 8000, quietest * 400), 8000) is None


def test_a_level_just_below_the_bound_is_not_audible_and_just_above_is() -> None:
    steady = np.ones(8000, np.float32)
    assert first_audible_sample(steady * np.float32(AUDIBLE * 0.99), 8000) is None
    assert first_audible_sample(steady * np.float32(AUDIBLE * 1.01), 8000) == 0


def test_one_faint_click_is_not_speech() -> None:
    samples = np.zeros(8000, np.float32)
    samples[4000] = AUDIBLE * 2
    assert first_audible_sample(samples, 8000) is None


def test_less_than_a_window_is_not_audible() -> None:
    assert first_audible_sample(np.ones(39, np.float32), 8000) is None
    assert first_audible_sample(np.ones(40, np.float32), 8000) == 0


@settings(max_examples=60, deadline=None)
@given(
    onset=st.integers(0, 400),
    cuts=st.lists(st.integers(0, 600), max_size=12),
    seed=st.integers(0, 100),
)
def test_any_cutting_gives_the_same_onset(onset: int, cuts: list[int], seed: int) -> None:
    samples = np.random.default_rng(seed).normal(0, 0.05, 600).astype(np.float32)
    samples[:onset] *= 0.01
    whole = first_audible_sample(samples, 8000)
    cut = Onset(8000)
    for piece in np.split(samples, sorted(cuts)):
        cut.push(piece)
    assert cut.first_audible_sample == whole


@pytest.mark.parametrize("skipped", [0, 1, 39, 40, 41, 100_000])
def test_skipped_silence_counts_as_silence(skipped: int) -> None:
    quiet, loud = np.full(50, AUDIBLE * 0.5, np.float32), np.full(50, 0.5, np.float32)
    onset = Onset(8000)
    onset.push(quiet)
    onset.skip(skipped)
    onset.push(loud)
    spelled_out = np.concatenate((quiet, np.zeros(skipped, np.float32), loud))
    assert onset.first_audible_sample == first_audible_sample(spelled_out, 8000) == 50 + skipped


@given(cuts=st.lists(st.integers(0, 64), max_size=8))
def test_a_sample_in_two_halves_waits_for_the_second(cuts: list[int]) -> None:
    payload = np.arange(-16, 16, dtype="<i2").tobytes()
    reader = SampleReader(Encoding.PCM16)
    borders = [0, *sorted(cuts), len(payload)]
    pieces = [reader.push(payload[a:b]) for a, b in pairwise(borders)]
    assert (np.concatenate(pieces) * 32768).tolist() == list(range(-16, 16))
