"""How far speech in windows is from speech in one piece: the mel of each way of cutting, and its seams.

The nets are torch's, in float32; codes are drawn, since what is compared is S3Gen alone. With weights of
noise the numbers say what the architecture loses, not what an ear would hear.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.backends.base import SynthWindow, Voice
from engines.backends.pytorch import TorchRunner
from engines.backends.runner import Runner, Tensors
from engines.chatterbox.audio import ChatterboxSynthesizer
from engines.config import EngineConfig
from engines.errors import ConfigError
from engines.model import CONDITIONALS_FILE
from engines.nets.conditionals import load_conditionals
from engines.rates import MEL_FRAMES_PER_TOKEN, SAMPLE_RATE_HZ, TOKEN_SAMPLES
from engines.scheduler.chunking import ChunkSchedule, ready_window

SEAM_S = 0.010
"""What is near a seam: this much before and after it."""

_WHOLE = 100_000
_OTHER_SEED = 1


@dataclass(frozen=True, slots=True)
class Way:
    """One way to cut an utterance and to treat its prompt."""

    name: str
    left_context_tokens: int
    chunk_tokens: tuple[int, ...] = EngineConfig().chunk_tokens
    lookahead_tokens: int = 3
    prompt_cache: bool = False
    seed: int = 0


ONE_PIECE = Way("one piece", 0, (_WHOLE,))

WAYS = (
    replace(ONE_PIECE, name="one piece, other noise", seed=_OTHER_SEED),
    replace(ONE_PIECE, name="one piece, prompt cache", prompt_cache=True),
    Way("windows, all to the left", _WHOLE),
    Way("windows, 50 to the left", 50),
    Way("windows, 25 to the left", 25),
    Way("windows, 10 to the left", 10),
    Way("windows, 25 to the left, prompt cache", 25, prompt_cache=True),
)


@dataclass(frozen=True, slots=True)
class Deviation:
    """What became of one way."""

    way: str
    mel_relative: float  # RMS of the difference from one piece over RMS of one piece, all heard mel frames
    windows: int
    seam_jump: float  # largest step between samples near a seam over the largest elsewhere; 0 without seams


def deviations(folder: Path, tokens: int, seed: int, threads: int = 0) -> Iterator[Deviation]:
    """Every way against one piece, for the model's own voice. Raises ConfigError where it has none."""
    runner = TorchRunner(folder, threads)
    path = folder / CONDITIONALS_FILE
    if not path.is_file():
        raise ConfigError("model", str(folder), f"comes without a voice: {CONDITIONALS_FILE} is missing")
    voice = Voice("default", "", 0.0, load_conditionals(path, runner.model))
    codes = tuple(map(int, np.random.default_rng(seed).integers(0, runner.model.codes, tokens)))
    whole, _, _ = _speak(runner, voice, codes, ONE_PIECE)
    scale = _rms(whole)
    for way in WAYS:
        mel, audio, seams = _speak(runner, voice, codes, way)
        yield Deviation(way.name, _rms(mel - whole) / scale, len(seams) + 1, _seam_jump(audio, seams))


class _Listening:
    """A runner that keeps the mel of each window it renders."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.compute_dtype = runner.compute_dtype
        self.mel: list[NDArray[Any]] = []

    def has(self, graph: str) -> bool:
        return self._runner.has(graph)

    def run(self, graph: str, inputs: Tensors) -> dict[str, NDArray[Any]]:
        outputs = self._runner.run(graph, inputs)
        if "mel" in outputs:
            self.mel.append(outputs["mel"][0])
        return outputs


def _speak(
    runner: TorchRunner, voice: Voice, codes: tuple[int, ...], way: Way
) -> tuple[NDArray[Any], NDArray[Any], list[int]]:
    """Heard mel (80, frames), audio (samples,), and the samples at which windows meet."""
    listening = _Listening(runner)
    synthesizer = ChatterboxSynthesizer(listening, runner.model, prompt_cache=way.prompt_cache)
    schedule = ChunkSchedule(way.chunk_tokens, way.left_context_tokens, way.lookahead_tokens)
    mel, audio, ends, carry = [], [], [0], None
    while ends[-1] < len(codes):
        plan = ready_window(schedule, len(codes), ends[-1], len(ends) - 1, tokens_ended=True)
        assert plan is not None, "all tokens are there"
        window = SynthWindow(
            voice=voice,
            seed=way.seed,
            tokens=codes[plan.first_token : plan.end_token],
            first_token=plan.first_token,
            left_context_tokens=plan.left_context_tokens,
            new_tokens=plan.new_tokens,
            final=plan.final,
            token_state=None,
            carry=carry,
        )
        result = synthesizer.synthesize([window])[0]
        carry = result.carry
        mel.append(listening.mel[-1][:, : MEL_FRAMES_PER_TOKEN * plan.new_tokens])
        audio.append(result.samples)
        ends.append(ends[-1] + plan.new_tokens)
    return np.concatenate(mel, 1), np.concatenate(audio), [end * TOKEN_SAMPLES for end in ends[1:-1]]


def _seam_jump(audio: NDArray[Any], seams: Sequence[int]) -> float:
    if not seams:
        return 0.0
    steps = np.abs(np.diff(audio))
    near = np.zeros(len(steps), np.bool_)
    reach = round(SEAM_S * SAMPLE_RATE_HZ)
    for seam in seams:
        near[seam - reach : seam + reach] = True
    return float(steps[near].max() / steps[~near].max())


def _rms(values: NDArray[Any]) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
