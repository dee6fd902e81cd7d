"""Framer: samples in any number, frames of exactly one ptime out."""

import numpy as np
from numpy.typing import NDArray


class Framer:
    """Cuts int16 samples into frames of `frame_samples`; the last one is filled with zeros."""

    def __init__(self, frame_samples: int) -> None:
        assert frame_samples > 0, "a frame has at least one sample"
        self.frame_samples = frame_samples
        self._partial: NDArray[np.int16] = np.zeros(0, np.int16)

    def push(self, pcm: NDArray[np.int16]) -> list[NDArray[np.int16]]:
        """Take (samples,); answer the frames it completes, each (frame_samples,)."""
        samples: NDArray[np.int16] = np.concatenate((self._partial, pcm))
        whole_samples = len(samples) - len(samples) % self.frame_samples
        # Copied, or a few samples would keep the whole chunk in memory.
        self._partial = samples[whole_samples:].copy()
        return list(samples[:whole_samples].reshape(-1, self.frame_samples))

    def flush(self) -> list[NDArray[np.int16]]:
        """End the utterance: answer the unfinished frame, filled with zero samples, or []."""
        return self.push(np.zeros(-len(self._partial) % self.frame_samples, np.int16))

    def clear(self) -> None:
        """Drop the unfinished frame."""
        self._partial = np.zeros(0, np.int16)
