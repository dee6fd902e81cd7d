"""The audio lane: S3Gen on a runner, from windows of speech codes to audio.

All that a window needs comes with it or follows from its voice, its seed and its place in the segment,
so windows of any calls share a batch when they have as many frames to vocode.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines import noise, seams
from engines.backends.base import SynthResult, SynthWindow
from engines.backends.runner import Runner
from engines.backends.signature import S3_CACHED_CHUNK, S3_CHUNK
from engines.chatterbox.prompts import MAX_PROMPTS, Prompt, PromptCaches
from engines.errors import SpeechFailed
from engines.model import MEL_BANDS, ModelConfig
from engines.rates import HOP_SAMPLES, MEL_FRAMES_PER_TOKEN
from engines.seams import Seam, Span, Vocoded
from engines.voices.conditioning import Conditioning

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A window and the prompt that it follows in the flow."""

    window: SynthWindow
    prompt: Prompt

    @property
    def voice(self) -> Conditioning:
        voice: Conditioning = self.window.voice.conditioning
        return voice

    @property
    def seam(self) -> Seam | None:
        seam: Seam | None = self.window.carry
        return seam

    @property
    def span(self) -> Span:
        window = self.window
        left_tokens, new_tokens = window.left_context_tokens, window.new_tokens
        lookahead_tokens = len(window.tokens) - left_tokens - new_tokens
        return seams.plan(len(self.prompt.tokens) + left_tokens, new_tokens, lookahead_tokens)

    @property
    def new_frame(self) -> int:
        """The first of its new mel frames, counted in its segment."""
        return MEL_FRAMES_PER_TOKEN * (self.window.first_token + self.window.left_context_tokens)

    def tokens(self) -> NDArray[np.int64]:
        """(N,)"""
        return np.concatenate((self.prompt.tokens, np.array(self.window.tokens, np.int64)))

    def noise(self) -> NDArray[np.float32]:
        """(80, 2 N)"""
        rate, window = MEL_FRAMES_PER_TOKEN, self.window
        first_frame, frames = rate * window.first_token, rate * len(window.tokens)
        return np.concatenate((self.prompt.noise, noise.mel_noise(window.seed, first_frame, frames)), 1)


