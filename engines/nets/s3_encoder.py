"""S3Gen's encoder: speech tokens to twice as many mel-rate frames, a conformer without convolutions.

Attention has relative positions (Transformer-XL, arXiv:1901.02860, as ESPnet lays them out). The
only lookahead is a convolution over the tokens before the first layer.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engines.model import EncoderConfig
from engines.nets.s3_past import FloatNorm, Past, key_bias, split_heads
from engines.rates import MEL_FRAMES_PER_TOKEN

LONGEST_WAVELENGTH = 10_000.0
LAYER_EPS = 1e-12


class S3Encoder(nn.Module):
    """Tokens' embeddings to frames; parameters are named as the checkpoint's under `flow.encoder`."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        width = config.width
        self.embed = Projection(width)
        self.pre_lookahead_layer = Lookahead(width, config.lookahead_tokens)
        self.encoders = nn.ModuleList(EncoderLayer(config) for _ in range(config.layers))
        self.up_layer = Upsampling(width)
        self.up_embed = Projection(width)
        self.up_encoders = nn.ModuleList(EncoderLayer(config) for _ in range(config.up_layers))
        self.after_norm = FloatNorm(width)

    def forward(self, x: Tensor, tokens_length: Tensor, past: Past, blocked_tokens: int = 0) -> Tensor:
        """(batch, tokens, width) to (batch, 2 * tokens, width).

        A recording run takes its last tokens for lookahead alone and gives frames of those before.
        """
        mask = torch.arange(x.shape[1], device=x.device) < tokens_length[:, None]
        # Padding is made zero, or the lookahead of a row's last tokens would read its embedding.
        x = self.embed(x) * mask[..., None]
        x = self.pre_lookahead_layer(x, past)
        x = _run(self.encoders, x, tokens_length, past, 1, blocked_tokens)
        x = self.up_embed(self.up_layer(x, past))
        x = _run(self.up_encoders, x, tokens_length, past, MEL_FRAMES_PER_TOKEN, blocked_tokens)
        out: Tensor = self.after_norm(x)
        return out


def _run(
    layers: nn.ModuleList, x: Tensor, tokens_length: Tensor, past: Past, rate: int, blocked_tokens: int
) -> Tensor:
    """``layers`` over x, whose frames are ``rate`` a token, and over the past before them."""
    queries, keys = x.shape[1], rate * past.tokens + x.shape[1]
    positions = relative_positions(queries, keys, x.shape[2], x.device).to(x.dtype)
    bias = key_bias(rate * (past.tokens + tokens_length), keys, rate * blocked_tokens)
    for layer in layers:
        x = layer(x, positions, bias, past)
    return x


class Projection(nn.Module):
    """Linear, norm, and the scale of the Transformer's embeddings."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out = nn.Sequential(nn.Linear(width, width), FloatNorm(width))
        self.scale = math.sqrt(width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(x) * self.scale
        return out


class Lookahead(nn.Module):
    """Each token hears of the next ones, by a convolution to the right and one to the left."""

    def __init__(self, width: int, lookahead_tokens: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(width, width, lookahead_tokens + 1)
        self.conv2 = nn.Conv1d(width, width, 3)
        self.lookahead_tokens = lookahead_tokens

    def forward(self, x: Tensor, past: Past) -> Tensor:
        """(batch, tokens, width) to the same, or to fewer tokens in a recording run."""
        ahead = x.transpose(1, 2)
        if not past.recording:
            ahead = F.pad(ahead, (0, self.lookahead_tokens))
        ahead = F.leaky_relu(self.conv1(ahead))
        behind = past.convolve(self.conv2, ahead).transpose(1, 2)
        return x[:, : behind.shape[1]] + behind


class Upsampling(nn.Module):
    """Each token twice, then a causal convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(width, width, 2 * MEL_FRAMES_PER_TOKEN + 1)

    def forward(self, x: Tensor, past: Past) -> Tensor:
        """(batch, tokens, width) to (batch, 2 * tokens, width)."""
        twice = x[:, :, None].expand(-1, -1, MEL_FRAMES_PER_TOKEN, -1).flatten(1, 2)
        return past.convolve(self.conv, twice.transpose(1, 2)).transpose(1, 2)


class EncoderLayer(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.self_attn = RelativeAttention(config.width, config.heads)
        self.feed_forward = FeedForward(config.width, config.feed_forward)
        self.norm_mha = FloatNorm(config.width, eps=LAYER_EPS)
        self.norm_ff = FloatNorm(config.width, eps=LAYER_EPS)

    def forward(self, x: Tensor, positions: Tensor, bias: Tensor, past: Past) -> Tensor:
        x = x + self.self_attn(self.norm_mha(x), positions, bias, past)
        out: Tensor = x + self.feed_forward(self.norm_ff(x))
        return out


class FeedForward(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.w_1 = nn.Linear(width, inner)
        self.w_2 = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.w_2(F.silu(self.w_1(x)))
        return out


class RelativeAttention(nn.Module):
    """Scores of content and of distance, each with a learned bias of its own."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.linear_q = nn.Linear(width, width)
        self.linear_k = nn.Linear(width, width)
        self.linear_v = nn.Linear(width, width)
        self.linear_out = nn.Linear(width, width)
        self.linear_pos = nn.Linear(width, width, bias=False)
        self.pos_bias_u = nn.Parameter(torch.zeros(heads, width // heads))
        self.pos_bias_v = nn.Parameter(torch.zeros(heads, width // heads))
        self.heads = heads
        self.scale = 1 / math.sqrt(width // heads)

    def forward(self, x: Tensor, positions: Tensor, bias: Tensor, past: Past) -> Tensor:
        """``positions`` are those of relative_positions, ``bias`` is over all keys."""
        q, k, v = (split_heads(each(x), self.heads) for each in (self.linear_q, self.linear_k, self.linear_v))
        distances = split_heads(self.linear_pos(positions[None]), self.heads)
        content = (q + self.pos_bias_u[:, None]) * self.scale
        place = (q + self.pos_bias_v[:, None]) * self.scale
        relative = align_distances(place @ distances.transpose(-2, -1))
        out: Tensor = self.linear_out(past.attend(content, k, v, bias, relative))
        return out


def relative_positions(queries: int, keys: int, width: int, device: torch.device) -> Tensor:
    """Sinusoids of the distances keys - 1 down to -queries: (keys + queries, width).

    The queries are the last of the keys. One distance more than there are, for align_distances.
    """
    distance = (keys - 1) - torch.arange(keys + queries, device=device).float()
    step = -math.log(LONGEST_WAVELENGTH) / width
    frequency = torch.exp(torch.arange(0, width, 2, device=device).float() * step)
    angle = distance[:, None] * frequency
    return torch.stack((angle.sin(), angle.cos()), -1).flatten(1)


def align_distances(scores: Tensor) -> Tensor:
    """Scores by distance (batch, heads, queries, keys + queries) to scores by key, without a gather.

    Query i meets key j at column queries - 1 - i + j: each row begins one column before the row
    above it, which is what rows one column shorter give.
    """
    batch, heads, queries, columns = scores.shape
    flat = scores.flatten(2)[..., queries - 1 : -1]
    return flat.reshape(batch, heads, queries, columns - 1)[..., : columns - queries]
