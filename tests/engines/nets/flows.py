"""Flows of random weights, strong enough that every part of them is heard in the mel, and their inputs."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from engines.model import (
    MEL_BANDS,
    EncoderConfig,
    EstimatorConfig,
    ModelConfig,
    SpeechTokenizerConfig,
    T3Config,
    XVectorConfig,
)
from engines.nets.s3_flow import S3Flow
from engines.rates import LOOKAHEAD_TOKENS

SMALL = ModelConfig(
    name="small",
    t3_file="none",
    t3=T3Config(speech_codes=83),
    codes=81,
    silence_code=0,
    encoder=EncoderConfig(width=32, heads=4, feed_forward=48, layers=2, up_layers=2),
    estimator=EstimatorConfig(channels=16, heads=2, head_width=12, transformers=2, mid_blocks=2),
    xvector=XVectorConfig(width=24),
    speech_tokenizer=SpeechTokenizerConfig(digits=4),
)


@dataclass(frozen=True)
class FlowInputs:
    """The five inputs of a flow in its order."""

    tokens: Tensor
    tokens_length: Tensor
    embedding: Tensor
    cond: Tensor
    noise: Tensor

    def args(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        return self.tokens, self.tokens_length, self.embedding, self.cond, self.noise

    def before(self, token: int) -> "FlowInputs":
        return self._cut(slice(0, token), slice(0, 2 * token), token)

    def since(self, token: int) -> "FlowInputs":
        return self._cut(slice(token, None), slice(2 * token, None), self.tokens.shape[1] - token)

    def _cut(self, tokens: slice, frames: slice, count: int) -> "FlowInputs":
        return replace(
            self,
            tokens=self.tokens[:, tokens],
            tokens_length=torch.full_like(self.tokens_length, count),
            cond=self.cond[..., frames],
            noise=self.noise[..., frames],
        )


def random_weights(module: nn.Module, seed: int) -> None:
    """Fan-in normal matrices; norms and biases near, but not at, what they begin as."""
    draw = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        value = torch.randn(parameter.shape, generator=draw)
        if parameter.dim() > 1 and "pos_bias" not in name:
            value *= 1.3 * parameter[0].numel() ** -0.5
        elif "norm" in name or name.endswith(("block.2.weight", "out.1.weight")):
            value = 0.2 * value + float(name.endswith("weight"))
        else:
            value *= 0.3
        parameter.data = value


def random_flow(model: ModelConfig = SMALL, seed: int = 1) -> S3Flow:
    flow = S3Flow(model).eval().requires_grad_(False)
    random_weights(flow, seed)
    return flow


def random_inputs(prompt_tokens: int, tokens: int, model: ModelConfig = SMALL, seed: int = 2) -> FlowInputs:
    """One row of ``tokens``, of which ``prompt_tokens`` come with their mel."""
    draw = torch.Generator().manual_seed(seed)
    cond = torch.randn(1, MEL_BANDS, 2 * tokens, generator=draw)
    cond[..., 2 * prompt_tokens :] = 0
    return FlowInputs(
        tokens=torch.randint(0, model.codes, (1, tokens), generator=draw),
        tokens_length=torch.tensor([tokens]),
        embedding=3 * torch.randn(1, model.xvector.width, generator=draw),
        cond=cond,
        noise=torch.randn(1, MEL_BANDS, 2 * tokens, generator=draw),
    )


def in_one_batch(rows: list[FlowInputs]) -> FlowInputs:
    """Rows of different lengths, padded on the right with what no result may depend on."""
    tokens = max(row.tokens.shape[1] for row in rows)

    def pad(x: Tensor, size: int, value: float) -> Tensor:
        return nn.functional.pad(x, (0, size - x.shape[-1]), value=value)

    return FlowInputs(
        tokens=torch.cat([pad(row.tokens, tokens, 5) for row in rows]),
        tokens_length=torch.cat([row.tokens_length for row in rows]),
        embedding=torch.cat([row.embedding for row in rows]),
        cond=torch.cat([pad(row.cond, 2 * tokens, 7.0) for row in rows]),
        noise=torch.cat([pad(row.noise, 2 * tokens, -3.0) for row in rows]),
    )


def relative(ours: Tensor, theirs: Tensor) -> float:
    """RMS of the difference over RMS of the second."""
    assert ours.shape == theirs.shape
    return float((ours.double() - theirs.double()).norm() / theirs.double().norm())


def prompt_cache_deviation(flow: S3Flow, inputs: FlowInputs, prompt_tokens: int) -> float:
    """What a prompt's cache costs: relative error of the window's mel against the exact flow's."""
    cached = prompt_tokens - LOOKAHEAD_TOKENS
    cache = flow.prompt_cache(*inputs.before(prompt_tokens).args())
    mel = flow(*inputs.since(cached).args(), cache)[..., 2 * LOOKAHEAD_TOKENS :]
    return relative(mel, flow(*inputs.args())[..., 2 * prompt_tokens :])