class ChatterboxSynthesizer:
    """Synthesizer on S3Gen's graphs; one thread calls it.

    Exact, it renders the voice's prompt again with every window, as the reference does. With
    ``prompt_cache`` it renders it once per voice, and no prompt sees the window that follows it: much
    less work, and not quite the reference.
    """

    def __init__(
        self,
        runner: Runner,
        model: ModelConfig,
        *,
        prompt_cache: bool = False,
        max_prompts: int = MAX_PROMPTS,
    ) -> None:
        self._runner, self._codes = runner, model.codes
        self._sines = model.vocoder.harmonics + 1
        self.prompts = PromptCaches(runner, model, max_prompts) if prompt_cache else None

    def synthesize(self, windows: Sequence[SynthWindow]) -> list[SynthResult]:
        """One result a window, in order: exactly its new tokens' samples.

        Raises SpeechFailed when one of them cannot be spoken or its audio is not finite; alone, the
        others can.
        """
        results: dict[int, SynthResult] = {}
        groups: dict[Any, dict[int, Row]] = {}
        for index, window in enumerate(windows):
            if window.new_tokens:
                row = self._row(window)
                groups.setdefault(self._kind(row), {})[index] = row
            else:
                results[index] = SynthResult(np.zeros(0, np.float32), window.carry)
        for group in groups.values():
            results.update(zip(group, self._render(list(group.values())), strict=True))
        return [results[index] for index in range(len(windows))]

    def _row(self, window: SynthWindow) -> Row:
        """Raises SpeechFailed for codes that are none: as indices they would read beyond a table."""
        if not 0 <= min(window.tokens) <= max(window.tokens) < self._codes:
            wrong = next(token for token in window.tokens if not 0 <= token < self._codes)
            raise SpeechFailed(f"{wrong} is not one of the {self._codes} speech codes")
        voice: Conditioning = window.voice.conditioning
        prompt = Prompt.of(voice, self._codes)
        if self.prompts is not None:
            prompt = prompt.since(self.prompts.cached_tokens(voice))
        row = Row(window, prompt)
        assert (row.seam is None) == (row.new_frame == 0), "a window goes on from the one before it"
        return row

    def _kind(self, row: Row) -> tuple[Any, ...]:
        """What rows of one run have in common."""
        return row.span.frames, row.seam is None, None if self.prompts is None else row.voice

    def _render(self, rows: Sequence[Row]) -> list[SynthResult]:
        inputs = {**_flow_inputs(rows), **self._vocoder_inputs(rows)}
        if self.prompts is None:
            outputs = self._runner.run(S3_CHUNK, inputs)
        else:
            cache = self.prompts.of(rows[0].voice)
            outputs = self._runner.run(S3_CACHED_CHUNK, {**inputs, **cache})
        return [_result(row, _vocoded(outputs, index)) for index, row in enumerate(rows)]

    def _vocoder_inputs(self, rows: Sequence[Row]) -> Arrays:
        fades = [seams.mel_fade(row.seam) for row in rows]
        found = [row.seam for row in rows if row.seam is not None]
        assert len(found) in (0, len(rows)), "rows that begin a segment run by themselves"
        no_mel = np.zeros((len(rows), MEL_BANDS, 0), np.float32)
        no_source = np.zeros((len(rows), 0, HOP_SAMPLES), np.float32)
        return {
            "first_frame": np.array([row.span.first_frame for row in rows]),
            "fade_mel": np.stack([mel for mel, _ in fades]),
            "fade_weight": np.stack([weight for _, weight in fades]),
            "mel_cache": np.stack([seam.mel_cache for seam in found]) if found else no_mel,
            "source_cache": np.stack([seam.source_cache for seam in found]) if found else no_source,
            "phase": np.array([row.seam.phase if row.seam else 0 for row in rows], np.float32),
            "harmonic_phase": np.stack([noise.harmonic_phase(row.window.seed, self._sines) for row in rows]),
            "source_noise": np.stack(
                [noise.source_noise(row.window.seed, row.new_frame, row.span.frames) for row in rows]
            ),
        }


def _flow_inputs(rows: Sequence[Row]) -> Arrays:
    """Prompts and windows in one batch, shorter rows padded on the right."""
    lengths = [len(row.prompt.tokens) + len(row.window.tokens) for row in rows]
    longest = max(lengths)
    tokens = np.zeros((len(rows), longest), np.int64)
    cond, mel_noise = np.zeros((2, len(rows), MEL_BANDS, MEL_FRAMES_PER_TOKEN * longest), np.float32)
    for index, row in enumerate(rows):
        tokens[index, : lengths[index]] = row.tokens()
        cond[index, :, : row.prompt.mel.shape[1]] = row.prompt.mel
        mel_noise[index, :, : MEL_FRAMES_PER_TOKEN * lengths[index]] = row.noise()
    return {
        "tokens": tokens,
        "tokens_length": np.array(lengths),
        "embedding": np.stack([row.voice.embedding for row in rows]),
        "cond": cond,
        "noise": mel_noise,
    }


def _vocoded(outputs: Arrays, index: int) -> Vocoded:
    row = {name: outputs[name][index] for name in ("mel", "audio", "source", "phases")}
    for name, values in row.items():
        if not np.isfinite(values).all():
            raise SpeechFailed(f"S3Gen gave {name} that is not finite")
    return Vocoded(**row)


def _result(row: Row, vocoded: Vocoded) -> SynthResult:
    heard = vocoded.audio[: row.span.heard_frames].ravel()
    samples = seams.join(heard, row.seam, final=row.window.final)
    return SynthResult(samples, None if row.window.final else Seam.after(row.span, vocoded, row.seam))
