"""CAMPPlus: Kaldi filter banks to S3Gen's speaker embedding (an x-vector).

A small 2-D residual network over the bands, then densely connected time-delay layers, each gated by
its context (the mean of the whole recording and of its segment), then mean and deviation over time.
Wang et al., "CAM++: A Fast and Efficient Network for Speaker Verification Using Context-Aware
Masking", Interspeech 2023. Parameters are named as in the official weights under `speaker_encoder.`.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from engines.model import XVectorConfig

FBANK_BANDS = 80
_SEGMENT_FRAMES = 100  # of the gate's context, after the stride of the first time-delay layer
_BAND_STRIDES = 8  # three strides of 2 over the bands
_FIRST_KERNEL = 5
_KERNEL = 3
_DILATIONS = (1, 2, 2)  # of the dense blocks, in order


class XVector(nn.Module):
    """fbank (1, T, 80), mean-subtracted -> embedding (1, width), not normalised. T of at least 4."""

    def __init__(self, config: XVectorConfig) -> None:
        super().__init__()
        self.blocks = len(config.layers)
        self.head = _BandNet(config.channels)
        channels = config.first_channels
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["tdnn"] = _TimeDelay(config.channels * FBANK_BANDS // _BAND_STRIDES, channels)
        for i, (count, dilation) in enumerate(zip(config.layers, _DILATIONS, strict=True), start=1):
            layers[f"block{i}"] = _DenseBlock(count, channels, config, dilation)
            channels += count * config.growth
            layers[f"transit{i}"] = _Transit(channels, channels // 2)
            channels //= 2
        layers["out_nonlinear"] = _NormRelu(channels)
        layers["dense"] = _Dense(channels * 2, config.width)
        self.xvector = nn.ModuleDict(layers)

    def forward(self, fbank: Tensor) -> Tensor:
        x = self.head(fbank.transpose(1, 2))  # (1, channels * bands / 8, T)
        x = self.xvector["tdnn"](x)  # (1, first_channels, T / 2)
        segments = _segments(x)
        for i in range(1, self.blocks + 1):
            x = self.xvector[f"transit{i}"](self.xvector[f"block{i}"](x, segments))
        x = self.xvector["out_nonlinear"](x)
        embedding: Tensor = self.xvector["dense"](_mean_and_deviation(x))
        return embedding


def _segments(x: Tensor) -> Tensor:
    """Which frame belongs to which segment: (S, T) of zeros and ones. The last may be shorter."""
    segment = torch.arange(x.shape[-1], device=x.device) // _SEGMENT_FRAMES  # (T,)
    count = (x.shape[-1] + _SEGMENT_FRAMES - 1) // _SEGMENT_FRAMES
    return (segment[None, :] == torch.arange(count, device=x.device)[:, None]).to(x.dtype)


def _mean_and_deviation(x: Tensor) -> Tensor:
    """(1, C, T) -> (1, 2 C, 1). Bessel's correction, as trained with."""
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).sum(-1, keepdim=True) / (x.shape[-1] - 1)
    return torch.cat((mean, variance.sqrt()), 1)


class _ResidualBlock(nn.Module):
    """Two 3x3 convolutions; ``stride`` is over the bands."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv2d(channels, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = _conv2d(channels)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential()
        if stride > 1:
            project = nn.Conv2d(channels, channels, 1, (stride, 1), bias=False)
            self.shortcut = nn.Sequential(project, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class _BandNet(nn.Module):
    """(1, 80, T) -> (1, channels * 10, T)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.layer1 = nn.Sequential(_ResidualBlock(channels, 2), _ResidualBlock(channels, 1))
        self.layer2 = nn.Sequential(_ResidualBlock(channels, 2), _ResidualBlock(channels, 1))
        self.conv2 = _conv2d(channels, 2)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(x.unsqueeze(1))))  # (1, channels, bands, T)
        x = self.layer2(self.layer1(x))
        x = torch.relu(self.bn2(self.conv2(x)))
        return x.flatten(1, 2)


def _conv2d(channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, (stride, 1), padding=1, bias=False)


class _NormRelu(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.batchnorm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.batchnorm(x))


class _TimeDelay(nn.Module):
    """The first time-delay layer; halves the frame rate."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(
            channels, out_channels, _FIRST_KERNEL, stride=2, padding=_FIRST_KERNEL // 2, bias=False
        )
        self.nonlinear = _NormRelu(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.nonlinear(self.linear(x))
        return y


class _ContextGate(nn.Module):
    """A dilated convolution, gated by what its segment and the whole recording sound like."""

    def __init__(self, channels: int, out_channels: int, dilation: int) -> None:
        super().__init__()
        self.linear_local = nn.Conv1d(
            channels, out_channels, _KERNEL, padding=_KERNEL // 2 * dilation, dilation=dilation, bias=False
        )
        self.linear1 = nn.Conv1d(channels, channels // 2, 1)
        self.linear2 = nn.Conv1d(channels // 2, out_channels, 1)

    def forward(self, x: Tensor, segments: Tensor) -> Tensor:
        means = x @ segments.transpose(0, 1) / segments.sum(1)  # (1, channels, S)
        context = x.mean(-1, keepdim=True) + means @ segments  # (1, channels, T)
        gate = torch.sigmoid(self.linear2(torch.relu(self.linear1(context))))
        y: Tensor = self.linear_local(x) * gate
        return y


class _DenseLayer(nn.Module):
    def __init__(self, channels: int, config: XVectorConfig, dilation: int) -> None:
        super().__init__()
        narrow = config.bottleneck * config.growth
        self.nonlinear1 = _NormRelu(channels)
        self.linear1 = nn.Conv1d(channels, narrow, 1, bias=False)
        self.nonlinear2 = _NormRelu(narrow)
        self.cam_layer = _ContextGate(narrow, config.growth, dilation)

    def forward(self, x: Tensor, segments: Tensor) -> Tensor:
        x = self.linear1(self.nonlinear1(x))
        y: Tensor = self.cam_layer(self.nonlinear2(x), segments)
        return y


class _DenseBlock(nn.ModuleDict):
    """Each layer reads the channels of all before it and adds ``growth`` more."""

    def __init__(self, layers: int, channels: int, config: XVectorConfig, dilation: int) -> None:
        super().__init__()
        for i in range(layers):
            self[f"tdnnd{i + 1}"] = _DenseLayer(channels + i * config.growth, config, dilation)

    def forward(self, x: Tensor, segments: Tensor) -> Tensor:
        for layer in self.values():
            x = torch.cat((x, layer(x, segments)), 1)
        return x


class _Transit(nn.Module):
    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.nonlinear = _NormRelu(channels)
        self.linear = nn.Conv1d(channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(self.nonlinear(x))
        return y


class _Dense(nn.Module):
    """The embedding: a projection and a batch norm without scale or offset."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(channels, width, 1, bias=False)
        self.nonlinear = nn.ModuleDict({"batchnorm": nn.BatchNorm1d(width, affine=False)})

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.nonlinear["batchnorm"](self.linear(x).squeeze(-1))
        return y
