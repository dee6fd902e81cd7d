"""The vocoder's training: HiFT from mel to audio, and the predictor of the pitch that drives it.

Flite makes a voice of pulses, and where each lies follows from its pitch: the source's sine is laid on
them. Only magnitudes are compared, so what the net learns holds for any phase that inference begins at.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from engines.model import MEL_BANDS, ModelConfig
from engines.nets.s3_vocoder import VOICED_HZ, S3Vocoder
from engines.noise import harmonic_phase, source_noise
from engines.rates import HOP_SAMPLES, MEL_HZ, SAMPLE_RATE_HZ
from engines.voices.features import prompt_mel, slaney_bank
from export.pocket.corpus import Shard, shard_numbers, to_24k
from export.pocket.flite import FLITE_HZ, PITCH_HZ
from export.pocket.model import POCKET
from export.pocket.training import Losses, Plan, Run

STAGE = "vocoder"
PLAN = Plan(steps=2_000, learning_rate=1.5e-3, average=0.998, judge_every=500)
BATCH = 8
CROP_FRAMES = 32
JUDGED_CROPS = 48
JUDGE_SEED = 1 << 20

WINDOWS = (480, 1_024, 2_048)
"""Of the spectra that are compared. None is so short that it sees where in a period a pulse lies."""

LINE_TOP_HZ = 3_700
SPEECH_TOP_HZ = 8_000
LINE_WEIGHT, SPEECH_WEIGHT, ABOVE_WEIGHT = 1.0, 0.4, 0.05
"""A telephone line carries the first; flite has nothing above 8 kHz, and it is to stay so."""

MAGNITUDE_FLOOR = 2e-4
MEL_WEIGHT, PITCH_WEIGHT = 0.5, 0.01

PITCH_LEAD = 0.625
"""Frames by which the pitch is ahead of the pulses that are heard, as measured on both voices."""

SINE_WEIGHT = 4.0
"""Of each sine in the source, and not trained: left to itself it dies before the net has use for it."""

_PITCH_SAMPLES = FLITE_HZ // PITCH_HZ
_HOP_16K = FLITE_HZ // MEL_HZ
_PITCH_PER_MEL = PITCH_HZ // MEL_HZ
_MARGIN_FRAMES = 2  # of a mel window, around the crop


def train_vocoder(
    work: Path, plan: Plan = PLAN, device: str = "cpu", model: ModelConfig = POCKET
) -> S3Vocoder:
    """Train, or go on training, on all of the corpus but its last shard. The weights are averaged ones."""
    net, run = _run(work, plan, device, model)
    quicken(net)
    *trained, held_out = shard_numbers(work / "corpus")
    crops, judged = Crops(work / "corpus", trained), Crops(work / "corpus", [held_out])
    loss = VocoderLoss().to(device)
    batch = judged.batch(np.random.default_rng(JUDGE_SEED), JUDGED_CROPS)

    def losses(step: int, draw: np.random.Generator) -> Losses:
        found: Losses = loss(net, crops.batch(draw, BATCH).to(device), draw)
        return found

    def judge() -> dict[str, float]:
        return loss.judge(net, batch.to(device))

    run.train(losses, judge)
    return load_vocoder(work, model)


def load_vocoder(work: Path, model: ModelConfig = POCKET) -> S3Vocoder:
    """What `train_vocoder` left, ready for use."""
    net, run = _run(work, PLAN, "cpu", model)
    run.use_average()
    return net.eval()


@torch.no_grad()
def render(net: S3Vocoder, mel: NDArray[np.float32], seed: int = 0) -> NDArray[np.float32]:
    """Audio (480 T,) at 24 kHz of mel (T, 80), with the pitch that the net itself predicts."""
    frames, sines = len(mel), len(net.m_source.harmonic)
    audio, _, _ = net(
        torch.from_numpy(np.ascontiguousarray(mel.T))[None],
        torch.zeros(1, 0, HOP_SAMPLES),
        torch.zeros(1),
        torch.from_numpy(harmonic_phase(seed, sines))[None],
        torch.from_numpy(source_noise(seed, 0, frames))[None],
    )
    samples: NDArray[np.float32] = audio.flatten().numpy()
    return samples


def _run(work: Path, plan: Plan, device: str, model: ModelConfig) -> tuple[S3Vocoder, Run]:
    torch.manual_seed(plan.seed)
    net = S3Vocoder(model)
    with torch.no_grad():
        net.m_source.l_linear.weight.fill_(SINE_WEIGHT)
        net.m_source.l_linear.bias.zero_()
    net.m_source.l_linear.requires_grad_(False)
    return net, Run(work / "runs" / STAGE, {STAGE: net}, plan, device)


class Batch(NamedTuple):
    """Crops, a row each."""

    mel: Tensor  # (batch, 80, T)
    audio: Tensor  # (batch, 480 T)
    f0: Tensor  # (batch, T) in Hz; 0 where there is no voice
    phase: Tensor  # (batch, T) in cycles, of the fundamental where each mel frame begins

    def to(self, device: str) -> "Batch":
        return Batch(*(each.to(device) for each in self))


@dataclass(frozen=True, slots=True)
class _Place:
    """An utterance in a shard, in samples of 16 kHz."""

    shard: int
    start: int
    samples: int


class Crops:
    """Random pieces of some shards' utterances."""

    def __init__(self, folder: Path, numbers: list[int], frames: int = CROP_FRAMES) -> None:
        self._frames = frames
        self._shards: list[tuple[NDArray[np.int16], NDArray[np.float16]]] = []
        self._places: list[_Place] = []
        for number in numbers:
            shard = Shard.open(folder, number)
            at = len(self._shards)
            self._shards.append((shard.pcm, shard.pitch))
            self._places += [
                _Place(at, each.start, each.samples)
                for each in shard.utterances
                if each.samples >= frames * _HOP_16K
            ]
        self._weights = np.cumsum([place.samples for place in self._places], dtype=np.float64)

    def batch(self, draw: np.random.Generator, rows: int) -> Batch:
        """``rows`` crops, each sample of the corpus as likely as any other."""
        found = [self._crop(draw) for _ in range(rows)]
        return Batch(*(torch.from_numpy(np.stack(column)) for column in zip(*found, strict=True)))

    def _crop(self, draw: np.random.Generator) -> tuple[NDArray[np.float32], ...]:
        chosen = np.searchsorted(self._weights, draw.random() * self._weights[-1])
        place = self._places[min(int(chosen), len(self._places) - 1)]
        last = (place.samples - self._frames * _HOP_16K) // _PITCH_SAMPLES
        first = int(draw.integers(last + 1))  # a frame of the pitch
        pcm, pitch = self._shards[place.shard]
        samples = pcm[place.start : place.start + place.samples].astype(np.float32) / 32_768
        margin = _MARGIN_FRAMES * _HOP_16K
        begin, until = first * _PITCH_SAMPLES, first * _PITCH_SAMPLES + self._frames * _HOP_16K
        audio = to_24k(np.pad(samples, margin)[begin : until + 2 * margin].astype(np.float32))
        mel = prompt_mel(audio)[_MARGIN_FRAMES : _MARGIN_FRAMES + self._frames]
        edge = _MARGIN_FRAMES * HOP_SAMPLES
        own = place.start // _PITCH_SAMPLES
        pitch_hz = pitch[own : own + place.samples // _PITCH_SAMPLES].astype(np.float64)
        f0, phase = mel_pitch(pitch_hz, first, self._frames)
        return np.ascontiguousarray(mel.T), audio[edge : edge + self._frames * HOP_SAMPLES], f0, phase


def mel_pitch(
    pitch_hz: NDArray[np.float64], first: int, frames: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Hz and the phase in cycles where each begins, of mel frames from frame ``first`` of the pitch on.

    (frames,) each. A frame is voiced when half of it is, and its Hz take the phase from its beginning to
    its end: cycles begin where flite puts pulses, the same time after each.
    """
    edges = first + _PITCH_PER_MEL * np.arange(frames + 1)
    cycles, most = np.zeros((2, frames)), np.zeros(frames)
    for begin, end in _voiced_runs(pitch_hz):
        overlap = np.minimum(edges[1:], end) - np.maximum(edges[:-1], begin)
        mine = np.flatnonzero(overlap > most)
        if len(mine):
            most[mine] = overlap[mine]
            cycles[:, mine] = _cycles(pitch_hz, begin, end, np.stack((edges[mine], edges[mine + 1])))
    voiced = most * 2 >= _PITCH_PER_MEL
    f0 = np.where(voiced, (cycles[1] - cycles[0]) * MEL_HZ, 0)
    return f0.astype(np.float32), np.where(voiced, cycles[0] % 1, 0).astype(np.float32)


def _voiced_runs(pitch_hz: NDArray[np.float64]) -> list[tuple[int, int]]:
    """First and past-the-last frame of each stretch with a voice."""
    voiced = np.concatenate(([False], pitch_hz > 0, [False]))
    borders = np.flatnonzero(voiced[1:] != voiced[:-1]).tolist()
    return list(zip(borders[::2], borders[1::2], strict=True))


def _cycles(
    pitch_hz: NDArray[np.float64], begin: int, end: int, at: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Cycles since a run's beginning, at frames of the pitch no more than a mel frame outside of it."""
    grid = np.arange(begin - _PITCH_PER_MEL, end + _PITCH_PER_MEL + 1)
    hz = np.interp(grid + PITCH_LEAD, np.arange(begin, end), pitch_hz[begin:end])
    counted = np.concatenate(([0], np.cumsum((hz[1:] + hz[:-1]) / (2 * PITCH_HZ))))
    found: NDArray[np.float64] = counted[at - grid[0]] - counted[_PITCH_PER_MEL]
    return found


class VocoderLoss(nn.Module):
    """Magnitudes of short spectra and of mel bands, and the predictor's pitch."""

    bank: Tensor
    hann: Tensor

    def __init__(self) -> None:
        super().__init__()
        self._spectra = nn.ModuleList(_Spectrum(window) for window in WINDOWS)
        bank = slaney_bank(SAMPLE_RATE_HZ, 4 * HOP_SAMPLES, MEL_BANDS, SPEECH_TOP_HZ)
        self.register_buffer("bank", torch.from_numpy(bank.astype(np.float32)))
        self.register_buffer("hann", torch.hann_window(4 * HOP_SAMPLES))

    def forward(self, net: S3Vocoder, batch: Batch, draw: np.random.Generator) -> Losses:
        with torch.autocast(batch.mel.device.type, torch.bfloat16):
            audio = net.decode(batch.mel, true_source(net, batch, draw))
        f0 = net.f0_predictor(batch.mel)
        return self.compare(audio.float(), f0, batch)

    def compare(self, audio: Tensor, f0: Tensor, batch: Batch) -> Losses:
        """Of audio (batch, 480 T) and predicted f0 (batch, T)."""
        distances = [spectrum(audio, batch.audio) for spectrum in self._spectra]
        log = torch.stack([each[0] for each in distances]).mean()
        linear = torch.stack([each[1] for each in distances]).mean()
        mel = (self._mel(audio) - self._mel(batch.audio)).abs().mean()
        pitch = (f0 - batch.f0).abs().mean()
        total = log + linear + MEL_WEIGHT * mel + PITCH_WEIGHT * pitch
        return {"loss": total, "log": log, "linear": linear, "mel": mel, "pitch_hz": pitch}

    def judge(self, net: S3Vocoder, batch: Batch) -> dict[str, float]:
        """On the pitch that the net predicts, from the phase that inference begins at."""
        draw = np.random.default_rng(JUDGE_SEED)
        f0 = net.f0_predictor(batch.mel)
        true = self.compare(net.decode(batch.mel, true_source(net, batch, draw)), f0, batch)
        rows, frames = f0.shape
        audio, _, _ = net(
            batch.mel,
            batch.mel.new_zeros(rows, 0, HOP_SAMPLES),
            batch.mel.new_zeros(rows),
            _harmonic_phases(net, rows, draw).to(batch.mel),
            _normals((rows, frames, HOP_SAMPLES), draw).to(batch.mel),
        )
        own = self.compare(audio.flatten(1), f0, batch)
        said, heard = batch.f0 > VOICED_HZ, f0 > VOICED_HZ
        both = said & heard
        error_hz = ((f0 - batch.f0).abs() * both).sum() / both.sum().clamp(min=1)
        told = {name: float(true[name]) for name in ("loss", "log", "linear", "mel")}
        told |= {f"own_{name}": float(own[name]) for name in ("log", "linear", "mel")}
        told["own_long"] = float(self._spectra[-2](audio.flatten(1), batch.audio)[0])
        told["own_line"] = float(self._line(audio.flatten(1), batch.audio))
        return told | {"f0_error_hz": float(error_hz), "voicing_error": float((said != heard).float().mean())}

    def _line(self, audio: Tensor, target: Tensor) -> Tensor:
        """Mean absolute difference of log mel bands under 3.7 kHz."""
        bands = int((self.bank.argmax(1) * SAMPLE_RATE_HZ / (4 * HOP_SAMPLES) < LINE_TOP_HZ).sum())
        return (self._mel(audio) - self._mel(target))[:, :bands].abs().mean()

    def _mel(self, audio: Tensor) -> Tensor:
        edge = (4 - 1) * HOP_SAMPLES // 2
        padded = F.pad(audio[:, None], (edge, edge), mode="reflect")[:, 0]
        spectrum = torch.stft(
            padded, 4 * HOP_SAMPLES, HOP_SAMPLES, window=self.hann, center=False, return_complex=True
        )
        return (self.bank @ _magnitude(spectrum)).clamp(min=1e-5).log()


class _Spectrum(nn.Module):
    """Short spectra with one window: how far apart their logarithms are, and their magnitudes."""

    hann: Tensor
    weight: Tensor

    def __init__(self, window: int) -> None:
        super().__init__()
        hann = torch.hann_window(window)
        hz = torch.arange(window // 2 + 1) * (SAMPLE_RATE_HZ / window)
        weight = torch.where(hz <= LINE_TOP_HZ, LINE_WEIGHT, SPEECH_WEIGHT)
        weight = torch.where(hz > SPEECH_TOP_HZ, ABOVE_WEIGHT, weight)
        self._window = window
        self.register_buffer("hann", hann / hann.square().sum().sqrt())
        self.register_buffer("weight", (weight / weight.mean())[:, None])

    def forward(self, audio: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        found, wanted = self._of(audio), self._of(target)
        log = ((found + MAGNITUDE_FLOOR).log() - (wanted + MAGNITUDE_FLOOR).log()).abs()
        error = (self.weight * (found - wanted).square()).sum((1, 2))
        total = (self.weight * wanted.square()).sum((1, 2)).clamp(min=1e-3)
        return (self.weight * log).mean(), (error / total).sqrt().mean()

    def _of(self, audio: Tensor) -> Tensor:
        window, hop = self._window, self._window // 4
        return _magnitude(torch.stft(audio, window, hop, window=self.hann, return_complex=True))


def quicken(net: S3Vocoder) -> None:
    """Give Snake a gradient that keeps less: a tenth of a step's time on a CPU."""
    for block in (*net.resblocks, *net.source_resblocks):
        for snakes in (block.activations1, block.activations2):
            for at, snake in enumerate(snakes):
                snakes[at] = _QuickSnake(snake.alpha)


class _QuickSnake(nn.Module):
    def __init__(self, alpha: nn.Parameter) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = _SnakeGradient.apply(x, self.alpha)  # type: ignore[no-untyped-call]
        return found


class _SnakeGradient(torch.autograd.Function):
    """Snake as engines.nets.s3_vocoder has it; of what was given nothing but x is kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: Tensor) -> Tensor:
        ctx.save_for_backward(x, alpha)
        wide, alpha = x.float(), alpha[:, None]
        sine = (wide * alpha).sin_()
        return torch.addcmul(wide, sine, sine / (alpha + 1e-9)).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        x, alpha = ctx.saved_tensors
        wide, given, column = x.float(), gradient.float(), alpha[:, None]
        angle = wide * (2 * column)
        sine = angle.sin()
        squared = angle.cos_().sub_(1).mul_(0.5 / column)  # -sin²(alpha x) / alpha
        of_alpha = squared.addcmul_(wide, sine).mul_(given).sum((0, 2)) / alpha
        return torch.addcmul(given, given, sine).to(x.dtype), of_alpha


def true_source(net: S3Vocoder, batch: Batch, draw: np.random.Generator) -> Tensor:
    """The source (batch, 480 T) of the true pitch, on the true pulses: each mel frame is a row of its own."""
    rows, frames = batch.f0.shape
    phases = _harmonic_phases(net, rows, draw).to(batch.mel).repeat_interleave(frames, 0)
    noise = _normals((rows * frames, 1, HOP_SAMPLES), draw).to(batch.mel)
    source: Tensor
    source, _ = net.m_source(batch.f0.reshape(-1, 1), batch.phase.flatten(), phases, noise)
    return source.reshape(rows, frames * HOP_SAMPLES)


def _harmonic_phases(net: S3Vocoder, rows: int, draw: np.random.Generator) -> Tensor:
    """As engines.noise.harmonic_phase has them: any, but the fundamental's 0."""
    phases = draw.uniform(-np.pi, np.pi, (rows, len(net.m_source.harmonic))).astype(np.float32)
    phases[:, 0] = 0
    return torch.from_numpy(phases)


def _normals(shape: tuple[int, ...], draw: np.random.Generator) -> Tensor:
    return torch.from_numpy(draw.standard_normal(shape, np.float32))


def _magnitude(spectrum: Tensor) -> Tensor:
    found: Tensor = (spectrum.real.square() + spectrum.imag.square() + 1e-9).sqrt()
    return found
