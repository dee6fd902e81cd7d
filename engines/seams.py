"""Pure planning of seams: which mel frames of a window are vocoded, which are heard, and what is kept.

A window is rendered to its very end, lookahead and all. The frames of its new tokens are heard; those of
its lookahead are provisional: the next window renders them again, better, and takes over gradually, in
mel and in audio. What is heard is exactly the new tokens' samples, in a final window too.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.backends.signature import CACHED_MEL_FRAMES, FADE_MEL_FRAMES
from engines.contract import Samples
from engines.model import MEL_BANDS
from engines.rates import HOP_SAMPLES, MEL_FRAMES_PER_TOKEN

Floats = NDArray[np.float32]

FADE_SAMPLES = HOP_SAMPLES
"""20 ms: of silence and of fading in where a segment begins, of fading out, of crossing a seam."""

SILENT_MEL = float(np.log(1e-5))
"""What the log-mel of no sound at all is clipped to."""


@dataclass(frozen=True, slots=True)
class Span:
    """Mel frames of one window, counted in the flow's output."""

    first_frame: int
    heard_frames: int
    provisional_frames: int

    @property
    def frames(self) -> int:
        """All that are vocoded."""
        return self.heard_frames + self.provisional_frames


def plan(before_tokens: int, new_tokens: int, lookahead_tokens: int) -> Span:
    """The frames of a window whose new tokens follow ``before_tokens`` of prompt and left context."""
    rate = MEL_FRAMES_PER_TOKEN
    return Span(rate * before_tokens, rate * new_tokens, rate * lookahead_tokens)


@dataclass(frozen=True, slots=True, eq=False)
class Vocoded:
    """One row of what the graph gives: a window's frames as vocoded."""

    mel: Floats  # (80, W)
    audio: Floats  # (W, 480)
    source: Floats  # (W, 480)
    phases: Floats  # (W,)


@dataclass(frozen=True, slots=True, eq=False)
class Seam:
    """What a segment's window leaves for its next: a value, its arrays written by nobody."""

    mel_cache: Floats  # (80, 16) heard last
    source_cache: Floats  # (16, 480)
    phase: float  # in cycles, where the heard frames end
    provisional_mel: Floats  # (80, up to 4)
    provisional_audio: Floats  # (up to 480,)

    @classmethod
    def after(cls, span: Span, vocoded: Vocoded, before: "Seam | None") -> "Seam":
        """Of a window's frames, and of the seam that it began at itself."""
        heard, end = span.heard_frames, span.frames
        cached_mel: Floats = np.full((MEL_BANDS, CACHED_MEL_FRAMES), SILENT_MEL, np.float32)
        cached_source: Floats = np.zeros((CACHED_MEL_FRAMES, HOP_SAMPLES), np.float32)
        if before is not None:
            cached_mel, cached_source = before.mel_cache, before.source_cache
        mel = np.concatenate((cached_mel, vocoded.mel[:, :heard]), 1)
        source = np.concatenate((cached_source, vocoded.source[:heard]))
        return cls(
            mel_cache=mel[:, -CACHED_MEL_FRAMES:].copy(),
            source_cache=source[-CACHED_MEL_FRAMES:].copy(),
            phase=float(vocoded.phases[heard - 1]),
            provisional_mel=vocoded.mel[:, heard : min(heard + FADE_MEL_FRAMES, end)].copy(),
            provisional_audio=vocoded.audio[heard:end].ravel()[:FADE_SAMPLES].copy(),
        )


def mel_fade(seam: Seam | None) -> tuple[Floats, Floats]:
    """The graph's fade_mel (80, 4) and fade_weight (4,): the provisional frames' falling shares."""
    mel = np.zeros((MEL_BANDS, FADE_MEL_FRAMES), np.float32)
    weight = np.zeros(FADE_MEL_FRAMES, np.float32)
    if seam is not None and (frames := seam.provisional_mel.shape[1]):
        mel[:, :frames] = seam.provisional_mel
        weight[:frames] = 1 - np.arange(1, frames + 1) / (frames + 1)
    return mel, weight


def join(heard: Samples, before: Seam | None, *, final: bool) -> Samples:
    """A window's new samples (n,) as they are heard: faded in, over the seam, or out at the end."""
    samples = heard.copy()
    if before is None:
        silent = samples[:FADE_SAMPLES]
        silent[:] = 0
        rising = samples[FADE_SAMPLES : 2 * FADE_SAMPLES]
        rising *= fade_in(FADE_SAMPLES)[: len(rising)]
    else:
        crossed = min(len(before.provisional_audio), len(samples))
        share = fade_in(crossed)
        samples[:crossed] *= share
        samples[:crossed] += (1 - share) * before.provisional_audio[:crossed]
    if final:
        falling = samples[-FADE_SAMPLES:]
        falling *= fade_in(len(falling))[::-1]
    return samples


def fade_in(samples: int) -> Samples:
    """Half a cosine from 0 to 1, both included."""
    curve: Samples = ((1 - np.cos(np.linspace(0, np.pi, samples))) / 2).astype(np.float32)
    return curve
