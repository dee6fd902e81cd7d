"""Two speaker encoders from two voices: they learn to tell speakers, most of whom are voices at other speeds.

A voice said faster or slower has another pitch and another vocal tract, so between and beside the two
there is a continuum, and a recording of a third voice gets a place in it. Both nets hear the same crops.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from engines.model import ModelConfig
from engines.nets.voice_encoder import VoiceEncoder
from engines.nets.xvector import XVector
from engines.voices.features import RATE_16K_HZ, kaldi_fbank, voice_encoder_partials
from engines.voices.resample import resample
from export.pocket.corpus import Shard, Utterance, shard_numbers
from export.pocket.flite import VOICES
from export.pocket.model import POCKET
from export.pocket.training import Losses, Plan, Run

Samples = NDArray[np.float32]

SPEEDS = (0.85, 0.92, 1.0, 1.08, 1.16)
"""Of each voice there is a speaker at each; between two speeds it is partly the one and partly the other."""

PLAN = Plan(steps=220, learning_rate=3e-3, warmup_steps=20, average=0.98, judge_every=110, save_every=50)
CROPS = 16
CROP_S = (1.5, 4.5)
GAIN_DB = 4.0
NOISE = 3e-3
_SCALE = 12.0  # of cosines, to be scores
_POWER_SCALE = 100.0  # of the voice encoder's first weights: most of its bands are far below 1
_JUDGED_CROPS = 24  # a voice
_JUDGED_S = 4.0


class Voices:
    """What some shards hold, by voice."""

    def __init__(self, folder: Path, numbers: Sequence[int]) -> None:
        self._said: dict[str, list[tuple[Shard, Utterance]]] = {voice: [] for voice in VOICES}
        for number in numbers:
            shard = Shard.open(folder, number)
            for utterance in shard.utterances:
                self._said[utterance.voice].append((shard, utterance))

    def crop(self, voice: str, samples: int, draw: np.random.Generator) -> Samples:
        """So many samples of ``voice`` at 16 kHz: of one utterance, or of several end to end."""
        said, found, length = self._said[voice], [], 0
        while length < samples:
            shard, utterance = said[draw.integers(len(said))]
            found.append(shard.samples(utterance))
            length += utterance.samples
        first = int(draw.integers(length - samples + 1))
        cut: Samples = np.concatenate(found)[first : first + samples]
        return cut


class Heads(nn.Module):
    """A direction for each speaker in the space of either net; used in training alone."""

    def __init__(self, model: ModelConfig) -> None:
        super().__init__()
        speakers = len(VOICES) * len(SPEEDS)
        self.xvector = nn.Parameter(torch.randn(speakers, model.xvector.width))
        self.voice_encoder = nn.Parameter(torch.randn(speakers, model.voice_encoder.width))


def train_speakers(work: Path, device: str = "cpu", plan: Plan = PLAN) -> tuple[XVector, VoiceEncoder]:
    """Train both on the corpus in ``work``, or go on with it. The last shard is held out."""
    xvector, voice_encoder, heads, run = _begin(work, POCKET, plan, device)
    corpus = work / "corpus"
    numbers = shard_numbers(corpus)
    heard, held_out = Voices(corpus, numbers[:-1]), Voices(corpus, numbers[-1:])

    def losses(step: int, draw: np.random.Generator) -> Losses:
        crops, speakers = draw_crops(heard, draw)
        target = torch.from_numpy(speakers).to(device)
        fbank = torch.from_numpy(np.stack([kaldi_fbank(crop) for crop in crops])).to(device)
        found = {
            "xvector": _cross_entropy(xvector(fbank), heads.xvector, target),
            "voice_encoder": _cross_entropy(_speakers(voice_encoder, crops), heads.voice_encoder, target),
        }
        return {"loss": found["xvector"] + found["voice_encoder"], **found}

    run.train(losses, lambda: judge(xvector, voice_encoder, held_out))
    run.use_average()
    return xvector.eval(), voice_encoder.eval()


def load_speakers(work: Path) -> tuple[XVector, VoiceEncoder]:
    """What train_speakers made, without training."""
    xvector, voice_encoder, _, run = _begin(work, POCKET, PLAN, "cpu")
    run.use_average()
    return xvector.eval().requires_grad_(False), voice_encoder.eval().requires_grad_(False)


def draw_crops(
    voices: Voices, draw: np.random.Generator, count: int = CROPS
) -> tuple[list[Samples], NDArray[np.float32]]:
    """``count`` crops of one length, and how much each is of each speaker (count, speakers)."""
    samples = int(draw.uniform(*CROP_S) * RATE_16K_HZ)
    crops, speakers = [], []
    for index in range(count):
        voice = VOICES[index % len(VOICES)]
        speed = float(np.exp(draw.uniform(np.log(SPEEDS[0]), np.log(SPEEDS[-1]))))
        crops.append(_roughened(sped(voices, voice, speed, samples, draw), draw))
        speakers.append(speaker_shares(voice, speed))
    return crops, np.stack(speakers)


def sped(voices: Voices, voice: str, speed: float, samples: int, draw: np.random.Generator) -> Samples:
    """``samples`` of a voice that speaks at ``speed``, as a tape would be played."""
    source = voices.crop(voice, int(samples * speed) + 16, draw)
    return resample(source, RATE_16K_HZ, round(RATE_16K_HZ / speed))[:samples]


def speaker_shares(voice: str, speed: float) -> NDArray[np.float32]:
    """Of which of the speakers it is: (speakers,), sums to 1."""
    shares = np.zeros((len(VOICES), len(SPEEDS)), np.float32)
    shares[VOICES.index(voice)] = [np.interp(speed, SPEEDS, each) for each in np.eye(len(SPEEDS))]
    return shares.ravel()


def judge(xvector: XVector, voice_encoder: VoiceEncoder, voices: Voices) -> dict[str, float]:
    """Cosines between crops, by net: of one voice, of the two, of one at its own and at top speed."""
    draw = np.random.default_rng(0)
    samples = int(_JUDGED_S * RATE_16K_HZ)
    crops = {
        (voice, speed): [sped(voices, voice, speed, samples, draw) for _ in range(_JUDGED_CROPS)]
        for voice in VOICES
        for speed in (1.0, SPEEDS[-1])
    }
    found = {}
    for name in ("xvector", "voice_encoder"):
        net = xvector if name == "xvector" else voice_encoder
        unit = {key: _unit(net, made) for key, made in crops.items()}
        one, two = (unit[voice, 1.0] for voice in VOICES)
        others = ~np.eye(_JUDGED_CROPS, dtype=bool)
        same = np.concatenate([(each @ each.T)[others] for each in (one, two)])
        other = (one @ two.T).ravel()
        faster = np.concatenate([(unit[voice, 1.0] @ unit[voice, SPEEDS[-1]].T).ravel() for voice in VOICES])
        found[f"{name}_same"], found[f"{name}_same_low"] = float(same.mean()), float(same.min())
        found[f"{name}_other"], found[f"{name}_other_high"] = float(other.mean()), float(other.max())
        found[f"{name}_faster"] = float(faster.mean())
    return found


def _begin(
    work: Path, model: ModelConfig, plan: Plan, device: str
) -> tuple[XVector, VoiceEncoder, Heads, Run]:
    torch.manual_seed(plan.seed)
    xvector, voice_encoder = XVector(model.xvector), VoiceEncoder(model.voice_encoder)
    _begin_listening(voice_encoder)
    heads = Heads(model)
    nets: dict[str, nn.Module] = {"xvector": xvector, "voice_encoder": voice_encoder, "heads": heads}
    return xvector, voice_encoder, heads, Run(work / "runs" / "speakers", nets, plan, device)


def _begin_listening(voice_encoder: VoiceEncoder) -> None:
    """First weights that hear quiet bands and forget slowly; with torch's own it learns next to nothing."""
    lstm = voice_encoder.lstm
    with torch.no_grad():
        for name, parameter in lstm.named_parameters():
            if name == "weight_ih_l0":
                parameter.mul_(_POWER_SCALE)
            elif name.startswith("bias_ih"):
                parameter[lstm.hidden_size : 2 * lstm.hidden_size] = 1  # input, forget, cell, output
        voice_encoder.proj.bias.fill_(0.1)


