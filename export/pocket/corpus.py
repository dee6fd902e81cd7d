"""The corpus: texts said by flite, with phones, words and pitch, in shards that can be made in any order.

A shard is three files: `NNN.pcm` (int16, 16 kHz, one utterance behind the other), `NNN.pitch` (float16
in Hz, 200 a second), `NNN.jsonl` (one Utterance a line). The index is written last: a shard with an
index is whole, and a run that was stopped goes on with the shards that are missing.
"""

import json
import math
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from engines.rates import SAMPLE_RATE_HZ
from engines.voices.loudness import TARGET_LUFS, loudness_lufs
from export.pocket.flite import FLITE_HZ, PAUSE, PITCH_HZ, VOICES, Spoken, speak
from export.pocket.texts import texts

SHARD_S = 3_600.0
AWB_SHARE = 0.27
LEAD_S, TAIL_S = 0.04, 0.06
"""What is left of the silence before the first phone and after the last."""

MIN_S, MAX_S = 0.6, 18.0
_PITCH_SAMPLES = FLITE_HZ // PITCH_HZ
_LEVEL_TEXT = "The birch canoe slid on the smooth planks, and a large size in stockings is hard to sell."


@dataclass(frozen=True, slots=True)
class Utterance:
    """One line of an index. Times are in seconds from the utterance's first sample."""

    voice: str
    kind: str
    text: str
    start: int  # of its samples in the shard
    samples: int
    phones: tuple[str, ...]  # a stressed vowel's name ends in 1
    ends_s: tuple[float, ...]
    words: tuple[int, ...]  # which blank-separated word of the text; -1 in a pause


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard as it lies on disk; its audio is mapped, not read."""

    utterances: tuple[Utterance, ...]
    pcm: NDArray[np.int16]
    pitch: NDArray[np.float16]

    @classmethod
    def open(cls, folder: Path, number: int) -> "Shard":
        lines = _path(folder, number, "jsonl").read_text().splitlines()
        records: list[dict[str, Any]] = [json.loads(line) for line in lines]
        utterances = tuple(Utterance(**{k: _tuple(v) for k, v in each.items()}) for each in records)
        pcm = np.memmap(_path(folder, number, "pcm"), np.int16, "r")
        return cls(utterances, pcm, np.memmap(_path(folder, number, "pitch"), np.float16, "r"))

    def samples(self, utterance: Utterance) -> NDArray[np.float32]:
        """(n,) at 16 kHz."""
        found = self.pcm[utterance.start : utterance.start + utterance.samples]
        return (found / 32_768).astype(np.float32)

    def pitch_hz(self, utterance: Utterance) -> NDArray[np.float32]:
        """200 a second, 0 where there is no voice."""
        first = utterance.start // _PITCH_SAMPLES
        return self.pitch[first : first + utterance.samples // _PITCH_SAMPLES].astype(np.float32)


def shard_numbers(folder: Path) -> list[int]:
    """The shards that are whole."""
    return sorted(int(path.stem) for path in folder.glob("[0-9]*.jsonl"))


def make_corpus(folder: Path, hours: float, seed: int, banned: frozenset[str], workers: int) -> None:
    """Make what is missing of ``hours`` shards. ``banned`` are texts kept for judging (texts.bare)."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = sorted(set(range(math.ceil(hours))) - set(shard_numbers(folder)))
    with ProcessPoolExecutor(workers) as pool:
        jobs = [pool.submit(make_shard, folder, number, seed, banned) for number in missing]
        for job in tqdm(jobs, "corpus", unit=" h"):
            job.result()


