"""Speak faster or slower without changing the pitch: libavfilter's atempo, streamed."""

from fractions import Fraction
from typing import Any

import numpy as np

from engines.contract import Samples
from engines.rates import SAMPLE_RATE_HZ


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
        self._samples = 0

    def push(self, samples: Samples) -> Samples:
        if len(samples):
            frame: Any = self._av.AudioFrame.from_ndarray(samples[np.newaxis, :], format="flt", layout="mono")
            frame.sample_rate = SAMPLE_RATE_HZ
            frame.pts = self._samples
            self._samples += len(samples)
            self._graph.push(frame)
        return self._pull()

    def flush(self) -> Samples:
        self._graph.push(None)
        return self._pull()

    def _pull(self) -> Samples:
        pieces: list[Samples] = []
        while True:
            try:
                pieces.append(self._graph.pull().to_ndarray()[0])
            except (self._av.error.BlockingIOError, self._av.error.EOFError):
                break
        return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)


def _halving(speed: float) -> float:
    return 0.5 if speed < 0.5 else 1.0
