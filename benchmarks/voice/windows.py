"""Tokens to audio: the codes of real speech through the synthesizer, cut into windows as the engine does."""

import importlib

import numpy as np
from numpy.typing import NDArray

from benchmarks.voice.rendered import Rendered
from engines.backends.base import Backend, SynthWindow, Voice
from engines.backends.signature import VOICE_CODES, VOICE_XVECTOR
from engines.chatterbox.open import RUNNERS, ModelRunner, require_model
from engines.config import EngineConfig
from engines.rates import TOKEN_SAMPLES
from engines.scheduler.chunking import ChunkSchedule, ready_window
from engines.voices.features import kaldi_fbank, log_mel_128
from engines.voices.resample import sinc_24k_to_16k

Floats = NDArray[np.float32]


class Encoders:
    """What a model hears: a recording's codes and its x-vector, by the graphs that enroll voices."""

    def __init__(self, runner: ModelRunner) -> None:
        self._runner = runner

    @classmethod
    def open(cls, config: EngineConfig) -> "Encoders":
        """Of the model that ``config`` speaks with. Raises ConfigError."""
        module, opener = RUNNERS[config.backend].split(":")
        return cls(getattr(importlib.import_module(module), opener)(require_model(config)))

    def codes(self, samples: Floats) -> tuple[int, ...]:
        """One code for each 40 ms of (n,) at 24 kHz, as a voice's prompt gets its codes."""
        whole = np.pad(samples, (0, -len(samples) % TOKEN_SAMPLES))
        log_mel = log_mel_128(sinc_24k_to_16k(whole))[None]
        found = self._runner.run(VOICE_CODES, {"log_mel": log_mel})["codes"][0]
        return tuple(int(code) for code in found[: len(whole) // TOKEN_SAMPLES])

    def xvector(self, samples: Floats) -> Floats:
        """(width,)"""
        fbank = kaldi_fbank(sinc_24k_to_16k(samples))[None]
        embedding: Floats = self._runner.run(VOICE_XVECTOR, {"fbank": fbank})["embedding"][0]
        return embedding


def synthesize(
    backend: Backend, config: EngineConfig, voice: Voice, codes: tuple[int, ...], seed: int
) -> Rendered:
    """All windows of ``codes``, planned as the scheduler plans those of a segment that has ended."""
    schedule = ChunkSchedule(config.chunk_tokens, backend.left_context_tokens, backend.lookahead_tokens)
    audio, ends, carry = [], [0], None
    while ends[-1] < len(codes):
        plan = ready_window(schedule, len(codes), ends[-1], len(ends) - 1, tokens_ended=True)
        assert plan is not None, "all tokens are there"
        window = SynthWindow(
            voice=voice,
            seed=seed,
            tokens=codes[plan.first_token : plan.end_token],
            first_token=plan.first_token,
            left_context_tokens=plan.left_context_tokens,
            new_tokens=plan.new_tokens,
            final=plan.final,
            token_state=None,
            carry=carry,
        )
        result = backend.synthesizer.synthesize([window])[0]
        carry = result.carry
        audio.append(result.samples)
        ends.append(ends[-1] + plan.new_tokens)
    seams = tuple(end * TOKEN_SAMPLES for end in ends[1:-1])
    return Rendered(np.concatenate([np.zeros(0, np.float32), *audio]), seams)
