"""The flow's training: codes, speaker, prompt and noise to mel, by the very two steps that are taken.

The estimator is never asked for other intervals than those two, so it is trained on them alone, the
second from where its own first one ends: what is minimised is what is heard. Given the codes there is
little left to chance in a synthesiser's speech, so the likeliest mel is wanted and not a draw (L1).
Layouts are drawn as engines.chatterbox.audio makes them: a prompt, then a window that begins anywhere.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from engines import noise
from engines.model import MEL_BANDS
from engines.nets.s3_estimator import ConvBlock, Level, ResnetBlock, TransformerBlock, float_linear
from engines.nets.s3_flow import S3Flow
from engines.nets.s3_past import Past, key_bias
from engines.nets.xvector import XVector
from engines.rates import MEL_FRAMES_PER_TOKEN
from engines.voices.features import RATE_16K_HZ, kaldi_fbank
from export.pocket.corpus import shard_numbers
from export.pocket.flite import VOICES
from export.pocket.model import POCKET
from export.pocket.speakers import Voices, load_speakers
from export.pocket.training import Losses, Plan, Run
from export.pocket.windows import Batch, Layout, Library, Pool, said

PLAN = Plan(steps=3_400, learning_rate=8e-4, warmup_steps=60, average=0.998, judge_every=300, save_every=100)

MEAN_WEIGHT, FIRST_WEIGHT = 0.5, 0.3
"""Of the errors of the encoder's mean and of the first step's end, beside that of the last one's."""

POOL, POOL_S = 200, (3.0, 10.0)
SPEAKERS_FILE = "speakers.npz"

_QUIET, _FAINT = 0.1, 0.03  # of torch's own first weights
_CONSTANT = 45.0  # a few times what a mel frame is away from 0
_MISH_SLOPE = 1.18  # of mish(z) - mish(-z), from 1.2 at 0 to 1.13 at 1.5

_JUDGED_BATCHES, _JUDGED_ROWS = 3, 12
_JUDGED_PROMPT, _JUDGED_WINDOW = 80, 60


def train_flow(work: Path, plan: Plan = PLAN, device: str = "cpu") -> S3Flow:
    """Train on the features in ``work``, or go on with it. The last shard is held out."""
    net, run = _begin(work, plan, device)
    numbers = shard_numbers(work / "corpus")
    speakers = speaker_pool(work, numbers)
    heard = Library([each for number in numbers[:-1] for each in said(work, number)], speakers)
    held_out = Library(list(said(work, numbers[-1])), speakers)
    if run.step == 0:
        begin_at(net, np.mean([heard.mean_mel(voice) for voice in VOICES], 0))

    def losses(step: int, draw: np.random.Generator) -> Losses:
        return flow_losses(net, heard.batch(Layout.draw(draw), draw).to(device))

    with keep_gradients_laid_out(net):
        run.train(losses, lambda: judge(net, held_out, device))
    run.use_average()
    return net.eval()


def load_flow(work: Path) -> S3Flow:
    """What train_flow made, without training."""
    net, run = _begin(work, PLAN, "cpu")
    run.use_average()
    return net.eval().requires_grad_(False)


def render_mel(
    net: S3Flow,
    codes: NDArray[np.int64],
    prompt_codes: NDArray[np.int64],
    prompt_mel: NDArray[np.float32],
    embedding: NDArray[np.float32],
    seed: int,
) -> NDArray[np.float32]:
    """The mel of a whole segment after a prompt, all at once: (2 * codes, 80)."""
    prompt_frames, frames = (MEL_FRAMES_PER_TOKEN * len(each) for each in (prompt_codes, codes))
    tokens = np.concatenate((prompt_codes, codes)).astype(np.int64)
    cond = np.concatenate((prompt_mel[:prompt_frames].T, np.zeros((MEL_BANDS, frames), np.float32)), 1)
    noises = np.concatenate((noise.prompt_noise(prompt_frames), noise.mel_noise(seed, 0, frames)), 1)
    inputs = (tokens, np.array(len(tokens)), embedding, cond.astype(np.float32), noises)
    with torch.no_grad():
        mel = net(*(torch.from_numpy(each)[None] for each in inputs))
    rendered: NDArray[np.float32] = mel[0, :, prompt_frames:].T.numpy()
    return rendered


