"""The pocket model's speech tokenizer: what a code of 40 ms is to tell of speech is trained here.

As S3's codes (CosyVoice 2, arXiv:2412.10117) these are supervised: what is behind the quantiser must
tell which phone is spoken, and beside that the spectrum and the pitch, in either voice by its name. A
code is therefore mostly a phone and a place in it, which is what T3 can learn to write.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from engines.model import MEL_BANDS
from engines.nets.speech_tokenizer import SpeechTokenizer
from engines.rates import MEL_FRAMES_PER_TOKEN, MEL_HZ, TOKEN_HZ
from engines.voices.features import log_mel_128, prompt_mel, slaney_bank
from export.pocket.corpus import Shard, Utterance, shard_numbers, to_24k
from export.pocket.flite import FLITE_HZ, PAUSE, PITCH_HZ, VOICES
from export.pocket.model import POCKET
from export.pocket.training import Losses, Plan, Run

PLAN = Plan(steps=1_800, learning_rate=2e-3, log_every=25, judge_every=300)
SHARDS = 10
"""Hours that suffice for it; the one behind them judges."""

_PHONES = """pau aa ae ah ao aw ax ay b ch d dh eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th uh uw
v w y z zh"""
PHONES = tuple(_PHONES.split())
CODE_SAMPLES = FLITE_HZ // TOKEN_HZ
_CROP_CODES = 64
_BATCH = 12
_TARGETS = MEL_FRAMES_PER_TOKEN  # of each kind a code, at 50 Hz
_PITCH_MEAN, _PITCH_SPREAD = 4.7, 0.2  # of log Hz, over both voices
_MEL_MEAN, _MEL_SPREAD = -4.8, 2.0


class Reader(nn.Module):
    """What training listens with: quantised digits and the voice's number to phones, spectrum and pitch.

    A code must tell its phones by itself, and its sound with its neighbours' help: codes that only
    mean something together could be rendered as well, but T3 would have to learn their cipher.
    """

    def __init__(self, digits: int, width: int = 192) -> None:
        super().__init__()
        self.voice = nn.Embedding(len(VOICES), 32)
        self.phone = nn.Sequential(
            nn.Conv1d(digits, width, 1), nn.GELU(), nn.Conv1d(width, _TARGETS * len(PHONES), 1)
        )
        self.first = nn.Conv1d(digits + 32, width, 3, padding=1)
        self.second = nn.Conv1d(width, width, 3, padding=1)
        self.sound = nn.Conv1d(width, _TARGETS * (MEL_BANDS + 2), 1)

    def forward(self, digits: Tensor, voice: Tensor) -> tuple[Tensor, Tensor]:
        """digits (B, P, D), voice (B,) -> phone logits (B, 2 P, phones), sound (B, 2 P, bands + 2)."""
        code = digits.transpose(1, 2)
        told = self.voice(voice)[:, :, None].expand(-1, -1, code.shape[2])
        x = F.gelu(self.first(torch.cat((code, told), 1)))
        x = x + F.gelu(self.second(x))
        return _by_frame(self.phone(code)), _by_frame(self.sound(x))


def _by_frame(x: Tensor) -> Tensor:
    """(B, 2 * C, P) -> (B, 2 * P, C)."""
    batch, channels, places = x.shape
    return x.reshape(batch, _TARGETS, channels // _TARGETS, places).permute(0, 3, 1, 2).flatten(1, 2)


class Crops:
    """Training's crops: any place of any utterance that is long enough."""

    def __init__(self, shards: list[Shard]) -> None:
        shortest = _CROP_CODES * CODE_SAMPLES
        self.found = [(s, u) for s in shards for u in s.utterances if u.samples > shortest]

    def draw(self, draw: np.random.Generator, count: int) -> dict[str, Tensor]:
        crops = [self._crop(draw) for _ in range(count)]
        return {name: torch.from_numpy(np.stack([crop[name] for crop in crops])) for name in crops[0]}

    def _crop(self, draw: np.random.Generator) -> dict[str, NDArray[Any]]:
        shard, utterance = self.found[draw.integers(len(self.found))]
        length = _CROP_CODES * CODE_SAMPLES
        step = FLITE_HZ // PITCH_HZ
        first = int(draw.integers((utterance.samples - length) // step + 1)) * step
        gain = np.float32(10 ** (draw.uniform(-4, 4) / 20))
        samples = shard.samples(utterance)[first : first + length] * gain
        return crop_targets(shard, utterance, samples, first)


def crop_targets(
    shard: Shard, utterance: Utterance, samples: NDArray[np.float32], first: int
) -> dict[str, NDArray[Any]]:
    """Features and targets of ``samples`` (whole codes), which begin at ``first`` of the utterance."""
    frames = len(samples) * MEL_HZ // FLITE_HZ
    centre_s = first / FLITE_HZ + (np.arange(frames) + 0.5) / MEL_HZ
    at = np.searchsorted(np.array(utterance.ends_s), centre_s).clip(max=len(utterance.ends_s) - 1)
    pitch = shard.pitch_hz(utterance)[(centre_s * PITCH_HZ).astype(int).clip(max=utterance.samples // 80 - 1)]
    return {
        "samples": samples,
        "phone": np.array([PHONES.index(utterance.phones[i].rstrip("1")) for i in at], np.int64),
        "pitch_hz": pitch,
        "voice": np.array(VOICES.index(utterance.voice), np.int64),
    }


def add_features(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """With log_mel (B, 128, 100 a second), as the tokenizer hears it, and mel (B, 50 a second, 80).

    The same features as engines.voices.features computes, in float32 and for a batch; mel from 16 kHz.
    """
    samples = batch["samples"]
    power = _power(samples, 400, 160)[..., :-1]
    bank = torch.tensor(slaney_bank(FLITE_HZ, 400, 128)).float().to(samples.device)
    log = (bank @ power).clamp(min=1e-10).log10()
    log = torch.maximum(log, log.amax((1, 2), keepdim=True) - 8.0)
    hop = FLITE_HZ // MEL_HZ
    bank = torch.tensor(slaney_bank(FLITE_HZ, 4 * hop, MEL_BANDS, 8_000)).float().to(samples.device)
    edge = (4 * hop - hop) // 2
    padded = F.pad(samples[:, None], (edge, edge), mode="reflect")[:, 0]
    magnitude = _power(padded, 4 * hop, hop, centre=False).sqrt()
    mel = (
        (1.5 * bank @ magnitude).clamp(min=1e-5).log().transpose(1, 2)
    )  # 1.5: a window of as many more samples
    return {**batch, "log_mel": (log + 4) / 4, "mel": mel}


def _power(samples: Tensor, window: int, hop: int, centre: bool = True) -> Tensor:
    shape = torch.hann_window(window, device=samples.device)
    spectrum = torch.stft(samples, window, hop, window=shape, center=centre, return_complex=True)
    return spectrum.abs().square()


def bounded(net: SpeechTokenizer, log_mel: Tensor) -> Tensor:
    """What is quantised, before it is: (B, P, digits) in (-1, 1)."""
    down = net.quantizer._codebook["project_down"]
    values: Tensor = torch.tanh(down(net.encoder(log_mel))) * 0.999
    return values


def losses(net: SpeechTokenizer, reader: Reader, batch: dict[str, Tensor]) -> Losses:
    """Phones, spectrum, pitch, clear digits, and silence in the code of silence."""
    values = bounded(net, batch["log_mel"])
    rounded = values.round()
    digits = values + (rounded - values).detach()
    phone_logits, sound = reader(digits, batch["voice"])
    phone = F.cross_entropy(phone_logits.flatten(0, 1), batch["phone"].flatten())
    mel = (sound[..., :MEL_BANDS] - (batch["mel"] - _MEL_MEAN) / _MEL_SPREAD).abs().mean()
    voiced = (batch["pitch_hz"] > 0).float()
    height = (batch["pitch_hz"].clamp(min=50).log() - _PITCH_MEAN) / _PITCH_SPREAD
    pitch = ((sound[..., -1] - height).abs() * voiced).sum() / voiced.sum()
    voicing = F.binary_cross_entropy_with_logits(sound[..., -2], voiced)
    clear = (values - rounded.detach()).square().mean()
    is_pause = (batch["phone"] == PHONES.index(PAUSE)).reshape(len(values), -1, _TARGETS).all(-1)
    silence = ((values + 1).square().mean(-1) * is_pause).sum() / is_pause.sum().clamp(min=1)
    total = phone + 2 * mel + 0.3 * pitch + 0.3 * voicing + 0.1 * clear + silence
    hit = (phone_logits.argmax(-1) == batch["phone"]).float().mean()
    return {
        "loss": total,
        "phone": phone,
        "mel": mel,
        "pitch": pitch,
        "clear": clear,
        "silence": silence,
        "hit": hit,
    }


def train_tokenizer(work: Path, plan: Plan = PLAN, device: str = "cpu") -> SpeechTokenizer:
    """Train, or go on, in ``work``/runs/tokenizer; averaged weights in the end."""
    numbers = shard_numbers(work / "corpus")[: SHARDS + 1]
    kept = [Shard.open(work / "corpus", number) for number in numbers]
    crops, held_out = Crops(kept[:-1]), Crops(kept[-1:])
    net, reader = SpeechTokenizer(POCKET.speech_tokenizer), Reader(POCKET.speech_tokenizer.digits)
    run = Run(work / "runs" / "tokenizer", {"tokenizer": net, "reader": reader}, plan, device)

    def step(number: int, draw: np.random.Generator) -> Losses:
        return losses(net, reader, _on(crops.draw(draw, _BATCH), device))

    def judge() -> dict[str, float]:
        batch = _on(held_out.draw(np.random.default_rng(0), 4 * _BATCH), device)
        found = losses(net, reader, batch)
        used = len(net(batch["log_mel"]).unique())
        return {**{name: float(value) for name, value in found.items()}, "codes": used}

    run.train(step, judge)
    run.use_average()
    return net.eval()


def load_tokenizer(work: Path) -> SpeechTokenizer:
    """The trained tokenizer of ``work``."""
    net, reader = SpeechTokenizer(POCKET.speech_tokenizer), Reader(POCKET.speech_tokenizer.digits)
    Run(work / "runs" / "tokenizer", {"tokenizer": net, "reader": reader}, PLAN).use_average()
    return net.eval()


def _on(batch: dict[str, Tensor], device: str) -> dict[str, Tensor]:
    return add_features({name: value.to(device) for name, value in batch.items()})


def codes_of(net: SpeechTokenizer, samples_16k: NDArray[np.float32]) -> NDArray[np.int16]:
    """The codes of a whole utterance, as enrolling computes them."""
    with torch.inference_mode():
        codes = net(torch.from_numpy(log_mel_128(samples_16k))[None])
    found: NDArray[np.int16] = codes[0].numpy().astype(np.int16)
    return found


def make_features(work: Path, numbers: Sequence[int] | None = None) -> None:
    """Codes and mel of the corpus or of some of its shards; those that are there are left alone.

    `NNN.codes` (int16), `NNN.mel` (float16, frames of 80) and last `NNN.frames.json`: for each utterance
    in the index's order its first code and how many; its mel frames are twice those.
    """
    net = load_tokenizer(work)
    folder = work / "features"
    folder.mkdir(exist_ok=True)
    for number in tqdm(numbers or shard_numbers(work / "corpus"), "features", unit=" h"):
        index = folder / f"{number:03}.frames.json"
        if index.is_file():
            continue
        shard = Shard.open(work / "corpus", number)
        codes = [_whole_codes(net, shard, utterance) for utterance in shard.utterances]
        (folder / f"{number:03}.codes").write_bytes(np.concatenate(codes).tobytes())
        mel_file = folder / f"{number:03}.mel"
        if not mel_file.is_file():
            mels = [
                _mel(shard, utterance, len(found))
                for utterance, found in zip(shard.utterances, codes, strict=True)
            ]
            mel_file.write_bytes(np.concatenate(mels).tobytes())
        counts = [len(found) for found in codes]
        firsts = np.cumsum([0, *counts[:-1]]).tolist()
        index.write_text(json.dumps(list(zip(firsts, counts, strict=True))))


def _whole_codes(net: SpeechTokenizer, shard: Shard, utterance: Utterance) -> NDArray[np.int16]:
    return codes_of(net, shard.samples(utterance))[: utterance.samples // CODE_SAMPLES]


def _mel(shard: Shard, utterance: Utterance, codes: int) -> NDArray[np.float16]:
    mel = prompt_mel(to_24k(shard.samples(utterance)))[: MEL_FRAMES_PER_TOKEN * codes]
    return mel.astype(np.float16)
