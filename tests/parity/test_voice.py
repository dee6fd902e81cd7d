"""The voice path against the reference: resampling, loudness, features, nets and all five parts of a voice.

The reference computes its features in float32 and we in float64: they differ by the noise of its FFT.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.backends.signature import VOICE_CODES, VOICE_SPEAKER, VOICE_XVECTOR
from engines.model import S3GEN_FILE, TURBO
from engines.voices.enroll import Enroller
from engines.voices.features import (
    RATE_16K_HZ,
    kaldi_fbank,
    log_mel_128,
    prompt_mel,
    slaney_bank,
    voice_encoder_partials,
)
from engines.voices.loudness import loudness_lufs, normalise
from engines.voices.resample import sinc_24k_to_16k, to_16k
from tests.engines.voices.speechlike import speechlike
from tests.engines.voices.voice_nets import VoiceNets
from tests.fakes.tiny_model import TINY
from tests.parity.oracle import ask, relative_error

Answers = dict[str, NDArray[Any]]

SMALL = replace(TINY, t3=replace(TINY.t3, prompt_tokens=TURBO.t3.prompt_tokens))
RECORDINGS = (
    speechlike(5.31, seed=1, silent_ends_s=0.4),  # its ends are trimmed, its mel frames are of odd number
    speechlike(11.0, seed=2) * np.float32(0.1),  # longer than S3Gen hears, and quiet
    speechlike(17.77, seed=3)[:-7],  # longer than T3 hears, and of no round length
)
PARTS = ("speaker", "t3_prompt", "s3_prompt", "s3_prompt_mel", "embedding")


def net_inputs(seconds: float) -> Answers:
    samples_16k = sinc_24k_to_16k(speechlike(seconds, seed=5))
    return {
        "fbank": kaldi_fbank(samples_16k)[None],
        "log_mel": log_mel_128(samples_16k)[None],
        "partials": voice_encoder_partials(samples_16k),
    }


@pytest.fixture(scope="module")
def nets() -> VoiceNets:
    return VoiceNets(SMALL, seed=4)


@pytest.fixture(scope="module")
def theirs(nets: VoiceNets, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    folder = tmp_path_factory.mktemp("voice")
    nets.save(folder)
    recordings = {f"recording_{i}": recording for i, recording in enumerate(RECORDINGS)}
    return ask("voice", folder, {**net_inputs(11.0), **recordings}, folder)


recordings = pytest.mark.parametrize("index", range(len(RECORDINGS)), ids=["trimmed", "quiet", "long"])


@recordings
def test_both_roads_to_16_khz_are_the_references(theirs: Answers, index: int) -> None:
    recording = RECORDINGS[index]
    assert relative_error(sinc_24k_to_16k(recording), theirs[f"recording_{index}.sinc"]) < 1e-6
    assert relative_error(to_16k(recording), theirs[f"recording_{index}.soxr"]) < 1e-6


@recordings
def test_loudness_is_the_references_meter(theirs: Answers, index: int) -> None:
    recording = RECORDINGS[index]
    assert loudness_lufs(recording) == pytest.approx(float(theirs[f"recording_{index}.loudness"]), abs=1e-5)
    assert relative_error(normalise(recording), theirs[f"recording_{index}.normalised"]) < 1e-5


@recordings
def test_features_are_the_references(theirs: Answers, index: int) -> None:
    recording = RECORDINGS[index]
    samples_16k = theirs[f"recording_{index}.sinc"]
    ours = {
        "prompt_mel": prompt_mel(recording),
        "fbank": kaldi_fbank(samples_16k),
        "log_mel": log_mel_128(samples_16k),
        "partials": voice_encoder_partials(samples_16k),
    }
    errors = {name: relative_error(mine, theirs[f"recording_{index}.{name}"]) for name, mine in ours.items()}
    assert max(errors.values()) < 1e-5, errors


def test_the_tokenizers_bank_is_the_one_its_package_ships(theirs: Answers) -> None:
    bank = slaney_bank(RATE_16K_HZ, 400, 128)
    assert np.abs(bank - theirs["mel_filters"]).max() < 1e-8
    assert np.abs(bank - theirs["shipped_mel_filters"]).max() < 1e-8


def assert_nets_agree(nets: VoiceNets, seconds: float, theirs: Answers) -> None:
    inputs = net_inputs(seconds)
    embedding = nets.run(VOICE_XVECTOR, {"fbank": inputs["fbank"]})["embedding"]
    speakers = nets.run(VOICE_SPEAKER, {"partials": inputs["partials"]})["speakers"]
    codes = nets.run(VOICE_CODES, {"log_mel": inputs["log_mel"]})["codes"]
    assert relative_error(embedding, theirs["net.embedding"]) < 1e-5
    assert relative_error(speakers, theirs["net.speakers"]) < 1e-5
    assert np.array_equal(codes, theirs["net.codes"])
    assert len(np.unique(codes)) > 20  # not one code for everything


def test_small_nets_are_the_references(nets: VoiceNets, theirs: Answers) -> None:
    assert_nets_agree(nets, 11.0, theirs)


def test_nets_of_real_size_are_the_references(tmp_path: Path) -> None:
    nets = VoiceNets(TURBO, seed=6)
    nets.save(tmp_path)
    theirs = ask("voice", tmp_path, net_inputs(5.0), tmp_path)
    (tmp_path / S3GEN_FILE).unlink()  # half a gigabyte
    assert_nets_agree(nets, 5.0, theirs)


@recordings
def test_all_five_parts_of_a_voice_are_the_references(nets: VoiceNets, theirs: Answers, index: int) -> None:
    ours = Enroller(nets, SMALL).enroll(RECORDINGS[index])
    theirs = {part: theirs[f"recording_{index}.whole.{part}"] for part in PARTS}
    frames = 2 * len(theirs["s3_prompt"])  # the reference leaves an odd last mel frame
    assert np.array_equal(ours.s3_prompt, theirs["s3_prompt"])
    assert np.array_equal(ours.t3_prompt, theirs["t3_prompt"])
    assert relative_error(ours.s3_prompt_mel, theirs["s3_prompt_mel"][:frames]) < 1e-5
    assert relative_error(ours.embedding, theirs["embedding"]) < 1e-5
    assert relative_error(ours.speaker, theirs["speaker"]) < 1e-5
