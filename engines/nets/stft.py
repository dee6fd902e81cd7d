"""STFT and its inverse as convolutions: real numbers and plain convolutions, which every exporter takes.

Both are torch.stft and torch.istft with a periodic Hann window, centred and padded by reflection. A
spectrum is (batch, n_fft + 2, frames): the real parts of its bins, then the imaginary ones.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Stft(nn.Module):
    """Samples (batch, samples) to a spectrum of samples // hop + 1 frames."""

    basis: Tensor

    def __init__(self, n_fft: int, hop: int) -> None:
        super().__init__()
        self.reach, self.hop = n_fft // 2, hop
        window = torch.hann_window(n_fft, dtype=torch.float64)
        self.register_buffer("basis", (_dft(n_fft) * window).float()[:, None], persistent=False)

    def forward(self, samples: Tensor) -> Tensor:
        padded = F.pad(samples[:, None], (self.reach, self.reach), mode="reflect")
        return F.conv1d(padded, self.basis, stride=self.hop)


class InverseStft(nn.Module):
    """A spectrum to samples (batch, hop * (frames - 1)), overlapping windows weighed as they were taken."""

    basis: Tensor
    square: Tensor

    def __init__(self, n_fft: int, hop: int) -> None:
        super().__init__()
        self.reach, self.hop = n_fft // 2, hop
        window = torch.hann_window(n_fft, dtype=torch.float64)
        share = torch.full((n_fft // 2 + 1,), 2 / n_fft, dtype=torch.float64)
        share[0] = share[-1] = 1 / n_fft  # all bins but the first and the last stand for two
        basis = torch.cat((share, share))[:, None] * _dft(n_fft) * window
        self.register_buffer("basis", basis.float()[:, None], persistent=False)
        self.register_buffer("square", (window**2).float()[None, None], persistent=False)

    def forward(self, spectrum: Tensor) -> Tensor:
        samples = self._overlap(spectrum, self.basis)
        return (samples / self._overlap(torch.ones_like(spectrum[:1, :1]), self.square))[:, 0]

    def _overlap(self, frames: Tensor, basis: Tensor) -> Tensor:
        return F.conv_transpose1d(frames, basis, stride=self.hop, padding=self.reach)


def _dft(n_fft: int) -> Tensor:
    """Cosines of each bin, then its sines downwards: (n_fft + 2, n_fft)."""
    bins, places = torch.arange(n_fft // 2 + 1), torch.arange(n_fft)
    turn = bins[:, None] * places % n_fft  # whole, so that what must be zero comes out as zero
    angle = 2 * math.pi / n_fft * turn.double()
    return torch.cat((angle.cos(), -angle.sin()))
