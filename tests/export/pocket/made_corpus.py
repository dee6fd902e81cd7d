"""A corpus of two voices that nobody need hear: a buzz each, at pitches and with formants of their own."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.model import MEL_BANDS
from engines.rates import MEL_FRAMES_PER_TOKEN
from export.pocket.corpus import Utterance
from export.pocket.flite import FLITE_HZ, PITCH_HZ, VOICES

PITCH_OF_HZ = {"rms": 110.0, "awb": 170.0}
FORMANT_HZ = {"rms": 440.0, "awb": 1_530.0}  # harmonics
FIRST_CODE = {"rms": 0, "awb": 300}
CODES_A_VOICE = 250


def make_audio(folder: Path, shards: int, seconds: tuple[float, ...] = (1.2, 2.0, 3.0)) -> None:
    """Shards in which the voices take turns."""
    folder.mkdir(parents=True)
    for number in range(shards):
        pcm, lines, start = [], [], 0
        for turn, length_s in enumerate(seconds * len(VOICES)):
            voice = VOICES[turn % len(VOICES)]
            samples = buzz(voice, int(length_s * FLITE_HZ), seed=number * 100 + turn)
            lines.append(json.dumps(asdict(_utterance(voice, start, len(samples)))))
            pcm.append(samples)
            start += len(samples)
        _write(folder, number, np.concatenate(pcm), lines)


def buzz(voice: str, samples: int, seed: int) -> NDArray[np.int16]:
    """Harmonics under one formant, come and gone four times a second."""
    draw = np.random.default_rng(seed)
    time_s = np.arange(samples) / FLITE_HZ
    pitch_hz = PITCH_OF_HZ[voice] * (1 + 0.05 * np.sin(2 * np.pi * time_s + draw.random()))
    phase = 2 * np.pi * np.cumsum(pitch_hz) / FLITE_HZ
    formant = FORMANT_HZ[voice] / PITCH_OF_HZ[voice]
    wave = sum(np.sin(k * phase) / (1 + (k - formant) ** 2) for k in range(1, 25))
    made = wave * (1.2 + np.sin(8 * np.pi * time_s)) + 0.01 * draw.standard_normal(samples)
    return (3_000 * made).astype(np.int16)


def make_features(work: Path, shards: int, lengths: tuple[int, ...]) -> None:
    """Shards with codes and mel and without audio; a mel frame says its code and its voice's formant.

    A code's two mel frames say it in band 0 (code_mark), and the rest is the voice's and the code's.
    """
    (work / "corpus").mkdir(parents=True)
    (work / "features").mkdir()
    for number in range(shards):
        draw = np.random.default_rng(number)
        codes, mels, places, lines, first = [], [], [], [], 0
        for turn, length in enumerate(lengths * len(VOICES)):
            voice = VOICES[turn % len(VOICES)]
            said = FIRST_CODE[voice] + draw.integers(0, CODES_A_VOICE, length)
            codes.append(said)
            mels.append(mel_of(voice, said))
            places.append([first, length])
            lines.append(json.dumps(asdict(_utterance(voice, 0, 0))))
            first += length
        _write(work / "corpus", number, np.zeros(1, np.int16), lines)
        features = work / "features"
        (features / f"{number:03}.codes").write_bytes(np.concatenate(codes).astype(np.int16).tobytes())
        (features / f"{number:03}.mel").write_bytes(np.concatenate(mels).astype(np.float16).tobytes())
        (features / f"{number:03}.frames.json").write_text(json.dumps(places))


def mel_of(voice: str, codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """(2 codes, 80)"""
    band = np.arange(MEL_BANDS)
    tilt = (band - 40) / 40 * (1 if voice == VOICES[0] else -1)
    content = np.sin(np.outer(codes, band) / 7)
    mel: NDArray[np.float64] = -5 + tilt + content
    mel[:, 0] = code_mark(codes)
    return mel.repeat(MEL_FRAMES_PER_TOKEN, 0)


def code_mark(codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """What band 0 says of a code, told apart in float16."""
    return codes / 64 - 6


def _utterance(voice: str, start: int, samples: int) -> Utterance:
    return Utterance(voice, "words", "no", start, samples, ("pau",), (0.1,), (-1,))


def _write(folder: Path, number: int, pcm: NDArray[np.int16], lines: list[str]) -> None:
    (folder / f"{number:03}.pcm").write_bytes(pcm.tobytes())
    pitch = np.zeros(max(len(pcm) * PITCH_HZ // FLITE_HZ, 1), np.float16)
    (folder / f"{number:03}.pitch").write_bytes(pitch.tobytes())
    (folder / f"{number:03}.jsonl").write_text("\n".join(lines) + "\n")
