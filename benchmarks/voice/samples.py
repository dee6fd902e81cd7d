"""The one sentence that can be seen and heard: a spectrogram and the phone's own audio, a file a row."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.voice.phone import PHONE_HZ, through_phone
from benchmarks.voice.spectrogram import spectrogram_png
from telephony.g711 import encode_mulaw

_MULAW = 7  # WAVE_FORMAT_MULAW


def write_samples(folder: Path, samples_24k: Sequence[NDArray[np.float32]]) -> None:
    """``row-N.png`` and ``row-N.wav`` for the n-th row."""
    folder.mkdir(parents=True, exist_ok=True)
    for row, samples in enumerate(samples_24k):
        picture(folder, row).write_bytes(spectrogram_png(samples))
        sound(folder, row).write_bytes(wav(through_phone(samples)))


def picture(folder: Path, row: int) -> Path:
    return folder / f"row-{row}.png"


def sound(folder: Path, row: int) -> Path:
    return folder / f"row-{row}.wav"


def wav(pcm_8k: NDArray[np.int16]) -> bytes:
    """(n,) at 8 kHz as a file of mu-law, as the line has it: a browser plays it."""
    codes = encode_mulaw(pcm_8k).tobytes()
    # Other than PCM needs an extension size, here 0, and the number of samples (RIFF, 1994).
    format_part = struct.pack("<HHIIHHH", _MULAW, 1, PHONE_HZ, PHONE_HZ, 1, 8, 0)
    parts = (
        _part(b"fmt ", format_part) + _part(b"fact", struct.pack("<I", len(codes))) + _part(b"data", codes)
    )
    return b"RIFF" + struct.pack("<I", 4 + len(parts)) + b"WAVE" + parts


def _part(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
