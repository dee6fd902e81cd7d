"""The graphs of S3Gen as modules: tensors in, a tuple out, in the order of engines.backends.signature."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engines.backends.signature import TensorSpec
from engines.model import MEL_BANDS, EstimatorConfig, ModelConfig
from engines.nets.s3_estimator import PARTS
from engines.nets.s3_flow import S3Flow
from engines.rates import MEL_FRAMES_PER_TOKEN

Chunk = tuple[Tensor, Tensor, Tensor, Tensor]
"""mel (B, 80, W), audio (B, W, 480), source (B, W, 480), phases (B, W)."""


class S3Chunk(nn.Module):
    """signature.s3_chunk, and with a prompt's cache after its inputs signature.s3_cached_chunk."""

    def __init__(self, flow: S3Flow, vocoder: nn.Module) -> None:
        super().__init__()
        self.flow = flow
        self.vocoder = vocoder

    def forward(
        self,
        tokens: Tensor,
        tokens_length: Tensor,
        embedding: Tensor,
        cond: Tensor,
        noise: Tensor,
        first_frame: Tensor,
        fade_mel: Tensor,
        fade_weight: Tensor,
        mel_cache: Tensor,
        source_cache: Tensor,
        phase: Tensor,
        harmonic_phase: Tensor,
        source_noise: Tensor,
        *cache: Tensor,
    ) -> Chunk:
        mel = self.flow(tokens, tokens_length, embedding, cond, noise, cache)
        mel = take_frames(mel, first_frame, source_noise.shape[1])
        mel = fade_in(mel, fade_mel, fade_weight)
        heard = torch.cat((mel_cache, mel), 2)
        audio, source, phases = self.vocoder(heard, source_cache, phase, harmonic_phase, source_noise)
        return mel, audio, source, phases


S3CachedChunk = S3Chunk
"""signature.s3_cached_chunk: one graph more of the same module, for its inputs go on with a cache."""


class S3Prompt(nn.Module):
    """signature.s3_prompt: a prompt to the cache that S3CachedChunk takes."""

    def __init__(self, flow: S3Flow) -> None:
        super().__init__()
        self.flow = flow

    def forward(
        self, tokens: Tensor, tokens_length: Tensor, embedding: Tensor, cond: Tensor, noise: Tensor
    ) -> tuple[Tensor, ...]:
        return self.flow.prompt_cache(tokens, tokens_length, embedding, cond, noise)


def take_frames(mel: Tensor, first_frame: Tensor, frames: int) -> Tensor:
    """``frames`` mel frames of each row (batch, 80, all) from its ``first_frame`` (batch,) on."""
    place = first_frame[:, None] + torch.arange(frames, device=mel.device)
    return mel.gather(2, place[:, None].expand(-1, mel.shape[1], -1))


def fade_in(mel: Tensor, fade_mel: Tensor, fade_weight: Tensor) -> Tensor:
    """The first mel frames give way to ``fade_mel`` by ``fade_weight``, in a window however short."""
    frames = mel.shape[2]
    before = F.pad(fade_mel, (0, frames))[..., :frames]
    share = F.pad(fade_weight, (0, frames))[:, None, :frames]
    return mel + share * (before - mel)


def prompt_cache_spec(model: ModelConfig) -> tuple[TensorSpec, ...]:
    """The cache's tensors in order. Axis P: the prompt's tokens less the lookahead; 2P: their mel frames.

    Keys and values are of every attention, tails of every causal convolution, in the order they run.
    """
    return (*_encoder_cache(model), *_estimator_cache(model.estimator))


def _encoder_cache(model: ModelConfig) -> Iterator[TensorSpec]:
    encoder = model.encoder
    head_width = encoder.width // encoder.heads
    yield TensorSpec("lookahead_tail", "compute", (encoder.width, 2))
    for layer in range(encoder.layers):
        yield from _keys_values(f"encoder.{layer}", encoder.heads, "P", head_width)
    yield TensorSpec("up_tail", "compute", (encoder.width, 2 * MEL_FRAMES_PER_TOKEN))
    for layer in range(encoder.up_layers):
        yield from _keys_values(f"up.{layer}", encoder.heads, "2P", head_width)


def _estimator_cache(estimator: EstimatorConfig) -> Iterator[TensorSpec]:
    channels = estimator.channels
    for step in range(estimator.euler_steps):
        yield from _level_cache(f"{step}.down", PARTS * MEL_BANDS, estimator)
        yield _tail(f"{step}.down.conv", channels)
        for block in range(estimator.mid_blocks):
            yield from _level_cache(f"{step}.mid.{block}", channels, estimator)
        yield from _level_cache(f"{step}.up", 2 * channels, estimator)
        yield _tail(f"{step}.up.conv", channels)
        yield _tail(f"{step}.final", channels)


def _level_cache(name: str, channels_in: int, estimator: EstimatorConfig) -> Iterator[TensorSpec]:
    yield _tail(f"{name}.block1", channels_in)
    yield _tail(f"{name}.block2", estimator.channels)
    for layer in range(estimator.transformers):
        yield from _keys_values(f"{name}.{layer}", estimator.heads, "2P", estimator.head_width)


def _tail(name: str, channels: int) -> TensorSpec:
    return TensorSpec(f"{name}_tail", "compute", (channels, 2))


def _keys_values(name: str, heads: int, axis: str, head_width: int) -> Iterator[TensorSpec]:
    for half in "kv":
        yield TensorSpec(f"{name}_{half}", "compute", (heads, axis, head_width))
