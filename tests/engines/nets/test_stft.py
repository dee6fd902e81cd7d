"""The Fourier transforms made of convolutions are torch's own."""

import pytest
import torch

from engines.nets.stft import InverseStft, Stft

SIZES = pytest.mark.parametrize(("n_fft", "hop"), [(16, 4), (32, 8), (16, 8)])


@SIZES
def test_the_transform_is_torchs(n_fft: int, hop: int) -> None:
    samples = torch.randn(3, 40 * hop, generator=torch.Generator().manual_seed(0))
    window = torch.hann_window(n_fft)
    theirs = torch.stft(samples, n_fft, hop, n_fft, window=window, return_complex=True)
    ours = Stft(n_fft, hop)(samples)
    assert ours.shape == (3, n_fft + 2, 41)
    torch.testing.assert_close(ours, torch.cat((theirs.real, theirs.imag), 1), atol=5e-6, rtol=0)


@SIZES
@pytest.mark.parametrize("frames", [3, 41])
def test_the_inverse_is_torchs_to_the_very_edges(n_fft: int, hop: int, frames: int) -> None:
    bins = n_fft // 2 + 1
    spectrum = torch.randn(3, 2 * bins, frames, generator=torch.Generator().manual_seed(0))
    whole = torch.complex(spectrum[:, :bins], spectrum[:, bins:])
    theirs = torch.istft(whole, n_fft, hop, n_fft, window=torch.hann_window(n_fft))
    ours = InverseStft(n_fft, hop)(spectrum)
    assert ours.shape == (3, hop * (frames - 1))
    torch.testing.assert_close(ours, theirs, atol=2e-6, rtol=0)


@SIZES
def test_there_and_back_is_nothing_lost(n_fft: int, hop: int) -> None:
    samples = torch.randn(2, 30 * hop, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(InverseStft(n_fft, hop)(Stft(n_fft, hop)(samples)), samples, atol=2e-6, rtol=0)


def test_a_checkpoint_holds_nothing_of_them() -> None:
    assert Stft(16, 4).state_dict() == InverseStft(16, 4).state_dict() == {}
