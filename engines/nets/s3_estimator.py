"""S3Gen's mean-flow estimator: the mean velocity of a mel between two times, by a U-Net of one level.

Convolutions are causal and batches are padded on the right, so attention alone, which sees the whole
window, must be told where a row ends. Mean flow: Geng et al., arXiv:2505.13447.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engines.model import MEL_BANDS, EstimatorConfig
from engines.nets.s3_past import FloatNorm, Past, split_heads

PARTS = 4
"""What a mel frame comes with: itself, the encoder's mean, the speaker, the prompt's mel."""

TIME_SCALE = 1_000.0
LONGEST_PERIOD = 10_000.0


class S3Estimator(nn.Module):
    """Parameters are named as the checkpoint's under `flow.decoder.estimator`."""

    def __init__(self, config: EstimatorConfig) -> None:
        super().__init__()
        channels, width = config.channels, 4 * config.channels
        self.time_mlp = nn.ModuleDict(
            {"linear_1": nn.Linear(PARTS * MEL_BANDS, width), "linear_2": nn.Linear(width, width)}
        )
        self.time_embed_mixer = nn.Linear(2 * width, width, bias=False)
        self.down_blocks = nn.ModuleList([Level(config, PARTS * MEL_BANDS, conv=True)])
        self.mid_blocks = nn.ModuleList(Level(config, channels) for _ in range(config.mid_blocks))
        self.up_blocks = nn.ModuleList([Level(config, 2 * channels, conv=True)])
        self.final_block = ConvBlock(channels, channels)
        self.final_proj = nn.Conv1d(channels, MEL_BANDS, 1)

    def embed_times(self, start: float, end: float) -> Tensor:
        """The interval's embedding (1, 4 * channels), in float32: of constants alone, so a constant."""
        half = PARTS * MEL_BANDS // 2
        step = -math.log(LONGEST_PERIOD) / (half - 1)
        place = torch.arange(half, device=self.time_embed_mixer.weight.device)
        frequency = TIME_SCALE * torch.exp(place * step)
        angle = torch.stack((frequency * start, frequency * end))
        x = torch.cat((angle.sin(), angle.cos()), -1)
        x = float_linear(self.time_mlp["linear_2"], F.silu(float_linear(self.time_mlp["linear_1"], x)))
        return float_linear(self.time_embed_mixer, x.reshape(1, -1))

    def forward(self, x: Tensor, time: Tensor, bias: Tensor, past: Past) -> Tensor:
        """Velocity (batch, 80, frames) of x (batch, 320, frames), for a ``time`` of embed_times."""
        down, up = self.down_blocks[0], self.up_blocks[0]
        assert isinstance(down, Level)
        assert isinstance(up, Level)
        x = skip = down(x, time, bias, past)
        x = past.convolve(down.conv, x)
        for level in self.mid_blocks:
            x = level(x, time, bias, past)
        x = up(torch.cat((x, skip), 1), time, bias, past)
        x = past.convolve(up.conv, x)
        x = self.final_block(x, past)
        out: Tensor = self.final_proj(x)
        return out


class Level(nn.ModuleList):
    """A resnet, transformers, and a convolution where the levels of a deeper net would be joined."""

    def __init__(self, config: EstimatorConfig, channels_in: int, *, conv: bool = False) -> None:
        channels = config.channels
        resnet = ResnetBlock(channels_in, channels, 4 * channels)
        transformers = nn.ModuleList(TransformerBlock(config) for _ in range(config.transformers))
        convs = [nn.Conv1d(channels, channels, 3)] if conv else []
        super().__init__([resnet, transformers, *convs])

    @property
    def conv(self) -> nn.Conv1d:
        conv = self[2]
        assert isinstance(conv, nn.Conv1d)
        return conv

    def forward(self, x: Tensor, time: Tensor, bias: Tensor, past: Past) -> Tensor:
        resnet, transformers = self[0], self[1]
        assert isinstance(transformers, nn.ModuleList)
        x = resnet(x, time, past).transpose(1, 2)
        for transformer in transformers:
            x = transformer(x, bias, past)
        return x.transpose(1, 2)


class ConvBlock(nn.Module):
    """Causal convolution, norm over channels, mish."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        conv, norm = nn.Conv1d(channels_in, channels, 3), FloatNorm(channels)
        self.block = nn.ModuleDict({"0": conv, "2": norm})

    def forward(self, x: Tensor, past: Past) -> Tensor:
        conv = self.block["0"]
        assert isinstance(conv, nn.Conv1d)
        x = past.convolve(conv, x)
        x = self.block["2"](x.transpose(1, 2)).transpose(1, 2)
        return F.mish(x)


class ResnetBlock(nn.Module):
    def __init__(self, channels_in: int, channels: int, time_width: int) -> None:
        super().__init__()
        self.block1 = ConvBlock(channels_in, channels)
        self.block2 = ConvBlock(channels, channels)
        self.mlp = nn.ModuleDict({"1": nn.Linear(time_width, channels)})
        self.res_conv = nn.Conv1d(channels_in, channels, 1)

    def forward(self, x: Tensor, time: Tensor, past: Past) -> Tensor:
        shift = float_linear(self.mlp["1"], F.mish(time))[..., None].to(x.dtype)
        h = self.block2(self.block1(x, past) + shift, past)
        out: Tensor = h + self.res_conv(x)
        return out


class TransformerBlock(nn.Module):
    def __init__(self, config: EstimatorConfig) -> None:
        super().__init__()
        channels, inner = config.channels, 4 * config.channels
        self.norm1 = FloatNorm(channels)
        self.attn1 = Attention(config)
        self.norm3 = FloatNorm(channels)
        gelu = nn.ModuleDict({"proj": nn.Linear(channels, inner)})
        self.ff = nn.ModuleDict({"net": nn.ModuleDict({"0": gelu, "2": nn.Linear(inner, channels)})})

    def forward(self, x: Tensor, bias: Tensor, past: Past) -> Tensor:
        """(batch, frames, channels) to the same."""
        x = x + self.attn1(self.norm1(x), bias, past)
        net = self.ff["net"]
        assert isinstance(net, nn.ModuleDict)
        out: Tensor = x + net["2"](F.gelu(net["0"].proj(self.norm3(x))))  # type: ignore[operator]
        return out


class Attention(nn.Module):
    def __init__(self, config: EstimatorConfig) -> None:
        super().__init__()
        channels, inner = config.channels, config.heads * config.head_width
        self.to_q = nn.Linear(channels, inner, bias=False)
        self.to_k = nn.Linear(channels, inner, bias=False)
        self.to_v = nn.Linear(channels, inner, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(inner, channels)])
        self.heads = config.heads
        self.scale = 1 / math.sqrt(config.head_width)

    def forward(self, x: Tensor, bias: Tensor, past: Past) -> Tensor:
        q, k, v = (split_heads(each(x), self.heads) for each in (self.to_q, self.to_k, self.to_v))
        out: Tensor = self.to_out[0](past.attend(q * self.scale, k, v, bias))
        return out


def float_linear(linear: nn.Module, x: Tensor) -> Tensor:
    """``linear`` in float32, whatever its weights' type."""
    assert isinstance(linear, nn.Linear)
    return F.linear(x, linear.weight.float(), None if linear.bias is None else linear.bias.float())
