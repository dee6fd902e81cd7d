"""The vocoder's last training, on the flow's own mel."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engines.rates import HOP_SAMPLES
from export.pocket import tune as room
from export.pocket.training import Run
from export.pocket.tune import PLAN, Rendered, draw_crops, load_tuned, tune_vocoder
from export.pocket.vocoder import load_vocoder
from tests.export.pocket.made_corpus import make_audio

FRAMES = 60


def rendered(voiced: bool = True) -> Rendered:
    """Each mel frame and each sample says which frame it is."""
    frame = np.arange(FRAMES)
    mel = np.repeat(frame[:, None], 80, 1).astype(np.float16)
    samples = np.repeat(frame, HOP_SAMPLES).astype(np.float32)
    pitch_hz = np.repeat(100.0 + frame if voiced else 0.0 * frame, 4)
    return Rendered(mel, samples, pitch_hz)


def test_a_crop_has_the_audio_and_the_pitch_of_its_mel_frames() -> None:
    batch = draw_crops([rendered()], np.random.default_rng(0), 16)
    firsts = set()
    for mel, audio, f0 in zip(batch.mel, batch.audio, batch.f0, strict=True):
        frames = audio.reshape(-1, HOP_SAMPLES)
        assert torch.equal(mel[0], frames[:, 0])
        assert torch.equal(frames[:, 0], frames[:, -1])
        assert (f0 - 100 - mel[0]).abs().max() < 1.5
        firsts.add(float(mel[0, 0]))
    assert len(firsts) > 5


def test_utterances_that_are_too_short_give_no_crops() -> None:
    short = rendered()
    short = replace(short, mel=short.mel[:20], samples=short.samples[: 20 * HOP_SAMPLES])
    batch = draw_crops([short, rendered(voiced=False)], np.random.default_rng(1), 12)
    assert (batch.f0 == 0).all()


def test_without_tuning_the_trained_vocoder_is_what_is_packed(tmp_path: Path) -> None:
    trained, tuned = load_vocoder(tmp_path), load_tuned(tmp_path)
    for mine, other in zip(tuned.parameters(), trained.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_tuning_begins_at_the_trained_weights_and_is_what_is_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_audio(tmp_path / "corpus", 2)
    monkeypatch.setattr(room, "render_corpus", lambda work, number: [rendered()] * 22)
    plan = replace(PLAN, steps=1, warmup_steps=0, learning_rate=1e-3, average=0.0)
    tuned = tune_vocoder(tmp_path, plan)
    trained = load_vocoder(tmp_path)
    moved = [
        float((mine - other).detach().abs().max())
        for mine, other in zip(tuned.parameters(), trained.parameters(), strict=True)
        if mine.requires_grad
    ]
    assert 0 < max(moved) < 0.01, "a step away from them"
    again = load_tuned(tmp_path)
    assert all(
        torch.equal(mine, other) for mine, other in zip(again.parameters(), tuned.parameters(), strict=True)
    )
    assert Run(tmp_path / "runs" / "tune", {"vocoder": load_vocoder(tmp_path)}, plan).step == 1
