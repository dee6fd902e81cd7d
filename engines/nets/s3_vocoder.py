"""S3Gen's vocoder, HiFT: mel to a harmonic source, and both to audio. It speaks in windows.

A window's phase goes on where the one before ended: the phase of the fundamental is one number a row,
and every harmonic is a whole multiple of it. Randomness is an argument.
HiFT-Net: Li et al., arXiv:2309.09493. Harmonic source: Wang et al., arXiv:1904.12088.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engines.model import MEL_BANDS, ModelConfig, VocoderConfig
from engines.nets.stft import InverseStft, Stft
from engines.rates import HOP_SAMPLES, MEL_HZ, SAMPLE_RATE_HZ, VOCODER_STRIDES

UP_STRIDES, ISTFT_HOP = VOCODER_STRIDES[:-1], VOCODER_STRIDES[-1]

AUDIO_LIMIT = 0.99
MAX_MAGNITUDE = 100.0
SLOPE = 0.1
LAST_SLOPE = 0.01

VOICED_HZ = 10.0
SINE_AMPLITUDE = 0.1
VOICED_NOISE = 0.003
UNVOICED_NOISE = SINE_AMPLITUDE / 3


class S3Vocoder(nn.Module):
    """Parameters are named as the checkpoint's under `mel2wav`, with weight norms folded."""

    def __init__(self, model: ModelConfig) -> None:
        super().__init__()
        config = model.vocoder
        bins = config.n_fft + 2
        widths = [config.channels >> level for level in range(len(UP_STRIDES) + 1)]
        self.f0_predictor = F0Predictor(config)
        self.m_source = HarmonicSource(config)
        self.conv_pre = _conv(MEL_BANDS, widths[0], 7)
        self.ups = nn.ModuleList(
            nn.ConvTranspose1d(wide, narrow, kernel, stride, padding=(kernel - stride) // 2)
            for (wide, narrow), kernel, stride in zip(
                pairwise(widths), config.up_kernels, UP_STRIDES, strict=True
            )
        )
        self.source_downs = nn.ModuleList(
            _source_down(bins, width, math.prod(UP_STRIDES[level:]))
            for level, width in enumerate(widths[1:], 1)
        )
        dilations = config.resblock_dilations
        self.source_resblocks = nn.ModuleList(
            ResBlock(width, kernel, dilations)
            for width, kernel in zip(widths[1:], config.source_kernels, strict=True)
        )
        self.resblocks = nn.ModuleList(
            ResBlock(width, kernel, dilations) for width in widths[1:] for kernel in config.resblock_kernels
        )
        self.conv_post = _conv(widths[-1], bins, 7)
        self.stft, self.istft = Stft(config.n_fft, ISTFT_HOP), InverseStft(config.n_fft, ISTFT_HOP)

    def forward(
        self, mel: Tensor, source_cache: Tensor, phase: Tensor, harmonic_phase: Tensor, source_noise: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Audio (batch, W, 480), its source (batch, W, 480) and phases (batch, W), all float32.

        mel (batch, 80, K + W), whose first K frames have the source source_cache (batch, K, 480);
        phase (batch,) of the fundamental in cycles where the W new frames begin; harmonic_phase
        (batch, harmonics + 1) in radians; source_noise (batch, W, 480) standard normal. phases[:, j]
        is the phase where frame j ends, in [0, 1).
        """
        cached_frames = source_cache.shape[1]
        f0 = self.f0_predictor(mel)[:, cached_frames:]
        source, phases = self.m_source(f0, phase, harmonic_phase, source_noise)
        audio = self.decode(mel, torch.cat((source_cache, source), 1).flatten(1))
        audio = audio.reshape(audio.shape[0], -1, HOP_SAMPLES)
        return audio[:, cached_frames:], source, phases

    def decode(self, mel: Tensor, source: Tensor) -> Tensor:
        """Audio (batch, 480 * T) of mel (batch, 80, T) and source (batch, 480 * T)."""
        dtype = self.conv_pre.weight.dtype
        spectrum = self.stft(source).to(dtype)
        x = self.conv_pre(mel.to(dtype))
        kernels = len(self.resblocks) // len(self.ups)
        for level, up in enumerate(self.ups):
            x = up(F.leaky_relu(x, SLOPE))
            if level == len(self.ups) - 1:  # a spectrum has a frame more than strides give
                x = torch.cat((x[..., 1:2], x), -1)
            x = x + self.source_resblocks[level](self.source_downs[level](spectrum))
            first, *others = self.resblocks[level * kernels : (level + 1) * kernels]
            total = first(x)
            for block in others:
                total = total + block(x)
            x = total / kernels
        x = self.conv_post(F.leaky_relu(x, LAST_SLOPE)).float()
        log_magnitude, turn = x.chunk(2, 1)
        magnitude, angle = log_magnitude.exp().clamp(max=MAX_MAGNITUDE), turn.sin()
        audio: Tensor = self.istft(torch.cat((magnitude * angle.cos(), magnitude * angle.sin()), 1))
        return audio.clamp(-AUDIO_LIMIT, AUDIO_LIMIT)

    def halve(self) -> None:
        """Convert the convolutions from mel and source to spectrum to float16.

        Islands of float32: f0 and the source, whose phase would drift; both Fourier transforms and
        the exponential; Snake's sines, whose arguments are large.
        """
        trunk = (self.conv_pre, self.ups, self.source_downs, self.source_resblocks, self.resblocks)
        for part in (*trunk, self.conv_post):
            for module in part.modules():
                if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
                    module.half()


class F0Predictor(nn.Module):
    """Mel (batch, 80, T) to the fundamental's frequency in Hz (batch, T); each sees 5 frames around it."""

    def __init__(self, config: VocoderConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels_in in (MEL_BANDS, *[config.f0_channels] * 4):
            layers += [_conv(channels_in, config.f0_channels, 3), nn.ELU()]
        self.condnet = nn.Sequential(*layers)
        self.classifier = nn.Linear(config.f0_channels, 1)

    def forward(self, mel: Tensor) -> Tensor:
        hidden = self.condnet(mel).transpose(1, 2)
        f0: Tensor = self.classifier(hidden)[..., 0].abs()
        return f0


class HarmonicSource(nn.Module):
    """Sines at f0 and its harmonics where there is a voice, noise everywhere, merged into one wave."""

    seconds: Tensor  # from a frame's beginning to where each of its samples ends
    harmonic: Tensor

    def __init__(self, config: VocoderConfig) -> None:
        super().__init__()
        sines = config.harmonics + 1
        self.l_linear = nn.Linear(sines, 1)
        seconds = torch.arange(1, HOP_SAMPLES + 1, dtype=torch.float64) / SAMPLE_RATE_HZ
        self.register_buffer("seconds", seconds.float(), persistent=False)
        self.register_buffer("harmonic", torch.arange(1.0, sines + 1), persistent=False)

    def forward(
        self, f0: Tensor, phase: Tensor, harmonic_phase: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Source (batch, W, 480) of f0 (batch, W), and the phases (batch, W) where frames end, in cycles.

        Each sine has a noise of its own in the model's design, but all are merged by one linear layer:
        their sum is one normal noise, of the length of that layer's weight.
        """
        start, end = _frame_phases(f0, phase)
        cycles = _fraction(start[..., None] + f0[..., None] * self.seconds)  # (batch, W, 480)
        angle = 2 * math.pi * cycles[..., None] * self.harmonic + harmonic_phase[:, None, None]
        voiced = (f0 > VOICED_HZ).to(f0.dtype)[..., None]
        weight = self.l_linear.weight[0]
        harmonics = SINE_AMPLITUDE * voiced * (angle.sin() @ weight)
        level = voiced * VOICED_NOISE + (1 - voiced) * UNVOICED_NOISE
        return (harmonics + level * weight.square().sum().sqrt() * noise + self.l_linear.bias).tanh(), end


def _frame_phases(f0: Tensor, phase: Tensor) -> tuple[Tensor, Tensor]:
    """Where in its cycle the fundamental is as each frame begins and as it ends: (batch, W) each.

    Whole cycles are dropped before they are summed, so that the sum stays small and its float32 fine.
    """
    advance = _fraction(f0 / MEL_HZ)
    end = _fraction(phase[:, None] + advance.cumsum(1))
    return torch.cat((phase[:, None], end[:, :-1]), 1), end


def _fraction(cycles: Tensor) -> Tensor:
    return cycles - cycles.floor()


class ResBlock(nn.Module):
    """Pairs of convolutions, one dilated and one not, each pair around a residual."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(_conv(channels, channels, kernel, dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(_conv(channels, channels, kernel) for _ in dilations)
        self.activations1 = nn.ModuleList(Snake(channels) for _ in dilations)
        self.activations2 = nn.ModuleList(Snake(channels) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        layers = zip(self.activations1, self.convs1, self.activations2, self.convs2, strict=True)
        for snake1, conv1, snake2, conv2 in layers:
            x = x + conv2(snake2(conv1(snake1(x))))
        return x


class Snake(nn.Module):
    """x + sin²(alpha x) / alpha, in float32 whatever its surroundings. Ziyin et al., arXiv:2006.08195."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        alpha = self.alpha[:, None]
        wide = x.float()
        return (wide + (wide * alpha).sin().square() / (alpha + 1e-9)).to(x.dtype)


def _conv(channels_in: int, channels: int, kernel: int, dilation: int = 1) -> nn.Conv1d:
    """A convolution that keeps the time."""
    return nn.Conv1d(channels_in, channels, kernel, dilation=dilation, padding=dilation * (kernel - 1) // 2)


def _source_down(bins: int, channels: int, stride: int) -> nn.Conv1d:
    """The source's spectrum to the time of a level that is ``stride`` times coarser."""
    if stride == 1:
        return nn.Conv1d(bins, channels, 1)
    return nn.Conv1d(bins, channels, 2 * stride, stride, padding=stride // 2)
