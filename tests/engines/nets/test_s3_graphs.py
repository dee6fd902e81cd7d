"""The graphs keep the signature, and hand the vocoder each row's own frames, faded."""

import inspect
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from engines.backends.signature import FADE_MEL_FRAMES, GraphSpec, s3_cached_chunk, s3_chunk, s3_prompt
from engines.model import MEL_BANDS, TURBO, ModelConfig
from engines.nets.s3_flow import S3Flow
from engines.nets.s3_graphs import S3CachedChunk, S3Chunk, S3Prompt, prompt_cache_spec
from engines.rates import HOP_SAMPLES
from tests.engines.nets.flows import SMALL, in_one_batch, random_flow, random_inputs, relative

PROMPT_TOKENS = 9
OTHER = replace(
    SMALL,
    encoder=replace(SMALL.encoder, layers=1, up_layers=3),
    estimator=replace(SMALL.estimator, transformers=1, mid_blocks=3, euler_steps=3),
)


class Listener(nn.Module):
    """A vocoder's place: it answers with numbers, and keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.given: tuple[Tensor, ...] = ()

    def forward(self, *given: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self.given = given
        noise = given[-1]
        return noise + 1, noise + 2, noise[..., 0] + 3


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def flow() -> S3Flow:
    return random_flow()


def vocoder_inputs(
    first_frame: list[int], frames: int, cached: int, fade_weight: float = 0.0
) -> tuple[Tensor, ...]:
    rows = len(first_frame)
    draw = torch.Generator().manual_seed(frames)
    return (
        torch.tensor(first_frame),
        torch.randn(rows, MEL_BANDS, FADE_MEL_FRAMES, generator=draw),
        torch.full((rows, FADE_MEL_FRAMES), fade_weight),
        torch.randn(rows, MEL_BANDS, cached, generator=draw),
        torch.randn(rows, cached, HOP_SAMPLES, generator=draw),
        torch.rand(rows, generator=draw),
        torch.rand(rows, SMALL.vocoder.harmonics + 1, generator=draw),
        torch.randn(rows, frames, HOP_SAMPLES, generator=draw),
    )


@pytest.mark.parametrize("model", [SMALL, OTHER], ids=["small", "other"])
def test_a_cache_is_what_its_spec_says(model: ModelConfig) -> None:
    cache = random_flow(model).prompt_cache(*random_inputs(PROMPT_TOKENS, PROMPT_TOKENS, model).args())
    kept = PROMPT_TOKENS - model.encoder.lookahead_tokens
    sizes = {"P": kept, "2P": 2 * kept}
    specs = prompt_cache_spec(model)
    wanted = [tuple(sizes.get(str(axis), axis) for axis in spec.axes) for spec in specs]
    assert [tuple(tensor.shape) for tensor in cache] == wanted
    assert {spec.dtype for spec in specs} == {"compute"}


def test_the_real_cache_has_a_name_for_every_attention_and_convolution() -> None:
    names = [spec.name for spec in prompt_cache_spec(TURBO)]
    attentions, convolutions = 10 + 2 * 56, 2 + 2 * (2 * 14 + 3)
    assert len(names) == len(set(names)) == 2 * attentions + convolutions


@pytest.mark.parametrize(
    ("module", "spec"),
    [
        (S3Chunk, s3_chunk(SMALL)),
        (S3Prompt, s3_prompt(SMALL, prompt_cache_spec(SMALL))),
        (S3CachedChunk, s3_cached_chunk(SMALL, prompt_cache_spec(SMALL))),
    ],
    ids=lambda each: each.name if isinstance(each, GraphSpec) else "",
)
def test_a_graph_takes_the_signatures_inputs_in_order(module: type[nn.Module], spec: GraphSpec) -> None:
    taken = [name for name in inspect.signature(module.forward).parameters if name not in ("self", "cache")]
    named = [each.name for each in spec.inputs]
    assert taken == named[: len(taken)]
    assert named[len(taken) :] in ([], [each.name for each in prompt_cache_spec(SMALL)])


@pytest.mark.parametrize("cached", [0, 16])
def test_each_row_is_vocoded_from_its_own_first_frame(flow: S3Flow, cached: int) -> None:
    vocoder = Listener()
    batch = in_one_batch([random_inputs(3, 11, seed=1), random_inputs(2, 8, seed=2)])
    rest = vocoder_inputs([13, 4], 9, cached)
    mel, audio, source, phases = S3Chunk(flow, vocoder)(*batch.args(), *rest)
    whole = flow(*batch.args())
    assert torch.equal(mel, torch.stack((whole[0, :, 13:22], whole[1, :, 4:13])))
    assert torch.equal(vocoder.given[0], torch.cat((rest[3], mel), 2))
    assert all(torch.equal(*pair) for pair in zip(vocoder.given[1:], rest[4:], strict=True))
    noise = rest[-1]
    assert torch.equal(audio, noise + 1)
    assert torch.equal(source, noise + 2)
    assert torch.equal(phases, noise[..., 0] + 3)


@pytest.mark.parametrize("frames", [1, 3, 4, 7])
def test_the_window_before_fades_out_over_the_first_frames(flow: S3Flow, frames: int) -> None:
    inputs = random_inputs(3, 8).args()
    rest = vocoder_inputs([5], frames, 0)
    weight = torch.tensor([[1.0, 0.75, 0.5, 0.25]])
    mel, *_ = S3Chunk(flow, Listener())(*inputs, *rest[:2], weight, *rest[3:])
    fresh = flow(*inputs)[..., 5 : 5 + frames]
    for frame in range(frames):
        share = [1.0, 0.75, 0.5, 0.25, 0, 0, 0][frame]
        before = rest[1][..., frame] if frame < FADE_MEL_FRAMES else 0
        assert torch.allclose(mel[..., frame], share * before + (1 - share) * fresh[..., frame], atol=1e-6)


def test_a_prompt_and_its_cached_chunk_are_the_blocked_chunk(flow: S3Flow) -> None:
    inputs = random_inputs(PROMPT_TOKENS, PROMPT_TOKENS + 6)
    kept = PROMPT_TOKENS - SMALL.encoder.lookahead_tokens
    cache = S3Prompt(flow)(*inputs.before(PROMPT_TOKENS).args())
    rest = vocoder_inputs([8], 10, 16)
    mel, *_ = S3CachedChunk(flow, Listener())(*inputs.since(kept).args(), *rest, *cache)
    blocked = flow(*inputs.args(), blocked_tokens=kept)[..., 2 * kept + 8 :][..., :10]
    assert relative(mel, blocked) < 1e-5