def make_shard(folder: Path, number: int, seed: int, banned: frozenset[str] = frozenset()) -> None:
    """An hour of speech, told by (seed, number) alone."""
    draw = random.Random(f"{seed}/{number}")
    pcm, pitch, lines, end = [], [], [], 0
    for kind, text in texts(draw.getrandbits(32), banned):
        voice = VOICES[draw.random() < AWB_SHARE]
        made = _utterance(voice, kind, text, end)
        if made is None:
            continue
        utterance, samples, pitch_hz = made
        pcm.append(samples)
        pitch.append(pitch_hz)
        lines.append(json.dumps(asdict(utterance)))
        end += utterance.samples
        if end >= SHARD_S * FLITE_HZ:
            break
    _path(folder, number, "pcm").write_bytes(np.concatenate(pcm).tobytes())
    _path(folder, number, "pitch").write_bytes(np.concatenate(pitch).tobytes())
    _path(folder, number, "jsonl").write_text("\n".join(lines) + "\n")


def say(text: str, voice: str) -> NDArray[np.float32]:
    """A text as the corpus has it: (n,) at 16 kHz, at the level and with the ends that it has there."""
    spoken = speak(text, voice)
    first, last = _ends(spoken)
    return (spoken.samples[first:last] / 32_768).astype(np.float32) * np.float32(gain(voice))


@cache
def gain(voice: str) -> float:
    """What brings a voice to the level that prompts are brought to."""
    samples = (speak(_LEVEL_TEXT, voice).samples / 32_768).astype(np.float32)
    return float(10 ** ((TARGET_LUFS - loudness_lufs(to_24k(samples))) / 20))


def to_24k(samples_16k: NDArray[np.float32]) -> NDArray[np.float32]:
    """At the model's rate, (3 n / 2,)."""
    import soxr

    resampled: NDArray[np.float32] = soxr.resample(samples_16k, FLITE_HZ, SAMPLE_RATE_HZ, "HQ")
    return resampled


def _utterance(
    voice: str, kind: str, text: str, start: int
) -> tuple[Utterance, NDArray[np.int16], NDArray[np.float16]] | None:
    """None for what flite reads in words of its own, and for what is too short or too long."""
    spoken = speak(text, voice)
    words = [phone.word for phone in spoken.phones if phone.word is not None]
    if spoken.words != len(text.split()) or len(set(words)) != spoken.words:
        return None
    first, last = _ends(spoken)
    if not MIN_S <= (last - first) / FLITE_HZ <= MAX_S:
        return None
    samples = np.rint(spoken.samples[first:last] * gain(voice)).clip(-32_768, 32_767).astype(np.int16)
    pitch_hz = spoken.pitch_hz[first // _PITCH_SAMPLES : last // _PITCH_SAMPLES].astype(np.float16)
    pitch_hz = np.pad(pitch_hz, (0, len(samples) // _PITCH_SAMPLES - len(pitch_hz)))
    offset_s, until_s = first / FLITE_HZ, len(samples) / FLITE_HZ
    ends = [round(min(max(phone.end_s - offset_s, 0), until_s), 4) for phone in spoken.phones]
    return (
        Utterance(
            voice,
            kind,
            text,
            start,
            len(samples),
            tuple(phone.name + "1" * phone.stressed for phone in spoken.phones),
            tuple(ends),
            tuple(-1 if phone.word is None else phone.word for phone in spoken.phones),
        ),
        samples,
        pitch_hz,
    )


def _ends(spoken: Spoken) -> tuple[int, int]:
    """First and last sample of what is kept, on pitch frames."""
    phones = spoken.phones
    said = [i for i, phone in enumerate(phones) if phone.name != PAUSE]
    first_s = (phones[said[0] - 1].end_s if said[0] else 0) - LEAD_S
    last_s = phones[said[-1]].end_s + TAIL_S
    first = max(round(first_s * PITCH_HZ), 0) * _PITCH_SAMPLES
    last = min(round(last_s * PITCH_HZ), len(spoken.samples) // _PITCH_SAMPLES) * _PITCH_SAMPLES
    return first, last


def utterances(folder: Path, numbers: Sequence[int]) -> Iterator[tuple[Shard, Utterance]]:
    """All of some shards, in order."""
    for number in numbers:
        shard = Shard.open(folder, number)
        for utterance in shard.utterances:
            yield shard, utterance


def _path(folder: Path, number: int, kind: str) -> Path:
    return folder / f"{number:03}.{kind}"


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
