"""Pure: a spectrogram as a PNG, with numpy and zlib alone (PNG: RFC 2083)."""

import struct
import zlib

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from engines.rates import SAMPLE_RATE_HZ

TOP_HZ = 8_000
HOP_SAMPLES = SAMPLE_RATE_HZ // 200
FLOOR_DB = -75.0
_FFT = 1_024
_HEIGHT = 200

_STOPS = np.array(
    [[12, 8, 38], [66, 10, 104], [147, 38, 103], [221, 81, 58], [252, 165, 10], [252, 255, 200]]
)
"""From quiet to loud: dark blue, violet, red, orange, yellow."""


def spectrogram_png(samples_24k: NDArray[np.float32]) -> bytes:
    """Up to 8 kHz from bottom to top, 200 columns a second, 75 dB from a full sine down."""
    return png(_COLOURS[spectrogram(samples_24k)])


def spectrogram(samples_24k: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(200, columns) from the top down: 0 at the floor, 255 at a full sine."""
    padded = np.pad(samples_24k, _FFT // 2)
    window = np.hanning(_FFT + 1)[:-1]
    frames = sliding_window_view(padded, _FFT)[::HOP_SAMPLES] * window
    magnitude = np.abs(np.fft.rfft(frames)) / (window.sum() / 2)
    bins = round(TOP_HZ * _FFT / SAMPLE_RATE_HZ)
    places = np.linspace(0, bins, _HEIGHT)
    level_db = 20 * np.log10(np.maximum(magnitude[:, np.rint(places).astype(int)], 1e-9))
    shade = np.clip((level_db - FLOOR_DB) / -FLOOR_DB, 0, 1)
    pixels: NDArray[np.uint8] = np.rint(255 * shade.T[::-1]).astype(np.uint8)
    return pixels


def png(pixels: NDArray[np.uint8]) -> bytes:
    """(height, width, 3) as a file."""
    height, width, _ = pixels.shape
    lines = np.concatenate((np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)), 1)  # filter 0: none
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, RGB
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(_part, *zip(*parts, strict=True)))


def _part(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _colours() -> NDArray[np.uint8]:
    at = np.linspace(0, len(_STOPS) - 1, 256)
    channels = [np.interp(at, np.arange(len(_STOPS)), _STOPS[:, channel]) for channel in range(3)]
    colours: NDArray[np.uint8] = np.rint(np.stack(channels, 1)).astype(np.uint8)
    return colours


_COLOURS = _colours()  # (256, 3)
