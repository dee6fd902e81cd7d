"""Speak faster or slower without changing the pitch: libavfilter's atempo, streamed."""

from fractions import Fraction
from typing import Any

import numpy as np

from engines.contract import Samples
from engines.rates import SAMPLE_RATE_HZ, TOKEN_SAMPLES

_BLOCK_SAMPLES = TOKEN_SAMPLES
"""Its seams fall where its input is cut, so it is cut alike whatever comes: each chunk is whole tokens."""

_LEAST_SAMPLES = 16
"""atempo cannot make nothing: at speed 4 a single sample would be an error."""


class Tempo:
    """24 kHz samples in, 1/speed as many out. ``speed`` is 0.25 to 4."""

    def __init__(self, speed: float) -> None:
        import av
        import av.filter

        self._av = av
        self._graph: Any = av.filter.Graph()
        source = self._graph.add_abuffer(
            sample_rate=SAMPLE_RATE_HZ, format="flt", layout="mono", time_base=Fraction(1, SAMPLE_RATE_HZ)
        )
        stretch = self._graph.add("atempo", str(speed / _halving(speed)))
        # atempo goes down to 0.5: two of them in a row reach 0.25.
        second = self._graph.add("atempo", str(_halving(speed)))
        sink = self._graph.add("abuffersink")
        source.link_to(stretch)
        stretch.link_to(second)
        second.link_to(sink)
        self._graph.configure()
        self._held: Samples = np.zeros(0, np.float32)
        self._samples = 0

    def push(self, samples: Samples) -> Samples:
        held: Samples = np.concatenate((self._held, samples))
        whole_samples = len(held) - len(held) % _BLOCK_SAMPLES
        self._held = held[whole_samples:].copy()
        blocks = held[:whole_samples].reshape(-1, _BLOCK_SAMPLES)
        return _joined([self._stretch(block) for block in blocks])

    def flush(self) -> Samples:
        """What is held and inside. Silence makes up for a rest that would become less than one sample."""
        pieces: list[Samples] = []
        if len(self._held):
            missing_samples = max(0, _LEAST_SAMPLES - len(self._held))
            pieces.append(self._stretch(np.pad(self._held, (0, missing_samples))))
        self._graph.push(None)
        return _joined([*pieces, self._pull()])

    def _stretch(self, samples: Samples) -> Samples:
        frame: Any = self._av.AudioFrame.from_ndarray(samples[np.newaxis, :], format="flt", layout="mono")
        frame.sample_rate = SAMPLE_RATE_HZ
        frame.pts = self._samples
        self._samples += len(samples)
        self._graph.push(frame)
        return self._pull()

    def _pull(self) -> Samples:
        pieces: list[Samples] = []
        while True:
            try:
                pieces.append(self._graph.pull().to_ndarray()[0])
            except (self._av.error.BlockingIOError, self._av.error.EOFError):
                break
        return _joined(pieces)


def _joined(pieces: list[Samples]) -> Samples:
    return np.concatenate([np.zeros(0, np.float32), *pieces])


def _halving(speed: float) -> float:
    return 0.5 if speed < 0.5 else 1.0