def _roughened(samples: Samples, draw: np.random.Generator) -> Samples:
    """At another level and with a little noise: recordings are not as clean as what a program says."""
    noise = draw.standard_normal(len(samples), np.float32) * np.float32(NOISE * draw.random() ** 2)
    gain = np.float32(10 ** (draw.uniform(-GAIN_DB, GAIN_DB) / 20))
    roughened: Samples = (samples + noise) * gain
    return roughened


def _speakers(voice_encoder: VoiceEncoder, crops: Sequence[Samples]) -> Tensor:
    """The mean of each crop's partials' unit vectors: (crops, width), not made unit again."""
    partials = [torch.from_numpy(voice_encoder_partials(crop)) for crop in crops]
    counts = [len(each) for each in partials]
    device = next(voice_encoder.parameters()).device
    unit = voice_encoder(torch.cat(partials).to(device))
    return torch.stack([each.mean(0) for each in unit.split(counts)])


def _unit(net: XVector | VoiceEncoder, crops: Sequence[Samples]) -> NDArray[np.float32]:
    """(crops, width) of length 1, made as engines.voices.enroll makes them."""
    with torch.no_grad():
        if isinstance(net, VoiceEncoder):
            found = _speakers(net, crops)
        else:
            device = next(net.parameters()).device
            found = torch.cat([net(torch.from_numpy(kaldi_fbank(crop))[None].to(device)) for crop in crops])
    unit: NDArray[np.float32] = F.normalize(found, dim=1).cpu().numpy()
    return unit


def _cross_entropy(embedding: Tensor, speakers: Tensor, target: Tensor) -> Tensor:
    cosines = F.normalize(embedding, dim=1) @ F.normalize(speakers, dim=1).T
    return F.cross_entropy(_SCALE * cosines, target)
