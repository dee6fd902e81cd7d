"""The vocoder's training, on a corpus of made waves and a net of TINY's size."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engines.nets.s3_vocoder import S3Vocoder, Snake
from engines.rates import HOP_SAMPLES, MEL_HZ
from engines.voices.features import prompt_mel
from export.pocket import vocoder
from export.pocket.corpus import Shard, Utterance, to_24k
from export.pocket.flite import FLITE_HZ, PITCH_HZ
from export.pocket.training import Plan
from export.pocket.vocoder import (
    CROP_FRAMES,
    SPEECH_TOP_HZ,
    Batch,
    Crops,
    VocoderLoss,
    _QuickSnake,
    load_vocoder,
    mel_pitch,
    render,
    train_vocoder,
    true_source,
)
from tests.fakes.tiny_model import TINY

SMALL = replace(
    TINY,
    vocoder=replace(TINY.vocoder, channels=16, f0_channels=8, resblock_kernels=(3,), resblock_dilations=(1,)),
)
PLAN = Plan(steps=2, learning_rate=3e-3, log_every=1, judge_every=2, save_every=1)
LOG = Path("runs", "vocoder", "log.jsonl")
PITCH_SAMPLES = FLITE_HZ // PITCH_HZ
PITCH_PER_MEL = PITCH_HZ // MEL_HZ


@pytest.fixture(autouse=True)
def _few_crops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocoder, "BATCH", 2)
    monkeypatch.setattr(vocoder, "JUDGED_CROPS", 2)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards of two utterances: a buzz whose pitch glides, between noises."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "corpus").mkdir()
    for number in range(2):
        write_shard(folder / "corpus", number)
    return folder


def write_shard(folder: Path, number: int) -> None:
    draw = np.random.default_rng(number)
    pcm, pitch, lines = [], [], []
    for start in (0, 2 * FLITE_HZ):
        hz = np.linspace(90, 130, 2 * PITCH_HZ)
        hz[:60] = hz[-70:] = 0
        samples = buzz(hz) + 0.003 * draw.standard_normal(2 * FLITE_HZ)
        pcm.append((samples * 32_767).astype(np.int16))
        pitch.append(hz.astype(np.float16))
        made = Utterance("rms", "words", "a buzz", start, len(samples), ("b",), (2.0,), (0,))
        lines.append(json.dumps(asdict(made)))
    (folder / f"{number:03}.pcm").write_bytes(np.concatenate(pcm).tobytes())
    (folder / f"{number:03}.pitch").write_bytes(np.concatenate(pitch).tobytes())
    (folder / f"{number:03}.jsonl").write_text("\n".join(lines) + "\n")


def buzz(hz: NDArray[Any]) -> NDArray[Any]:
    every = np.repeat(hz, PITCH_SAMPLES)
    angle = 2 * np.pi * np.cumsum(every) / FLITE_HZ
    harmonics = np.arange(1, 12)[:, None]
    found: NDArray[Any] = 0.02 * (every > 0) * np.sin(harmonics * angle).sum(0)
    return found


def batch(work: Path, rows: int = 3, seed: int = 0) -> Batch:
    return Crops(work / "corpus", [0]).batch(np.random.default_rng(seed), rows)


def test_a_crop_is_mel_audio_and_pitch_of_the_same_time(work: Path) -> None:
    mel, audio, f0, phase = batch(work)
    assert mel.shape == (3, 80, CROP_FRAMES)
    assert audio.shape == (3, CROP_FRAMES * HOP_SAMPLES)
    assert f0.shape == phase.shape == (3, CROP_FRAMES)
    for row in range(3):
        again = prompt_mel(audio[row].numpy())
        inner = slice(2, -2)  # the crop's mel saw what is around it
        assert np.abs(again[inner].T - mel[row].numpy()[:, inner]).max() < 0.05


def test_a_crops_samples_are_the_corpus_at_24_khz(work: Path) -> None:
    shard = Shard.open(work / "corpus", 0)
    whole = np.stack([to_24k(shard.samples(each)) for each in shard.utterances])
    found = batch(work, 1).audio[0, HOP_SAMPLES:-HOP_SAMPLES].numpy()
    starts = range(0, whole.shape[1] - len(found), HOP_SAMPLES // PITCH_PER_MEL)
    nearest = min(np.abs(row[start:][: len(found)] - found).max() for row in whole for start in starts)
    assert nearest < 1e-3


def test_a_crops_pitch_is_there_where_its_audio_is_loud(work: Path) -> None:
    given = batch(work, 8)
    level = given.audio.reshape(8, CROP_FRAMES, HOP_SAMPLES).square().mean(2).sqrt()
    agree = ((level > 0.02) == (given.f0 > 0)).float().mean()
    assert 0.1 < float((given.f0 > 0).float().mean()) < 0.9
    assert float(agree) > 0.95  # but where a frame is voiced in part


def test_crops_follow_from_the_draw_alone(work: Path) -> None:
    one, same, other = batch(work), batch(work), batch(work, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not torch.equal(one.audio, other.audio)


def test_the_pitch_of_a_mel_frame_is_how_far_its_phase_goes() -> None:
    hz = np.linspace(90, 130, 200, dtype=np.float64)
    f0, phase = mel_pitch(hz, 20, 30)
    advanced = phase[:-1] + f0[:-1] / MEL_HZ
    assert np.abs((advanced - phase[1:] + 0.5) % 1 - 0.5).max() < 1e-4
    assert np.abs(f0 - hz[20 : 20 + 30 * PITCH_PER_MEL : PITCH_PER_MEL]).max() < 1.0


def test_the_phase_counts_from_where_the_voice_begins_wherever_a_crop_does() -> None:
    hz = np.concatenate((np.zeros(12), np.linspace(100, 120, 100), np.zeros(12)))
    early, late = mel_pitch(hz, 8, 12), mel_pitch(hz, 16, 10)
    np.testing.assert_allclose(early[0][2:], late[0], rtol=1e-5)
    np.testing.assert_allclose(early[1][2:], late[1], atol=1e-4)


def test_a_mel_frame_is_voiced_when_half_of_it_is() -> None:
    hz = np.zeros(40)
    hz[10:21] = 100
    f0, phase = mel_pitch(hz, 0, 10)
    assert (f0 > 0).tolist() == [False, False, True, True, True, False, False, False, False, False]
    assert phase[~(f0 > 0)].tolist() == [0.0] * 7
    np.testing.assert_allclose(f0[2:5], 100, rtol=1e-4)


def test_a_single_voiced_frame_has_a_pitch() -> None:
    hz = np.zeros(16)
    hz[8:10] = 80
    f0, _ = mel_pitch(hz, 0, 4)
    np.testing.assert_allclose(f0, [0, 0, 80, 0])


def test_the_source_repeats_with_the_true_pitch(work: Path) -> None:
    net = S3Vocoder(SMALL)
    frames = 8
    given = Batch(
        torch.zeros(1, 80, frames),
        torch.zeros(1, frames * HOP_SAMPLES),
        torch.full((1, frames), 100.0),
        torch.zeros(1, frames),
    )
    with torch.no_grad():
        source = true_source(net, given, np.random.default_rng(0))[0]
    period = 240
    assert (source[period:] - source[:-period]).abs().max() < 0.1 * (source.max() - source.min())


def test_the_source_begins_each_mel_frame_at_the_phase_it_is_given() -> None:
    model = replace(SMALL, vocoder=replace(SMALL.vocoder, harmonics=0))
    net = S3Vocoder(model)
    with torch.no_grad():
        net.m_source.l_linear.weight.fill_(1)
        net.m_source.l_linear.bias.zero_()
        f0, phase = torch.full((1, 4), 100.0), torch.tensor([[0.0, 0.25, 0.5, 0.75]])
        given = Batch(torch.zeros(1, 80, 4), torch.zeros(1, 4 * HOP_SAMPLES), f0, phase)
        source = true_source(net, given, np.random.default_rng(0)).reshape(4, HOP_SAMPLES)
    np.testing.assert_allclose(source[:, 0], [0, 0.1, 0, -0.1], atol=0.02)


def test_the_same_audio_is_at_no_distance(work: Path) -> None:
    given = batch(work)
    found = VocoderLoss().compare(given.audio, given.f0, given)
    assert {name: float(value) for name, value in found.items()} == dict.fromkeys(found, 0.0)


@pytest.mark.parametrize("hz", [1_000, 6_000, 10_000])
def test_a_tone_too_much_counts_and_most_on_the_line(work: Path, hz: int) -> None:
    given, loss = batch(work), VocoderLoss()

    def told(tone_hz: int) -> float:
        tone = 0.01 * torch.sin(2 * np.pi * tone_hz / 24_000 * torch.arange(given.audio.shape[1]))
        return float(loss.compare(given.audio + tone, given.f0, given)["linear"])

    assert told(hz) > 0.001
    assert hz >= SPEECH_TOP_HZ or told(hz) > 1.5 * told(10_000)
    assert told(1_000) >= told(hz)


def test_a_wrong_pitch_alone_is_told_in_hz(work: Path) -> None:
    given = batch(work)
    found = VocoderLoss().compare(given.audio, given.f0 + 7, given)
    assert float(found["pitch_hz"]) == pytest.approx(7, rel=1e-5)
    assert float(found["loss"]) > 0


def test_training_reaches_every_parameter(work: Path) -> None:
    net = S3Vocoder(SMALL)
    VocoderLoss()(net, batch(work), np.random.default_rng(0))["loss"].backward()
    assert [name for name, each in net.named_parameters() if each.grad is None or not each.grad.any()] == []


def test_training_lowers_the_loss(work: Path, tmp_path: Path) -> None:
    (tmp_path / "corpus").symlink_to(work / "corpus")
    train_vocoder(tmp_path, replace(PLAN, steps=8, warmup_steps=2, judge_every=8, save_every=8), model=SMALL)
    records = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    losses = [record["loss"] for record in records if "loss" in record]
    assert np.mean(losses[-2:]) < 0.95 * np.mean(losses[:2])
    told = {"loss", "mel", "own_mel", "own_line", "f0_error_hz", "voicing_error"}
    assert {f"held_out_{name}" for name in told} <= set(records[-1])


def test_the_sources_sines_keep_their_height(work: Path, tmp_path: Path) -> None:
    (tmp_path / "corpus").symlink_to(work / "corpus")
    source = train_vocoder(tmp_path, PLAN, model=SMALL).m_source.l_linear
    assert source.weight.tolist() == [[vocoder.SINE_WEIGHT] * (SMALL.vocoder.harmonics + 1)]
    assert source.bias.tolist() == [0.0]


def test_training_that_was_stopped_goes_on(work: Path, tmp_path: Path) -> None:
    for name in ("stopped", "whole"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "corpus").symlink_to(work / "corpus")
    once = train_vocoder(tmp_path / "whole", PLAN, model=SMALL)
    shorter = replace(PLAN, steps=1)
    assert shorter.rate_at(0) == PLAN.rate_at(0)
    train_vocoder(tmp_path / "stopped", shorter, model=SMALL)
    twice = train_vocoder(tmp_path / "stopped", PLAN, model=SMALL)
    for one, other in zip(once.parameters(), twice.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_the_quick_snake_is_snake_and_has_its_gradients() -> None:
    torch.manual_seed(0)
    snake = Snake(3)
    snake.alpha.data = torch.tensor([0.5, 1.3, 2.0])
    x, given = torch.randn(2, 3, 9), torch.randn(2, 3, 9)
    found = []
    for each in (snake, _QuickSnake(snake.alpha)):
        snake.alpha.grad = None
        placed = x.clone().requires_grad_()
        y = each(placed)
        y.backward(given)
        found.append((y.detach(), placed.grad, snake.alpha.grad))
    for plain, quick in zip(*found, strict=True):
        torch.testing.assert_close(plain, quick)


def test_a_trained_vocoder_comes_back_and_renders_the_same(work: Path, tmp_path: Path) -> None:
    (tmp_path / "corpus").symlink_to(work / "corpus")
    trained = train_vocoder(tmp_path, PLAN, model=SMALL)
    again = load_vocoder(tmp_path, model=SMALL)
    mel = batch(work).mel[0].T.numpy()
    first, second = render(trained, mel), render(again, mel)
    state = torch.load(tmp_path / "runs" / "vocoder" / "state.pt")
    trainable = [each for each in again.parameters() if each.requires_grad]
    assert all(torch.equal(a, b) for a, b in zip(trainable, state["average"], strict=True))
    assert first.shape == (len(mel) * HOP_SAMPLES,)
    assert not again.training
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, render(again, mel, seed=1))
