"""The flow's training, at the pocket estimator's width and with less of everything else."""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engines import noise
from engines.model import MEL_BANDS, EncoderConfig, ModelConfig
from engines.nets.s3_estimator import ConvBlock
from engines.nets.s3_flow import S3Flow
from engines.rates import MEL_FRAMES_PER_TOKEN
from export.pocket import flow, windows
from export.pocket.flite import VOICES
from export.pocket.flow import (
    begin_at,
    flow_losses,
    judge,
    keep_gradients_laid_out,
    load_flow,
    render_mel,
    speaker_pool,
    train_flow,
    walk,
)
from export.pocket.model import POCKET
from export.pocket.windows import Batch, Layout, Library, Pool, said
from tests.export.pocket.made_corpus import make_audio, make_features

SMALL = replace(
    POCKET,
    encoder=EncoderConfig(width=32, heads=2, feed_forward=32, layers=1, up_layers=1),
    estimator=replace(POCKET.estimator, heads=1, head_width=16),
)
PLAN = replace(flow.PLAN, steps=4, warmup_steps=1, average=0.5, log_every=1, judge_every=4, save_every=2)
LAYOUT = Layout(rows=3, prompt_tokens=20, window_tokens=12, blocked_tokens=0)
MEAN_MEL = np.linspace(-3, -8, MEL_BANDS)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "POCKET", SMALL)
    monkeypatch.setattr(windows, "BATCH_TOKENS", 100)
    for name, value in (
        ("_JUDGED_BATCHES", 1),
        ("_JUDGED_ROWS", 2),
        ("_JUDGED_PROMPT", 20),
        ("_JUDGED_WINDOW", 12),
    ):
        monkeypatch.setattr(flow, name, value)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    make_features(tmp_path, shards=2, lengths=(30, 40, 130))
    (tmp_path / "runs/flow").mkdir(parents=True)
    np.savez(tmp_path / "runs/flow/speakers.npz", **_speakers(SMALL))  # type: ignore[arg-type]
    return tmp_path


@pytest.fixture
def library(work: Path) -> Library:
    return Library(list(said(work, 0)), _speakers(SMALL))


@pytest.fixture
def batch(library: Library) -> Batch:
    return library.batch(LAYOUT, np.random.default_rng(0))


@pytest.fixture
def net() -> S3Flow:
    torch.manual_seed(0)
    net = S3Flow(SMALL)
    begin_at(net, MEAN_MEL)
    return net


def _speakers(model: ModelConfig) -> Pool:
    draw = np.random.default_rng(0)
    return {voice: draw.standard_normal((3, model.xvector.width), np.float32) for voice in VOICES}


@pytest.mark.parametrize("blocked_tokens", [0, 17])
def test_the_walk_ends_where_the_flow_does(net: S3Flow, batch: Batch, blocked_tokens: int) -> None:
    batch = batch._replace(blocked_tokens=blocked_tokens)
    length = torch.full((LAYOUT.rows,), batch.tokens.shape[1])
    inputs = (batch.tokens, length, batch.embedding, batch.cond, batch.noise)
    with torch.no_grad():
        spoken = net(*inputs, blocked_tokens=blocked_tokens)
        torch.testing.assert_close(walk(net, batch)[-1], spoken)


def test_first_weights_lead_from_noise_to_the_mean_mel(net: S3Flow, batch: Batch) -> None:
    with torch.no_grad():
        mean, first, end = walk(net, batch)
    assert (batch.noise - mean).abs().mean() > 4
    assert (first - mean).abs().mean() < 1
    assert (end - mean).abs().mean() < 0.15
    assert mean.mean((0, 2)).numpy() == pytest.approx(MEAN_MEL, abs=1)


def test_first_weights_all_learn(net: S3Flow, batch: Batch) -> None:
    flow_losses(net, batch)["loss"].backward()  # type: ignore[no-untyped-call]
    still = [name for name, each in net.named_parameters() if each.grad is None or not each.grad.any()]
    # Keys' biases move all scores of a query alike, and of one row's blocks nothing else is still.
    assert [name for name in still if not name.endswith("linear_k.bias")] == []


def test_frames_of_no_weight_do_not_count(net: S3Flow, batch: Batch) -> None:
    weight = batch.weight.clone()
    weight[..., -6:] = 0
    spoilt = batch.mel.clone()
    spoilt[..., -6:] += 100
    with torch.no_grad():
        told, other = (
            flow_losses(net, batch._replace(weight=weight, mel=mel))["mel"] for mel in (batch.mel, spoilt)
        )
    assert told == other


def test_losses_are_mean_distances_of_the_walks_stops(net: S3Flow, batch: Batch) -> None:
    even = batch._replace(weight=torch.ones_like(batch.weight))
    with torch.no_grad():
        found = flow_losses(net, even)
        stops = walk(net, even)
    for name, mel in zip(("mean", "first", "mel"), stops, strict=True):
        assert float(found[name]) == pytest.approx(float((mel - batch.mel).abs().mean()), rel=0.02)


