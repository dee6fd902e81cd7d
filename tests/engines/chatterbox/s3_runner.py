"""S3Gen behind a Runner: a small real one, and one whose frames depend on their place alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engines.backends.base import Synthesizer, SynthResult, SynthWindow, Voice
from engines.backends.runner import Tensors
from engines.backends.signature import (
    CACHED_MEL_FRAMES,
    FADE_MEL_FRAMES,
    S3_CACHED_CHUNK,
    S3_CHUNK,
    S3_PROMPT,
)
from engines.contract import Samples
from engines.model import MEL_BANDS
from engines.nets.graph_specs import graph_specs
from engines.nets.s3_graphs import S3CachedChunk, S3Chunk, S3Prompt
from engines.rates import HOP_SAMPLES
from engines.scheduler.chunking import ChunkSchedule, ready_window
from engines.voices.conditioning import Conditioning
from export.tiny import TINY
from tests.engines.nets.flows import SMALL as SMALL_FLOW
from tests.engines.nets.flows import random_flow
from tests.engines.nets.vocoders import random_vocoder

SMALL = replace(SMALL_FLOW, vocoder=TINY.vocoder)
SPECS = graph_specs(SMALL)

Arrays = dict[str, NDArray[Any]]


def make_voice(prompt_tokens: int = 11, seed: int = 0) -> Voice:
    draw = np.random.default_rng(seed)
    conditioning = Conditioning(
        speaker=np.zeros(256, np.float32),
        t3_prompt=np.zeros(0, np.int64),
        s3_prompt=draw.integers(0, SMALL.codes, prompt_tokens),
        s3_prompt_mel=draw.standard_normal((2 * prompt_tokens, MEL_BANDS), np.float32),
        embedding=3 * draw.standard_normal(SMALL.xvector.width, np.float32),
    )
    return Voice(f"voice {seed}", "", -27.0, conditioning)


def make_codes(tokens: int, seed: int = 0) -> tuple[int, ...]:
    return tuple(np.random.default_rng([1, seed]).integers(0, SMALL.codes, tokens).tolist())


def whole(voice: Voice, codes: Sequence[int], seed: int = 7) -> SynthWindow:
    """A segment in one window."""
    return SynthWindow(voice, seed, tuple(codes), 0, 0, len(codes), True, None, None)


def cut(
    synthesizer: Synthesizer, voice: Voice, codes: Sequence[int], schedule: ChunkSchedule, seed: int = 7
) -> tuple[list[SynthWindow], list[Samples]]:
    """A segment's windows as the scheduler makes them, and their audio."""
    windows: list[SynthWindow] = []
    heard: list[Samples] = []
    emitted, carry = 0, None
    while plan := ready_window(schedule, len(codes), emitted, len(windows), tokens_ended=True):
        tokens = tuple(codes[plan.first_token : plan.end_token])
        places = (plan.first_token, plan.left_context_tokens, plan.new_tokens, plan.final)
        window = SynthWindow(voice, seed, tokens, *places, None, carry)
        result = synthesizer.synthesize([window])[0]
        windows.append(window)
        heard.append(result.samples)
        emitted, carry = emitted + plan.new_tokens, result.carry
    return windows, heard


@dataclass
class S3Runner:
    """Runs the graphs in torch, strict about what it is given."""

    compute_dtype: Any = np.float32
    calls: list[tuple[str, Arrays]] = field(default_factory=list)
    spoil: str = ""  # an output to put a NaN into, in row 0

    def __post_init__(self) -> None:
        flow, self.vocoder = random_flow(SMALL), random_vocoder(SMALL)
        self.vocoder.f0_predictor.classifier.weight.mul_(0.1)  # of a voice's range
        self.modules = {
            S3_CHUNK: S3Chunk(flow, self.vocoder),
            S3_PROMPT: S3Prompt(flow),
            S3_CACHED_CHUNK: S3CachedChunk(flow, self.vocoder),
        }

    def has(self, graph: str) -> bool:
        return graph in self.modules

    def run(self, graph: str, inputs: Tensors) -> Arrays:
        spec = SPECS[graph]
        assert inputs.keys() == {each.name for each in spec.inputs}
        sizes: dict[str, int] = {}
        for each in spec.inputs:
            array = inputs[each.name]
            assert array.dtype == ("int64" if each.dtype == "int64" else "float32"), each.name
            assert array.ndim == len(each.axes), each.name
            for axis, size in zip(each.axes, array.shape, strict=True):
                expected = axis if isinstance(axis, int) else sizes.setdefault(axis, size)
                assert size == expected, (each.name, axis)
        if "K" in sizes:
            assert sizes["K"] in (0, CACHED_MEL_FRAMES)
        self.calls.append((graph, dict(inputs)))
        given = [torch.from_numpy(np.require(inputs[each.name], None, ("C", "W"))) for each in spec.inputs]
        with torch.inference_mode():
            outputs = self.modules[graph](*given)
        named = {each.name: out.numpy() for each, out in zip(spec.outputs, outputs, strict=True)}
        if self.spoil in named:
            named[self.spoil][0].flat[-1] = np.nan
        return named


@dataclass
class PlaceRunner:
    """A net without context: mel is the flow's noise, audio and source are the source's noise, at their
    places; phase advances by a 16th of a cycle a frame. Streaming must give what one run gives."""

    compute_dtype: Any = np.float32
    calls: list[Arrays] = field(default_factory=list)

    def has(self, graph: str) -> bool:
        return graph == S3_CHUNK

    def run(self, graph: str, inputs: Tensors) -> Arrays:
        self.calls.append(dict(inputs))
        noise, frames = inputs["noise"], inputs["source_noise"].shape[1]
        rows = zip(noise, inputs["first_frame"], strict=True)
        mel = np.stack([row[:, first : first + frames] for row, first in rows])
        faded = min(FADE_MEL_FRAMES, frames)
        share = inputs["fade_weight"][:, None, :faded]
        mel[..., :faded] += share * (inputs["fade_mel"][..., :faded] - mel[..., :faded])
        audio = inputs["source_noise"] / 10
        steps = np.arange(1, frames + 1, dtype=np.float32) / CACHED_MEL_FRAMES
        assert audio.shape[2] == HOP_SAMPLES
        return {"mel": mel, "audio": audio, "source": audio, "phases": (inputs["phase"][:, None] + steps) % 1}


def synthesize_alone(synthesizer: Synthesizer, windows: Sequence[SynthWindow]) -> list[SynthResult]:
    return [synthesizer.synthesize([window])[0] for window in windows]
