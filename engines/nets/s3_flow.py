"""S3Gen's flow: speech tokens, a speaker and noise to mel, in a fixed number of Euler steps.

Which noise is an argument, so a window's mel depends on its place and not on who shares its batch.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engines.model import MEL_BANDS, ModelConfig
from engines.nets.s3_encoder import S3Encoder
from engines.nets.s3_estimator import ResnetBlock, S3Estimator, float_linear
from engines.nets.s3_past import FloatNorm, Past, key_bias
from engines.rates import MEL_FRAMES_PER_TOKEN


class S3Flow(nn.Module):
    """Parameters are named as the checkpoint's under `flow`.

    All inputs and outputs are float32; between them the type is that of the weights (see halve).
    """

    def __init__(self, model: ModelConfig) -> None:
        super().__init__()
        width = model.encoder.width
        self.input_embedding = nn.Embedding(model.codes, width)
        self.spk_embed_affine_layer = nn.Linear(model.xvector.width, MEL_BANDS)
        self.encoder = S3Encoder(model.encoder)
        self.encoder_proj = nn.Linear(width, MEL_BANDS)
        self.decoder = nn.ModuleDict({"estimator": S3Estimator(model.estimator)})
        self.euler_steps = model.estimator.euler_steps

    def forward(
        self,
        tokens: Tensor,
        tokens_length: Tensor,
        embedding: Tensor,
        cond: Tensor,
        noise: Tensor,
        cache: tuple[Tensor, ...] = (),
        blocked_tokens: int = 0,
    ) -> Tensor:
        """Mel (batch, 80, 2 * tokens); finite and meaningless in the frames of padding.

        tokens (batch, tokens) with each row's tokens_length (batch,) of them real; embedding (batch,
        192); cond and noise (batch, 80, 2 * tokens). With a ``cache`` of prompt_cache the tokens
        follow that prompt's cached ones. ``blocked_tokens`` are the first tokens that do not see the
        others: what a cache costs in exactness, without the cache.
        """
        past = Past(cache)
        return self._run(tokens, tokens_length, embedding, cond, noise, past, blocked_tokens)

    def prompt_cache(
        self, tokens: Tensor, tokens_length: Tensor, embedding: Tensor, cond: Tensor, noise: Tensor
    ) -> tuple[Tensor, ...]:
        """What a prompt (batch of 1, no padding) leaves for windows, in engines.nets.s3_graphs' order.

        Its last lookahead tokens serve as lookahead alone: windows begin with them again.
        """
        past = Past(record=True)
        self._run(tokens, tokens_length, embedding, cond, noise, past)
        return tuple(past.recorded)

    def halve(self) -> None:
        """Convert to float16 all but the islands of float32: norms, the speaker's and the times' layers."""
        estimator = self.estimator
        islands = {self.spk_embed_affine_layer, estimator.time_embed_mixer, *estimator.time_mlp.values()}
        for module in self.modules():
            if isinstance(module, ResnetBlock):
                islands |= set(module.mlp.values())
        for module in self.modules():
            if module not in islands and not isinstance(module, FloatNorm):
                for parameter in module.parameters(recurse=False):
                    parameter.data = parameter.data.half()

    @property
    def estimator(self) -> S3Estimator:
        estimator = self.decoder["estimator"]
        assert isinstance(estimator, S3Estimator)
        return estimator

    def _run(
        self,
        tokens: Tensor,
        tokens_length: Tensor,
        embedding: Tensor,
        cond: Tensor,
        noise: Tensor,
        past: Past,
        blocked_tokens: int = 0,
    ) -> Tensor:
        hidden = self.encoder(self.input_embedding(tokens), tokens_length, past, blocked_tokens)
        mean = self.encoder_proj(hidden).transpose(1, 2)  # (batch, 80, frames)
        frames = mean.shape[2]
        speaker = float_linear(self.spk_embed_affine_layer, F.normalize(embedding.float(), dim=1))
        speaker = speaker[..., None].expand(-1, -1, frames).to(mean.dtype)
        fixed = torch.cat((mean, speaker, cond[..., :frames].to(mean.dtype)), 1)
        return self._integrate(noise[..., :frames], fixed, tokens_length, past, blocked_tokens)

    def _integrate(
        self, x: Tensor, fixed: Tensor, tokens_length: Tensor, past: Past, blocked_tokens: int
    ) -> Tensor:
        """Noise to mel: equal steps of mean velocity from time 0 to 1, all of them in the graph."""
        rate = MEL_FRAMES_PER_TOKEN
        frames, past_frames, length = x.shape[2], rate * past.tokens, rate * tokens_length
        bias = key_bias(past_frames + length, past_frames + frames, rate * blocked_tokens)
        for step in range(self.euler_steps):
            start, end = step / self.euler_steps, (step + 1) / self.euler_steps
            time = self.estimator.embed_times(start, end)
            parts = torch.cat((x.to(fixed.dtype), fixed), 1)
            x = x + (end - start) * self.estimator(parts, time, bias, past).float()
        return x