def test_gradients_are_the_same_however_they_lie(net: S3Flow, batch: Batch) -> None:
    plain, laid = (_gradients(net, batch, lay_out) for lay_out in (False, True))
    assert len(laid) == len(plain)
    for one, other in zip(plain, laid, strict=True):
        torch.testing.assert_close(one, other)
    assert not any(each._forward_hooks for each in net.modules())


def _gradients(net: S3Flow, batch: Batch, lay_out: bool) -> list[torch.Tensor]:
    net.zero_grad()
    with keep_gradients_laid_out(net) if lay_out else nullcontext():
        hooked = sum(bool(each._forward_hooks) for each in net.modules() if isinstance(each, ConvBlock))
        assert hooked == (7 if lay_out else 0)
        walk(net, batch)[-1].abs().mean().backward()  # type: ignore[no-untyped-call]
    return [each.grad.clone() for each in net.parameters() if each.grad is not None]


def test_rendering_is_the_flow_after_a_prompt(net: S3Flow, library: Library) -> None:
    row = library.batch(replace(LAYOUT, rows=1), np.random.default_rng(1))
    codes, mel = row.tokens[0].numpy(), row.mel[0].T.numpy()
    net = net.eval().requires_grad_(False)
    rendered = render_mel(net, codes[20:], codes[:20], mel[:40], row.embedding[0].numpy(), seed=5)
    assert rendered.shape == (MEL_FRAMES_PER_TOKEN * 12, MEL_BANDS)
    noises = np.concatenate((noise.prompt_noise(40), noise.mel_noise(5, 0, 24)), 1)
    spoken = walk(net, row._replace(noise=torch.from_numpy(noises)[None]))[-1][0, :, 40:].T
    assert rendered == pytest.approx(spoken.numpy(), abs=1e-4)


def test_rendering_needs_no_prompt(net: S3Flow) -> None:
    nothing = np.zeros(0, np.int64), np.zeros((0, MEL_BANDS), np.float32)
    embedding = np.ones(SMALL.xvector.width, np.float32)
    assert render_mel(net, np.arange(7), *nothing, embedding, seed=0).shape == (14, MEL_BANDS)


def test_judging_tells_whose_voice_a_swapped_window_has(
    library: Library, net: S3Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_prompt(net: S3Flow, batch: Batch) -> tuple[torch.Tensor, ...]:
        mel = batch.mel[..., :40].mean(2, keepdim=True).expand_as(batch.mel)
        return mel, mel, mel

    def of_codes(net: S3Flow, batch: Batch) -> tuple[torch.Tensor, ...]:
        return batch.mel, batch.mel, batch.mel

    monkeypatch.setattr(flow, "walk", of_prompt)
    assert judge(net, library)["swapped"] == 1
    monkeypatch.setattr(flow, "walk", of_codes)
    assert judge(net, library) == {"mean": 0, "first": 0, "mel": 0, "detail": 1, "swapped": 0}


def test_a_stopped_training_goes_on_and_is_loaded_as_it_ended(work: Path) -> None:
    train_flow(work, replace(PLAN, steps=2))
    trained = train_flow(work, PLAN)
    log = [json.loads(line) for line in (work / "runs/flow/log.jsonl").read_text().splitlines()]
    assert [each["step"] for each in log] == [1, 2, 2, 3, 4, 4]
    assert {"held_out_mel", "held_out_swapped"} <= log[-1].keys()
    loaded = load_flow(work)
    assert not loaded.training
    assert all(torch.equal(trained.state_dict()[name], each) for name, each in loaded.state_dict().items())


def test_training_lays_first_weights_once_and_then_learns(
    work: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    laid: list[NDArray[np.float64]] = []
    monkeypatch.setattr(flow, "begin_at", lambda net, mean_mel: laid.append(mean_mel))
    plan = replace(PLAN, steps=10, learning_rate=4e-3, judge_every=10)
    train_flow(work, replace(plan, steps=5))
    train_flow(work, plan)
    (mean_mel,) = laid
    assert mean_mel == pytest.approx((library.mean_mel("rms") + library.mean_mel("awb")) / 2)
    log = [json.loads(line) for line in (work / "runs/flow/log.jsonl").read_text().splitlines()]
    losses = [each["mel"] for each in log if "mel" in each]
    assert losses[0] > 4, "the mel is far from noise"
    assert losses[-1] < 0.75 * losses[0]


def test_speakers_of_a_voice_are_drawn_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_audio(tmp_path / "corpus", shards=1)
    monkeypatch.setattr(flow, "POOL", 2)
    monkeypatch.setattr(flow, "POOL_S", (1.0, 1.1))
    made = speaker_pool(tmp_path, [0])
    assert {voice: each.shape for voice, each in made.items()} == dict.fromkeys(
        VOICES, (2, POCKET.xvector.width)
    )
    monkeypatch.setattr(flow, "load_speakers", _unwanted)
    assert all((speaker_pool(tmp_path, [0])[voice] == made[voice]).all() for voice in VOICES)


def _unwanted(work: Path) -> None:
    raise AssertionError("they were kept")
