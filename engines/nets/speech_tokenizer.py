"""S3 tokenizer v2, 25 Hz: log-mel to the speech codes that T3 speaks and S3Gen renders.

A transformer encoder whose attention has rotary positions and, beside it, an FSMN memory (a depthwise
convolution over the values); its output is quantised to ternary digits (FSQ), 8 as published. CosyVoice 2,
arXiv 2412.10117. One recording at a time, of at most 30 s. Parameters are named as in the official
weights under `tokenizer.`.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.model import CODE_LEVELS, SpeechTokenizerConfig

MEL_FRAMES_PER_CODE = 4  # at 100 Hz: two convolutions of stride 2
_ROTARY_BASE = 10_000.0
_FSQ_REACH = 0.999  # of tanh, as trained with


class SpeechTokenizer(nn.Module):
    """log_mel (1, mels, T) -> codes (1, ceil(T / 4)) int64."""

    def __init__(self, config: SpeechTokenizerConfig) -> None:
        super().__init__()
        self.encoder = _Encoder(config)
        self.quantizer = _Quantizer(config)

    def forward(self, log_mel: Tensor) -> Tensor:
        codes: Tensor = self.quantizer(self.encoder(log_mel))
        return codes


class _Encoder(nn.Module):
    def __init__(self, config: SpeechTokenizerConfig) -> None:
        super().__init__()
        self.head_width = config.width // config.heads
        self.conv1 = nn.Conv1d(config.mels, config.width, 3, stride=2, padding=1)
        self.conv2 = nn.Conv1d(config.width, config.width, 3, stride=2, padding=1)
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.layers))

    def forward(self, log_mel: Tensor) -> Tensor:
        x = functional.gelu(self.conv1(log_mel))
        x = functional.gelu(self.conv2(x)).transpose(1, 2)  # (1, P, width)
        cos, sin = _rotation(x, self.head_width)
        for block in self.blocks:
            x = block(x, cos, sin)
        return x


def _rotation(x: Tensor, head_width: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines (P, head_width) of the rotary angles; both halves of a head turn alike."""
    half = torch.arange(0, head_width, 2, device=x.device, dtype=torch.float32) / head_width
    places = torch.arange(x.shape[1], device=x.device).float()
    angles = places[:, None] * (1.0 / _ROTARY_BASE**half)[None, :]
    angles = torch.cat((angles, angles), -1)
    return angles.cos().to(x.dtype), angles.sin().to(x.dtype)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    left, right = x.chunk(2, -1)
    return x * cos + torch.cat((-right, left), -1) * sin


class _Attention(nn.Module):
    """Rotary self-attention plus the FSMN memory of the values."""

    def __init__(self, config: SpeechTokenizerConfig) -> None:
        super().__init__()
        width, kernel = config.width, config.fsmn_kernel
        self.heads = config.heads
        self.scale = (width // config.heads) ** -0.25  # on queries and keys alike
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.fsmn_block = nn.Conv1d(width, width, kernel, groups=width, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        value = self.value(x)
        query = _rotate(self._split(self.query(x)), cos, sin) * self.scale
        key = _rotate(self._split(self.key(x)), cos, sin) * self.scale
        weight = (query @ key.transpose(-1, -2)).softmax(-1)  # (1, heads, P, P)
        heard = (weight @ self._split(value)).transpose(1, 2).flatten(2)
        memory = self.fsmn_block(value.transpose(1, 2)).transpose(1, 2) + value
        y: Tensor = self.out(heard) + memory
        return y

    def _split(self, x: Tensor) -> Tensor:
        """(1, P, width) -> (1, heads, P, head_width)."""
        return x.reshape(len(x), -1, self.heads, x.shape[-1] // self.heads).transpose(1, 2)


class _Block(nn.Module):
    def __init__(self, config: SpeechTokenizerConfig) -> None:
        super().__init__()
        width = config.width
        self.attn = _Attention(config)
        self.attn_ln = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.mlp_ln = nn.LayerNorm(width)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.attn(self.attn_ln(x), cos, sin)
        y: Tensor = x + self.mlp(self.mlp_ln(x))
        return y


class _Quantizer(nn.Module):
    """Finite scalar quantisation: each bounded projection rounds to 0, 1 or 2, a digit of the code."""

    def __init__(self, config: SpeechTokenizerConfig) -> None:
        super().__init__()
        self.digits = config.digits
        self._codebook = nn.ModuleDict({"project_down": nn.Linear(config.width, config.digits)})

    def forward(self, x: Tensor) -> Tensor:
        bounded = self._codebook["project_down"](x).float().tanh() * _FSQ_REACH
        digits: Tensor = bounded.round() + 1  # (1, P, digits) of 0, 1 or 2
        places = [float(CODE_LEVELS**i) for i in range(self.digits)]
        return (digits * torch.tensor(places, device=x.device)).sum(-1).long()
