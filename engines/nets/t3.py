"""T3, a GPT-2 from text to speech codes, as one graph: some ids after a stored past.

Prefill and decode are the same step. The stored keys and values are read where they lie: scores
against them and against the new ids' own are joined, never the stores themselves, so that a token
costs no copy of its past. LayerNorm and softmax are FP32 whatever the weights are.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engines.model import T3Config

HIDDEN = -3e4
"""Added to the score of what a place may not see: no share is left of it, and float16 holds it."""

_FEED_FORWARD = 4


class T3Step(nn.Module):
    """signature.t3_step. Parameters are named as the official checkpoint's; its tables are one."""

    def __init__(self, config: T3Config) -> None:
        super().__init__()
        self.speaker_id = config.speaker_id
        self.table = nn.Embedding(config.speaker_id + 1, config.width)
        self.cond_enc = nn.ModuleDict({"spkr_enc": nn.Linear(config.speaker_width, config.width)})
        self.tfmr = _Transformer(config)
        self.speech_head = nn.Linear(config.width, config.speech_codes)

    def forward(
        self, ids: Tensor, ids_length: Tensor, speaker: Tensor, past_length: Tensor, *past: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits (B, codes) of each row's last id, and new_kv (layers, 2, B, heads, S, head width).

        ``past`` is k.0, v.0, k.1, v.1, ...: (B, heads, C, head width), of which row b sees the first
        past_length[b] places. C may be 0.
        """
        order = torch.arange(ids.shape[1], device=ids.device)
        hidden = self._embed(ids, speaker) + self.tfmr.wpe(past_length[:, None] + order)
        bias = _bias(order, past_length, past[0].shape[2])
        new = []
        for layer, past_k, past_v in zip(self.tfmr.h, past[::2], past[1::2], strict=True):
            hidden, keys_values = layer(hidden, past_k, past_v, bias)
            new.append(keys_values)
        last = (ids_length - 1)[:, None, None].expand(-1, 1, hidden.shape[2])
        hidden = self.tfmr.ln_f(hidden.gather(1, last)[:, 0])
        return self.speech_head(hidden).float(), torch.stack(new)

    def _embed(self, ids: Tensor, speaker: Tensor) -> Tensor:
        table = self.table(ids)
        projected = self.cond_enc["spkr_enc"](speaker.to(table.dtype))
        return torch.where((ids == self.speaker_id)[..., None], projected[:, None], table)


class _Transformer(nn.Module):
    def __init__(self, config: T3Config) -> None:
        super().__init__()
        self.wpe = nn.Embedding(config.positions, config.width)
        self.h = nn.ModuleList(_Block(config) for _ in range(config.layers))
        self.ln_f = _Norm(config.width)


class _Block(nn.Module):
    def __init__(self, config: T3Config) -> None:
        super().__init__()
        self.ln_1 = _Norm(config.width)
        self.attn = _Attention(config)
        self.ln_2 = _Norm(config.width)
        self.mlp = _FeedForward(config.width)

    def forward(self, hidden: Tensor, past_k: Tensor, past_v: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        heard, keys_values = self.attn(self.ln_1(hidden), past_k, past_v, bias)
        hidden = hidden + heard
        return hidden + self.mlp(self.ln_2(hidden)), keys_values


class _Attention(nn.Module):
    def __init__(self, config: T3Config) -> None:
        super().__init__()
        self.heads, self.head_width = config.heads, config.head_width
        self.c_attn = _Projection(config.width, 3 * config.width)
        self.c_proj = _Projection(config.width, config.width)

    def forward(self, x: Tensor, past_k: Tensor, past_v: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """What each id hears (B, S, width), and its keys and values (2, B, heads, S, head width)."""
        batch, ids, width = x.shape
        split = self.c_attn(x).reshape(batch, ids, 3, self.heads, self.head_width)
        q, k, v = split.permute(2, 0, 3, 1, 4).unbind(0)  # (B, heads, S, head width) each
        q = q * self.head_width**-0.5
        scores = torch.cat((q @ past_k.transpose(2, 3), q @ k.transpose(2, 3)), -1)
        shares = (scores.float() + bias).softmax(-1).to(x.dtype)  # (B, heads, S, C + S)
        places = past_k.shape[2]
        heard = shares[..., :places] @ past_v + shares[..., places:] @ v
        heard = heard.transpose(1, 2).reshape(batch, ids, width)
        return self.c_proj(heard), torch.stack((k, v))


class _FeedForward(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = _Projection(width, _FEED_FORWARD * width)
        self.c_proj = _Projection(_FEED_FORWARD * width, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))
        return out


class _Projection(nn.Module):
    """A linear layer whose weight lies (in, out), as GPT-2's do."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width_in, width_out))
        self.bias = nn.Parameter(torch.zeros(width_out))
        nn.init.normal_(self.weight, std=width_in**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight + self.bias


class _Norm(nn.LayerNorm):
    """LayerNorm, an FP32 island."""

    def forward(self, x: Tensor) -> Tensor:
        normal = F.layer_norm(
            x.float(), self.normalized_shape, self.weight.float(), self.bias.float(), self.eps
        )
        return normal.to(x.dtype)


def _bias(order: Tensor, past_length: Tensor, places: int) -> Tensor:
    """What each id sees, as a bias on scores (B, 1, S, C + S): its row's past, and ids up to itself."""
    rows, ids = past_length.shape[0], order.shape[0]
    stored = torch.arange(places, device=order.device)[None] < past_length[:, None]  # (B, C)
    causal = order[None] <= order[:, None]  # (S, S)
    seen = torch.cat((stored[:, None].expand(rows, ids, places), causal[None].expand(rows, ids, ids)), 2)
    return torch.where(seen, 0.0, HIDDEN)[:, None]
