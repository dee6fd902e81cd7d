"""T3's speaker encoder: an LSTM whose last state, projected, is the voice of a partial utterance.

Wan et al., "Generalized End-to-End Loss for Speaker Verification", ICASSP 2018. Parameters are named
as in the official weights.
"""

from torch import Tensor, nn
from torch.nn import functional

from engines.model import VoiceEncoderConfig


class VoiceEncoder(nn.Module):
    """partials (N, partial_frames, mels) of mel power -> speakers (N, width), each of length 1."""

    def __init__(self, config: VoiceEncoderConfig) -> None:
        super().__init__()
        self.lstm = nn.LSTM(config.mels, config.hidden, config.layers, batch_first=True)
        self.proj = nn.Linear(config.hidden, config.width)

    def forward(self, partials: Tensor) -> Tensor:
        _, (hidden, _) = self.lstm(partials)  # (layers, N, hidden)
        return functional.normalize(self.proj(hidden[-1]).relu(), dim=1)
