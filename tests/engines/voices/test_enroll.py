"""Enrolling: the parts of a voice, and how much of the recording each is made from."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.backends.runner import Runner, Tensors
from engines.backends.signature import VOICE_CODES, VOICE_SPEAKER, VOICE_XVECTOR
from engines.errors import InvalidRequest
from engines.voices.enroll import Enroller
from engines.voices.features import kaldi_fbank, log_mel_128, voice_encoder_partials
from engines.voices.loudness import normalise
from engines.voices.resample import sinc_24k_to_16k, to_16k
from tests.engines.voices.speechlike import speechlike
from tests.engines.voices.voice_nets import VoiceNets
from tests.fakes.tiny_model import TINY

RATE_HZ = 24_000


class Listening:
    """A runner that keeps what each graph was given."""

    compute_dtype = np.float32

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.heard: dict[str, list[NDArray[Any]]] = {VOICE_CODES: [], VOICE_SPEAKER: [], VOICE_XVECTOR: []}

    def has(self, graph: str) -> bool:
        return self._runner.has(graph)

    def run(self, graph: str, inputs: Tensors) -> dict[str, NDArray[Any]]:
        self.heard[graph].extend(inputs.values())
        return self._runner.run(graph, inputs)


@pytest.fixture(scope="module")
def nets() -> VoiceNets:
    return VoiceNets(TINY, seed=1)


def test_all_five_parts_are_made_as_the_model_takes_them(nets: VoiceNets) -> None:
    voice = Enroller(nets, TINY).enroll(speechlike(11.0))
    assert voice.speaker.shape == (256,)
    assert np.linalg.norm(voice.speaker) == pytest.approx(1)
    assert voice.t3_prompt.shape == (TINY.t3.prompt_tokens,)
    assert voice.s3_prompt.shape == (250,)
    assert voice.s3_prompt_mel.shape == (500, 80)
    assert voice.embedding.shape == (192,)
    for codes in (voice.t3_prompt, voice.s3_prompt):
        assert codes.dtype == np.int64
        assert len(np.unique(codes)) > 5
    for part in (voice.speaker, voice.s3_prompt_mel, voice.embedding):
        assert part.dtype == np.float32


def test_warming_up_runs_every_graph(nets: VoiceNets) -> None:
    listening = Listening(nets)
    Enroller(listening, TINY).warm_up()
    assert all(listening.heard.values())


def test_it_is_told_where_a_voice_came_from(nets: VoiceNets) -> None:
    origin = Enroller(nets, TINY).enroll(speechlike(6.5)).origin
    assert origin["seconds"] == 6.5
    assert -40 < origin["loudness_lufs"] < -10
    assert origin["peak"] == pytest.approx(0.5, abs=1e-3)


def test_s3_hears_10_s_t3_15_s_and_the_speaker_all(nets: VoiceNets) -> None:
    listening = Listening(nets)
    Enroller(listening, TINY).enroll(speechlike(20.0))
    s3_prompt, t3_prompt = listening.heard[VOICE_CODES]
    assert s3_prompt.shape == (1, 128, 1_000)
    assert t3_prompt.shape == (1, 128, 4 * TINY.t3.prompt_tokens)
    assert [each.shape for each in listening.heard[VOICE_XVECTOR]] == [(1, 998, 80)]
    (partials,) = listening.heard[VOICE_SPEAKER]
    assert len(partials) >= 24  # 20 s, one each 0.77 s


def test_s3_hears_as_much_as_its_model_says(nets: VoiceNets) -> None:
    listening = Listening(nets)
    voice = Enroller(listening, replace(TINY, s3_prompt_tokens=75)).enroll(speechlike(8.0))
    assert (voice.s3_prompt.shape, voice.s3_prompt_mel.shape) == ((75,), (150, 80))
    s3_prompt, t3_prompt = listening.heard[VOICE_CODES]
    assert s3_prompt.shape == (1, 128, 300)
    assert t3_prompt.shape == (1, 128, 4 * TINY.t3.prompt_tokens)
    assert [each.shape for each in listening.heard[VOICE_XVECTOR]] == [(1, 298, 80)]


def test_what_comes_after_15_s_does_not_set_the_scale_of_t3s_prompt() -> None:
    """Its silence is 8 decades under the loudest of the first 15 s, not under what shouts after it."""
    model = replace(TINY, t3=replace(TINY.t3, prompt_tokens=375))
    recording = speechlike(17.0) * np.float32(0.3)
    recording[RATE_HZ : 2 * RATE_HZ] = 0
    recording[16 * RATE_HZ :] = 0.9 * np.sin(np.arange(RATE_HZ) / 8)
    listening = Listening(VoiceNets(model))
    Enroller(listening, model).enroll(recording)
    log_mel = listening.heard[VOICE_CODES][1]
    assert log_mel.shape == (1, 128, 1_500)
    assert log_mel.max() - log_mel.min() == pytest.approx(2.0)


def test_s3_hears_by_sinc_and_t3_by_soxr(nets: VoiceNets) -> None:
    recording = speechlike(7.0)
    level = normalise(recording)
    listening = Listening(nets)
    Enroller(listening, TINY).enroll(recording)
    by_sinc, by_soxr = sinc_24k_to_16k(level), to_16k(level)
    s3_prompt, t3_prompt = listening.heard[VOICE_CODES]
    np.testing.assert_array_equal(s3_prompt[0], log_mel_128(by_sinc))
    np.testing.assert_array_equal(listening.heard[VOICE_XVECTOR][0][0], kaldi_fbank(by_sinc))
    np.testing.assert_array_equal(t3_prompt[0], log_mel_128(by_soxr)[:, : 4 * TINY.t3.prompt_tokens])
    np.testing.assert_array_equal(listening.heard[VOICE_SPEAKER][0], voice_encoder_partials(by_soxr))


def test_a_quieter_recording_makes_the_same_voice(nets: VoiceNets) -> None:
    enroller = Enroller(nets, TINY)
    loud, quiet = (enroller.enroll(speechlike(6.0) * np.float32(gain)) for gain in (1.0, 0.125))
    np.testing.assert_allclose(quiet.s3_prompt_mel, loud.s3_prompt_mel, atol=1e-3)
    np.testing.assert_allclose(quiet.speaker, loud.speaker, atol=1e-4)
    np.testing.assert_array_equal(quiet.s3_prompt, loud.s3_prompt)


@pytest.mark.parametrize(
    "samples", [5 * RATE_HZ, 5 * RATE_HZ + 479, 5 * RATE_HZ + 481, 6 * RATE_HZ + 960 - 1]
)
def test_two_mel_frames_stay_for_each_code_whatever_the_length(nets: VoiceNets, samples: int) -> None:
    voice = Enroller(nets, TINY).enroll(speechlike(7.0)[:samples])
    assert len(voice.s3_prompt) == samples // 960
    assert len(voice.s3_prompt_mel) == 2 * len(voice.s3_prompt)


def test_a_bad_recording_is_refused_before_any_net_runs(nets: VoiceNets) -> None:
    listening = Listening(nets)
    with pytest.raises(InvalidRequest, match="too short"):
        Enroller(listening, TINY).enroll(speechlike(4.0))
    assert not any(listening.heard.values())
