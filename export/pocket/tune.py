"""The vocoder's last training: on mel as the flow renders it, which is smoother than speech's own.

As HiFi-GAN is tuned on an acoustic model's output (Kong et al., arXiv:2010.05646): what the flow
blurs the vocoder can learn to hear through. Some of every batch stays true mel.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from engines.nets.s3_vocoder import S3Vocoder
from engines.rates import HOP_SAMPLES, MEL_HZ
from export.pocket.corpus import Shard, shard_numbers, to_24k
from export.pocket.flite import PITCH_HZ
from export.pocket.flow import load_flow, render_mel, speaker_pool
from export.pocket.training import STATE_FILE, Losses, Plan, Run
from export.pocket.vocoder import Batch, Crops, VocoderLoss, load_vocoder, mel_pitch, quicken
from export.pocket.windows import Said, said

PLAN = Plan(steps=600, learning_rate=4e-4, warmup_steps=30, average=0.99, judge_every=300, save_every=100)

RENDERED_S = 1_500
"""Of speech that the flow renders for it."""

ROWS, TRUE_ROWS = 6, 2
_CROP_FRAMES = 32
_PROMPT_CODES = 75
_STAGE = "tune"
_PITCH_PER_MEL = PITCH_HZ // MEL_HZ


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """An utterance with the mel that the flow makes of its codes."""

    mel: NDArray[np.float16]  # (frames, 80)
    samples: NDArray[np.float32]  # (480 * frames,) at 24 kHz, the true ones
    pitch_hz: NDArray[np.float64]  # 200 a second


def tune_vocoder(work: Path, plan: Plan = PLAN, device: str = "cpu") -> S3Vocoder:
    """Train, or go on, in ``work``/runs/tune, from the trained vocoder with the trained flow."""
    net = load_vocoder(work).train()
    quicken(net)
    run = Run(work / "runs" / _STAGE, {"vocoder": net}, plan, device)
    if run.step < plan.steps:
        numbers = shard_numbers(work / "corpus")
        rendered = render_corpus(work, numbers[0])
        true, judged = Crops(work / "corpus", numbers[:1]), rendered[:20]
        loss = VocoderLoss().to(device)
        held_out = draw_crops(judged, np.random.default_rng(0), 24)

        def losses(step: int, draw: np.random.Generator) -> Losses:
            batches = (draw_crops(rendered[20:], draw, ROWS), true.batch(draw, TRUE_ROWS))
            batch = Batch(*(torch.cat(each) for each in zip(*batches, strict=True)))
            found: Losses = loss(net, batch.to(device), draw)
            return found

        run.train(losses, lambda: loss.judge(net, held_out.to(device)))
    return load_tuned(work)


def load_tuned(work: Path) -> S3Vocoder:
    """The tuned vocoder where there is one, else the one that was trained on true mel."""
    net = load_vocoder(work)
    if (work / "runs" / _STAGE / STATE_FILE).is_file():
        Run(work / "runs" / _STAGE, {"vocoder": net}, PLAN).use_average()
    return net.eval()


def render_corpus(work: Path, number: int, seconds: float = RENDERED_S) -> list[Rendered]:
    """A shard's first utterances as the flow renders them, each after a prompt of its own voice."""
    net, pool = load_flow(work), speaker_pool(work, shard_numbers(work / "corpus"))
    shard, spoken = Shard.open(work / "corpus", number), list(said(work, number))
    count = int(np.searchsorted(np.cumsum([len(each.codes) for each in spoken]), seconds * MEL_HZ / 2))
    found = []
    for index in tqdm(range(count), _STAGE, unit=" utterances"):
        each = spoken[index]
        prompt = next(_prompts(spoken, each.voice, index))
        embedding = pool[each.voice][index % len(pool[each.voice])]
        mel = render_mel(
            net,
            each.codes.astype(np.int64),
            prompt.codes[:_PROMPT_CODES].astype(np.int64),
            prompt.mel[: 2 * _PROMPT_CODES].astype(np.float32),
            embedding,
            index,
        )
        utterance = shard.utterances[index]
        samples = to_24k(shard.samples(utterance))[: len(mel) * HOP_SAMPLES]
        pitch_hz = shard.pitch_hz(utterance).astype(np.float64)
        found.append(Rendered(mel.astype(np.float16), samples, pitch_hz))
    return found


def draw_crops(rendered: list[Rendered], draw: np.random.Generator, rows: int) -> Batch:
    """Crops that begin on the flow's own mel frames."""
    long = [each for each in rendered if len(each.samples) >= _CROP_FRAMES * HOP_SAMPLES]
    crops = [_crop(long[draw.integers(len(long))], draw) for _ in range(rows)]
    return Batch(*(torch.from_numpy(np.stack(column)) for column in zip(*crops, strict=True)))


def _crop(each: Rendered, draw: np.random.Generator) -> tuple[NDArray[np.float32], ...]:
    first = int(draw.integers(len(each.samples) // HOP_SAMPLES - _CROP_FRAMES + 1))
    until = first + _CROP_FRAMES
    f0, phase = mel_pitch(each.pitch_hz, first * _PITCH_PER_MEL, _CROP_FRAMES)
    mel = np.ascontiguousarray(each.mel[first:until].T, np.float32)
    return mel, each.samples[first * HOP_SAMPLES : until * HOP_SAMPLES], f0, phase


def _prompts(spoken: list[Said], voice: str, index: int) -> Iterator[Said]:
    """Other utterances of ``voice`` that are long enough for a prompt, the next ones first."""
    others = (*spoken[index + 1 :], *spoken[:index])
    return islice((e for e in others if e.voice == voice and len(e.codes) >= _PROMPT_CODES), 1)
