"""What lies to the left of a window: a prompt's cached keys and values, and its convolutions' tails.

The attention and the causal convolutions of S3Gen's flow reach into it here and nowhere else.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MASKED = -1e4
"""Added to the score of what must not be seen: beyond every real score, and still a float16."""


class Past:
    """The left of one run: nothing, or the cache of a prompt that was run before.

    Layers ask for their part in the order in which they run, so a cache is the tensors of a
    recording run in that order. Nothing in a cache has a batch axis: all rows have one prompt.
    """

    def __init__(self, cache: Sequence[Tensor] = (), *, record: bool = False) -> None:
        self.tokens: int = cache[1].shape[-2] if cache else 0  # [1]: the first layer's keys
        self.recorded: list[Tensor] = []
        self.recording = record
        self._cache: Iterator[Tensor] | None = iter(cache) if cache else None

    def convolve(self, conv: nn.Conv1d, x: Tensor) -> Tensor:
        """``conv`` made causal: (batch, channels, time) to as much time, after zeros or a cached tail."""
        reach = conv.kernel_size[0] - 1
        if self._cache is None:
            x = F.pad(x, (reach, 0))
        else:
            x = torch.cat((next(self._cache).expand(x.shape[0], -1, -1), x), -1)
        if self.recording:
            self.recorded.append(x[0, :, -reach:])  # (channels, reach)
        out: Tensor = conv(x)
        return out

    def attend(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor, relative: Tensor | None = None) -> Tensor:
        """Softmax attention over the cached keys and ``k``; q is scaled already.

        q, k, v are (batch, heads, time, head width), to (batch, time, heads * head width).
        ``bias`` and ``relative`` add to the scores of all keys, cached ones first. Cached keys are
        never copied beside the window's: their scores are.
        """
        if self.recording:
            self.recorded += (k[0], v[0])  # (heads, time, head width)
        scores = q @ k.transpose(-2, -1)
        if self._cache is not None:
            past_k, past_v = next(self._cache), next(self._cache)
            scores = torch.cat((q @ past_k.transpose(-2, -1), scores), -1)
        if relative is not None:
            scores = scores + relative
        shares = (scores.float() + bias).softmax(-1).to(v.dtype)
        if self._cache is None:
            seen = shares @ v
        else:
            border = past_k.shape[-2]
            seen = shares[..., :border] @ past_v + shares[..., border:] @ v
        return seen.transpose(1, 2).flatten(2)


class FloatNorm(nn.LayerNorm):
    """LayerNorm in float32 whatever its surroundings: an epsilon of 1e-12 is no float16."""

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight.float(), self.bias.float()
        return F.layer_norm(x.float(), self.normalized_shape, weight, bias, self.eps).to(x.dtype)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(batch, time, width) to (batch, heads, time, head width)."""
    batch, time, width = x.shape
    return x.reshape(batch, time, heads, width // heads).transpose(1, 2)


def key_bias(length: Tensor, keys: int, blocked: int = 0) -> Tensor:
    """Hides keys from ``length`` (batch,) on in each row: (batch, 1, 1 or keys, keys) to add to scores.

    ``blocked`` is the prompt-block mask: the first so many places see each other alone.
    """
    place = torch.arange(keys, device=length.device)
    hidden = (place >= length[:, None])[:, None]
    if blocked:
        hidden = hidden | ((place[:, None] < blocked) & (place >= blocked))
    return (hidden.float() * MASKED)[:, None]
