"""The vocoder by itself: a recording's true mel to audio, with the pitch that the net hears in it."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.voice.errors import JudgeFailed
from benchmarks.voice.rendered import Rendered
from engines import noise
from engines.rates import HOP_SAMPLES
from engines.voices.features import prompt_mel


class Vocoding:
    """The vocoder of a folder of weights. Raises JudgeFailed without torch."""

    def __init__(self, weights: Path) -> None:
        try:
            import torch

            from engines.nets.build import load_nets
        except ImportError as error:
            raise JudgeFailed(
                f"the vocoder alone needs torch ({error}): install talkspurt[pytorch]"
            ) from None
        self._torch = torch
        nets = load_nets(weights)
        self._net: Any = nets.vocoder
        self._sines = nets.model.vocoder.harmonics + 1

    def render(self, samples: NDArray[np.float32], seed: int) -> Rendered:
        """(n,) at 24 kHz through mel and back."""
        mel = prompt_mel(samples)
        given = (
            mel.T[None],  # (1, 80, frames)
            np.zeros((1, 0, HOP_SAMPLES), np.float32),
            np.zeros(1, np.float32),
            noise.harmonic_phase(seed, self._sines)[None],
            noise.source_noise(seed, 0, len(mel))[None],
        )
        with self._torch.inference_mode():
            audio, _, _ = self._net(*(self._torch.from_numpy(np.ascontiguousarray(each)) for each in given))
        return Rendered(audio[0].flatten().numpy())