def flow_losses(net: S3Flow, batch: Batch) -> Losses:
    """Mean absolute errors of the encoder's projection, of where the first step leads, and of the end."""
    with torch.autocast(batch.mel.device.type, torch.bfloat16):
        mean, first, end = walk(net, batch)

    def error(mel: Tensor) -> Tensor:
        return ((mel.float() - batch.mel).abs() * batch.weight).sum() / (batch.weight.sum() * MEL_BANDS)

    found = {"mean": error(mean), "first": error(first), "mel": error(end)}
    return {"loss": MEAN_WEIGHT * found["mean"] + FIRST_WEIGHT * found["first"] + found["mel"], **found}


def walk(net: S3Flow, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """S3Flow's way and its stops: the encoder's projection, after the first step, the end.

    Each (rows, 80, frames).
    """
    past = Past()
    length = torch.full((len(batch.tokens),), batch.tokens.shape[1], device=batch.tokens.device)
    hidden = net.encoder(net.input_embedding(batch.tokens), length, past, batch.blocked_tokens)
    mean = net.encoder_proj(hidden).transpose(1, 2)
    speaker = float_linear(net.spk_embed_affine_layer, F.normalize(batch.embedding, dim=1))
    parts = torch.cat((mean, speaker[..., None].expand_as(mean).to(mean.dtype), batch.cond.to(mean.dtype)), 1)
    frames = mean.shape[2]
    bias = key_bias(MEL_FRAMES_PER_TOKEN * length, frames, MEL_FRAMES_PER_TOKEN * batch.blocked_tokens)
    stops = [batch.noise]
    for step in range(net.euler_steps):
        time = net.estimator.embed_times(step / net.euler_steps, (step + 1) / net.euler_steps)
        velocity = net.estimator(torch.cat((stops[-1].to(parts.dtype), parts), 1), time, bias, past)
        stops.append(stops[-1] + velocity.float() / net.euler_steps)
    return mean, stops[1], stops[-1]


def begin_at(net: S3Flow, mean_mel: NDArray[np.floating[Any]]) -> None:
    """First weights with which every step already leads to the encoder's mean, which is ``mean_mel``.

    What carries 80 dimensions of noise past norms and a mish is found late and badly by descent, so it
    is laid: twice 80 channels hold the way from where a step is to the mean, once with either sign,
    because mish(z) - mish(-z) is nearly straight. Channels of a large constant keep the last norm from
    making all ways as long. The rest is quiet at first, and learns.
    """
    estimator = net.estimator
    down, up, last = estimator.down_blocks[0], estimator.up_blocks[0], estimator.final_block.block["0"]
    assert isinstance(down, Level), "a U-Net of one level"
    assert isinstance(up, Level), "a U-Net of one level"
    assert isinstance(last, nn.Conv1d), "a block begins with its convolution"
    channels = estimator.final_proj.in_channels
    there, back = torch.eye(MEL_BANDS), -torch.eye(MEL_BANDS)
    signs = torch.cat((there, back))  # (160, 80)
    kept = torch.eye(len(signs))
    constants = torch.full((channels - len(signs),), _CONSTANT)
    constants[1::2] *= -1
    norm = _CONSTANT * (len(constants) / channels) ** 0.5  # what the last norm divides by
    with torch.no_grad():
        net.encoder_proj.bias.copy_(torch.from_numpy(mean_mel))
        for module in estimator.modules():
            if isinstance(module, ResnetBlock | TransformerBlock):
                _quieten(module)
        _lay(_shortcut(down), torch.cat((-signs, signs), 1))  # from where the step is to the encoder's mean
        _lay(_shortcut(up), kept, first=channels)  # its second input is the down block's output
        _lay(up.conv, kept)
        _lay(last, kept)
        assert last.bias is not None, "torch's default"
        last.bias[len(signs) :] = constants
        _lay(estimator.final_proj, signs.T * net.euler_steps * norm / _MISH_SLOPE)


def _quieten(block: ResnetBlock | TransformerBlock) -> None:
    """What a block adds to its input, made small."""
    if isinstance(block, ResnetBlock):
        layers = [block.block2.block["2"]]
    else:
        inner = block.ff["net"]
        assert isinstance(inner, nn.ModuleDict), "named as in the checkpoint"
        layers = [block.attn1.to_out[0], inner["2"]]
    for layer in layers:
        assert isinstance(layer.weight, Tensor), "a linear layer or a norm"
        layer.weight.mul_(_QUIET)


def _shortcut(level: Level) -> nn.Conv1d:
    resnet = level[0]
    assert isinstance(resnet, ResnetBlock), "a level begins with it"
    return resnet.res_conv


def _lay(conv: nn.Conv1d, weights: Tensor, first: int = 0) -> None:
    """Have ``weights`` (channels out, channels in from ``first`` on) at the last tap; the others faint."""
    assert conv.bias is not None, "torch's default"
    rows, columns = weights.shape
    conv.weight[:rows].mul_(_FAINT)
    conv.bias[:rows] = 0
    conv.weight[:rows, first : first + columns, -1] += weights


@contextmanager
def keep_gradients_laid_out(net: S3Flow) -> Iterator[None]:
    """Give every mish its gradient in memory as its input is: else torch's takes a third of a CPU's step."""
    hooks = [
        each.register_forward_hook(_lay_out_gradient) for each in net.modules() if isinstance(each, ConvBlock)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _lay_out_gradient(module: nn.Module, inputs: object, output: Tensor) -> None:
    if output.requires_grad:
        output.register_hook(lambda gradient: gradient.transpose(1, 2).contiguous().transpose(1, 2))  # type: ignore[no-untyped-call]


def judge(net: S3Flow, library: Library, device: str = "cpu") -> dict[str, float]:
    """On windows held out: errors by mel frame and band, how lively the mel is, and whose voice it has.

    `detail` is the share of the true mel's differences between neighbouring bands that is left, and
    `swapped` is the share of windows that sound like the prompt's voice and not like the codes'.
    """
    draw = np.random.default_rng(0)
    layout = Layout(_JUDGED_ROWS, _JUDGED_PROMPT, _JUDGED_WINDOW, 0)
    batches = [library.batch(layout, draw).to(device) for _ in range(_JUDGED_BATCHES)]
    windows = slice(MEL_FRAMES_PER_TOKEN * _JUDGED_PROMPT, None)
    sums: dict[str, float] = {}
    for batch in batches:
        walked = [each.float()[..., windows] for each in walk(net, batch)]
        true = batch.mel[..., windows]
        for name, mel in zip(("mean", "first", "mel"), walked, strict=True):
            sums[name] = sums.get(name, 0.0) + float((mel - true).abs().mean()) / len(batches)
        detail = walked[-1].diff(dim=1).abs().mean() / true.diff(dim=1).abs().mean()
        sums["detail"] = sums.get("detail", 0.0) + float(detail) / len(batches)
    return {**sums, "swapped": _swapped(net, library, layout, device)}


def _swapped(net: S3Flow, library: Library, layout: Layout, device: str) -> float:
    """Voices are told by the mean of their mel's bands."""
    draw, nearer = np.random.default_rng(1), []
    means = {voice: torch.from_numpy(library.mean_mel(voice)) for voice in VOICES}
    for voice, other in (VOICES, VOICES[::-1]):
        batch = library.swapped(layout, voice, draw).to(device)
        window = walk(net, batch)[-1][..., MEL_FRAMES_PER_TOKEN * layout.prompt_tokens :]
        found = window.mean(2).double().cpu()  # (rows, 80)
        nearer.append(_distance(found, means[other]) < _distance(found, means[voice]))
    return float(torch.cat(nearer).float().mean())


def _distance(found: Tensor, mean: Tensor) -> Tensor:
    """Of spectra whatever their level, (rows, 80) and (80,): (rows,)."""
    difference = found - mean
    return (difference - difference.mean(1, keepdim=True)).abs().mean(1)


def speaker_pool(work: Path, numbers: Sequence[int]) -> Pool:
    """X-vectors of each voice, as recordings of 3 to 10 s give them: (200, width). Made once and kept."""
    kept = work / "runs" / "flow" / SPEAKERS_FILE
    if not kept.is_file():
        net, _ = load_speakers(work)
        voices, draw = Voices(work / "corpus", numbers), np.random.default_rng(0)
        pool = {
            voice: np.stack([_xvector(net, voices, voice, draw) for _ in range(POOL)]) for voice in VOICES
        }
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(kept, **pool)  # type: ignore[arg-type]
    with np.load(kept) as found:
        return {voice: found[voice] for voice in VOICES}


def _xvector(net: XVector, voices: Voices, voice: str, draw: np.random.Generator) -> NDArray[np.float32]:
    crop = voices.crop(voice, int(draw.uniform(*POOL_S) * RATE_16K_HZ), draw)
    with torch.no_grad():
        found: NDArray[np.float32] = net(torch.from_numpy(kaldi_fbank(crop))[None])[0].numpy()
    return found


def _begin(work: Path, plan: Plan, device: str) -> tuple[S3Flow, Run]:
    torch.manual_seed(plan.seed)
    net = S3Flow(POCKET)
    return net, Run(work / "runs" / "flow", {"flow": net}, plan, device)
