"""The speaker encoders' training, on two voices that buzz."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engines.nets.voice_encoder import VoiceEncoder
from engines.nets.xvector import XVector
from engines.voices.features import RATE_16K_HZ, kaldi_fbank, voice_encoder_partials
from export.pocket import speakers
from export.pocket.flite import VOICES
from export.pocket.model import POCKET
from export.pocket.speakers import (
    SPEEDS,
    Voices,
    draw_crops,
    judge,
    load_speakers,
    speaker_shares,
    sped,
    train_speakers,
)
from tests.export.pocket.made_corpus import FORMANT_HZ, make_audio

PLAN = replace(speakers.PLAN, steps=4, warmup_steps=1, average=0.5, log_every=1, judge_every=4, save_every=2)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    make_audio(folder / "corpus", shards=2)
    return folder


@pytest.fixture
def voices(work: Path) -> Voices:
    return Voices(work / "corpus", [0, 1])


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("CROPS", 8), ("CROP_S", (1.5, 1.6)), ("_JUDGED_CROPS", 2), ("_JUDGED_S", 1.7)):
        monkeypatch.setattr(speakers, name, value)


def loudest_hz(samples: NDArray[np.float32]) -> float:
    spectrum = np.abs(np.fft.rfft(samples))
    return float(spectrum.argmax() * RATE_16K_HZ / len(samples))


@pytest.mark.parametrize("voice", VOICES)
def test_a_crop_is_of_one_voice_however_long(voices: Voices, voice: str) -> None:
    draw = np.random.default_rng(0)
    for seconds in (0.5, 2.5, 7.0):
        crop = voices.crop(voice, int(seconds * RATE_16K_HZ), draw)
        assert len(crop) == int(seconds * RATE_16K_HZ)
        assert loudest_hz(crop) == pytest.approx(FORMANT_HZ[voice], rel=0.08)


@pytest.mark.parametrize("speed", [SPEEDS[0], SPEEDS[-1]])
def test_a_faster_voice_is_a_higher_one(voices: Voices, speed: float) -> None:
    found = sped(voices, "rms", speed, 2 * RATE_16K_HZ, np.random.default_rng(0))
    assert len(found) == 2 * RATE_16K_HZ
    assert loudest_hz(found) == pytest.approx(speed * FORMANT_HZ["rms"], rel=0.08)


def test_a_voice_at_a_listed_speed_is_one_speaker() -> None:
    shares = np.stack([speaker_shares(voice, speed) for voice in VOICES for speed in SPEEDS])
    assert (shares == np.eye(len(VOICES) * len(SPEEDS))).all()


def test_a_voice_between_two_speeds_is_partly_each() -> None:
    shares = speaker_shares("awb", (SPEEDS[2] + SPEEDS[3]) / 2)
    assert shares == pytest.approx([0, 0, 0, 0, 0, 0, 0, 0.5, 0.5, 0])


def test_crops_of_a_step_are_of_both_voices_and_one_length(voices: Voices) -> None:
    crops, shares = draw_crops(voices, np.random.default_rng(0), count=6)
    assert len({len(crop) for crop in crops}) == 1
    assert shares.sum(1) == pytest.approx(np.ones(6))
    assert shares[:, : len(SPEEDS)].sum(1) == pytest.approx([1, 0, 1, 0, 1, 0])


def test_the_same_draw_gives_the_same_crops(voices: Voices) -> None:
    one, other = (draw_crops(voices, np.random.default_rng(3), count=2)[0] for _ in range(2))
    assert all((a == b).all() for a, b in zip(one, other, strict=True))


def test_a_stopped_training_goes_on_and_is_loaded_as_it_ended(work: Path, few: None) -> None:
    train_speakers(work, plan=replace(PLAN, steps=2))
    trained = train_speakers(work, plan=PLAN)
    steps = [json.loads(line)["step"] for line in (work / "runs/speakers/log.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 2, 3, 4, 4]
    for net, loaded in zip(trained, load_speakers(work), strict=True):
        assert not loaded.training
        states = net.state_dict(), loaded.state_dict()
        assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_nets_learn_to_tell_the_voices(tmp_path: Path, few: None) -> None:
    make_audio(tmp_path / "corpus", shards=2)
    plan = replace(PLAN, steps=12, learning_rate=1e-2, judge_every=12)
    xvector, voice_encoder = train_speakers(tmp_path, plan=plan)
    log = [json.loads(line) for line in (tmp_path / "runs/speakers/log.jsonl").read_text().splitlines()]
    told_apart = math.log(len(SPEEDS))  # the voices well, their speeds not at all
    for name in ("xvector", "voice_encoder"):
        losses = [each[name] for each in log if name in each]
        assert losses[0] > told_apart + 0.5
        assert np.mean(losses[-4:]) < told_apart
    crop = Voices(tmp_path / "corpus", [1]).crop("rms", 2 * RATE_16K_HZ, np.random.default_rng(0))
    with torch.no_grad():
        embedding = xvector(torch.from_numpy(kaldi_fbank(crop))[None])
        speaker = voice_encoder(torch.from_numpy(voice_encoder_partials(crop)))
    assert embedding.shape == (1, POCKET.xvector.width)
    assert speaker.norm(dim=1) == pytest.approx(np.ones(len(speaker)), abs=1e-5)


def test_judging_compares_voices_on_crops_of_their_own(voices: Voices, few: None) -> None:
    class Bright(torch.nn.Module):
        """One direction for each voice: the higher formant is heard in band 60."""

        def __init__(self) -> None:
            super().__init__()
            self.somewhere = torch.nn.Parameter(torch.zeros(0))

        def forward(self, fbank: torch.Tensor) -> torch.Tensor:
            bright = fbank[..., 60].std(1) > 0.9
            return torch.nn.functional.one_hot(bright.long(), 2).float()

    judged = judge(cast(XVector, Bright()), VoiceEncoder(POCKET.voice_encoder).eval(), voices)
    assert judged["xvector_same"] == judged["xvector_same_low"] == judged["xvector_faster"] == 1
    assert judged["xvector_other"] == judged["xvector_other_high"] == 0
    assert judged["voice_encoder_same_low"] <= judged["voice_encoder_same"] <= 1
