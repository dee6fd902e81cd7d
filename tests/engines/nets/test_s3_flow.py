"""The flow's promises: rows do not hear each other, a cached prompt is a blocked one, halves stay close."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from engines.model import TURBO
from engines.nets.s3_encoder import align_distances, relative_positions
from engines.nets.s3_estimator import S3Estimator
from engines.nets.s3_flow import S3Flow
from engines.nets.s3_past import FloatNorm
from tests.engines.nets.flows import (
    SMALL,
    in_one_batch,
    prompt_cache_deviation,
    random_flow,
    random_inputs,
    relative,
)

TOLERANCE = 1e-5
LOOKAHEAD = SMALL.encoder.lookahead_tokens


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def flow() -> S3Flow:
    return random_flow()


def test_a_mel_has_two_frames_a_token(flow: S3Flow) -> None:
    mel = flow(*random_inputs(4, 9).args())
    assert mel.shape == (1, 80, 18)
    assert mel.dtype == torch.float32


@pytest.mark.parametrize("tokens", [(15, 12, 13), (4, 30), (1, 9, 2)])
def test_rows_of_a_batch_sound_as_they_do_alone(flow: S3Flow, tokens: tuple[int, ...]) -> None:
    rows = [random_inputs(count // 2, count, seed=place) for place, count in enumerate(tokens)]
    together = flow(*in_one_batch(rows).args())
    for row, mel in zip(rows, together, strict=True):
        frames = 2 * row.tokens.shape[1]
        assert relative(mel[None, :, :frames], flow(*row.args())) < TOLERANCE
    assert together.isfinite().all()


def test_only_the_direction_of_an_embedding_counts(flow: S3Flow) -> None:
    inputs = random_inputs(4, 9)
    louder = replace(inputs, embedding=5 * inputs.embedding)
    assert relative(flow(*louder.args()), flow(*inputs.args())) < TOLERANCE


@pytest.mark.parametrize("part", ["tokens", "embedding", "cond", "noise"])
def test_every_input_is_heard(flow: S3Flow, part: str) -> None:
    inputs, other = random_inputs(4, 9, seed=1), random_inputs(4, 9, seed=2)
    changed = replace(inputs, **{part: getattr(other, part)})
    assert relative(flow(*changed.args()), flow(*inputs.args())) > 0.01


@pytest.mark.parametrize(("prompt", "window"), [(12, 9), (4, 1), (5, 30), (40, 3)])
def test_a_cached_prompt_is_one_that_does_not_see_the_window(flow: S3Flow, prompt: int, window: int) -> None:
    inputs, cached = random_inputs(prompt, prompt + window), prompt - LOOKAHEAD
    cache = flow.prompt_cache(*inputs.before(prompt).args())
    blocked = flow(*inputs.args(), blocked_tokens=cached)
    mel = flow(*inputs.since(cached).args(), cache)
    assert relative(mel, blocked[..., 2 * cached :]) < TOLERANCE


def test_windows_of_one_voice_share_its_cache_in_a_batch(flow: S3Flow) -> None:
    prompt, cached = 10, 10 - LOOKAHEAD
    cache = flow.prompt_cache(*random_inputs(prompt, prompt).args())
    windows = [random_inputs(LOOKAHEAD, LOOKAHEAD + new, seed=new) for new in (1, 7, 4)]
    together = flow(*in_one_batch(windows).args(), cache)
    assert cached == cache[1].shape[1]
    for window, mel in zip(windows, together, strict=True):
        frames = 2 * window.tokens.shape[1]
        assert relative(mel[None, :, :frames], flow(*window.args(), cache)) < TOLERANCE


def test_a_window_hears_its_prompt_through_the_cache(flow: S3Flow) -> None:
    window = random_inputs(LOOKAHEAD, 9, seed=1).args()
    one, other = (flow.prompt_cache(*random_inputs(10, 10, seed=seed).args()) for seed in (1, 2))
    for place in range(len(one)):
        swapped = (*one[:place], other[place], *one[place + 1 :])
        assert relative(flow(*window, swapped), flow(*window, one)) > 1e-4, place


def test_a_cache_costs_little_exactness_and_some(flow: S3Flow) -> None:
    deviation = prompt_cache_deviation(flow, random_inputs(40, 60), 40)
    assert 1e-3 < deviation < 0.2, deviation


def test_a_cached_window_costs_a_fourteenth_at_the_real_size() -> None:
    def inputs(tokens: int) -> tuple[Tensor, ...]:
        mel = torch.zeros(1, 80, 2 * tokens)
        whole = torch.zeros(1, dtype=torch.int64)
        return torch.zeros(1, tokens, dtype=torch.int64), whole, torch.zeros(1, 192), mel, mel

    with torch.device("meta"), torch.no_grad():
        flow = S3Flow(TURBO)
        with FlopCounterMode(display=False) as exact:
            flow(*inputs(263))
        cache = flow.prompt_cache(*inputs(250))
        with FlopCounterMode(display=False) as cached:
            flow(*inputs(16), cache)
    assert 200e9 < exact.get_total_flops() < 239e9
    assert cached.get_total_flops() < exact.get_total_flops() / 14
    assert sum(tensor.numel() for tensor in cache) * 2 < 122e6  # bytes of float16, a voice


def test_halved_it_keeps_its_islands_and_stays_close(flow: S3Flow) -> None:
    inputs = random_inputs(12, 25)
    halved = copy.deepcopy(flow)
    halved.halve()
    kinds = {name: parameter.dtype for name, parameter in halved.named_parameters()}
    assert kinds["encoder.encoders.0.self_attn.linear_q.weight"] == torch.float16
    assert kinds["decoder.estimator.mid_blocks.0.1.0.attn1.to_q.weight"] == torch.float16
    assert kinds["decoder.estimator.mid_blocks.0.0.mlp.1.weight"] == torch.float32
    norms = [module for module in halved.modules() if isinstance(module, FloatNorm)]
    assert {norm.weight.dtype for norm in norms} == {torch.float32}
    mel = halved(*inputs.args())
    assert mel.dtype == torch.float32
    assert relative(mel, flow(*inputs.args())) < 5e-3


class Kinds(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes in which type an operation's first input comes."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: dict[str, set[torch.dtype]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if args and isinstance(args[0], Tensor):
            self.seen.setdefault(str(func.overloadpacket), set()).add(args[0].dtype)
        return func(*args, **(kwargs or {}))


def test_halved_it_still_norms_and_shares_out_in_float32(flow: S3Flow) -> None:
    halved = copy.deepcopy(flow)
    halved.halve()
    with Kinds() as kinds:
        halved(*random_inputs(4, 9).args())
    assert kinds.seen["aten.native_layer_norm"] == {torch.float32}
    assert kinds.seen["aten._softmax"] == {torch.float32}
    assert torch.float16 in kinds.seen["aten.convolution"]
    assert kinds.seen["aten.bmm"] == {torch.float16}


def test_a_cache_of_a_halved_flow_is_half_and_close(flow: S3Flow) -> None:
    inputs, cached = random_inputs(12, 21), 12 - LOOKAHEAD
    halved = copy.deepcopy(flow)
    halved.halve()
    cache = halved.prompt_cache(*inputs.before(12).args())
    assert {tensor.dtype for tensor in cache} == {torch.float16}
    blocked = flow(*inputs.args(), blocked_tokens=cached)[..., 2 * cached :]
    assert relative(halved(*inputs.since(cached).args(), cache), blocked) < 5e-3


def test_wholly_half_it_runs_too(flow: S3Flow) -> None:
    inputs = random_inputs(12, 25)
    assert relative(copy.deepcopy(flow).half()(*inputs.args()), flow(*inputs.args())) < 1e-2


@pytest.mark.parametrize(("queries", "keys"), [(1, 1), (1, 6), (5, 5), (4, 11)])
def test_distances_come_to_stand_under_their_keys(queries: int, keys: int) -> None:
    distances = keys - 1 - torch.arange(keys + queries)
    aligned = align_distances(distances.expand(1, 1, queries, -1))[0, 0]
    place = torch.arange(keys)
    assert torch.equal(aligned, place[-queries:, None] - place)


def test_positions_are_sines_and_cosines_of_distances() -> None:
    positions = relative_positions(2, 4, 6, torch.device("cpu"))
    assert positions.shape == (6, 6)
    nearest, third = positions[3], positions[0]
    assert nearest.tolist() == [0, 1, 0, 1, 0, 1]
    frequency = torch.tensor([1.0, 10_000 ** (-2 / 6), 10_000 ** (-4 / 6)])
    assert torch.allclose(third[0::2], (3 * frequency).sin())
    assert torch.allclose(third[1::2], (3 * frequency).cos())


def test_times_are_embedded_by_both_ends() -> None:
    estimator = S3Estimator(SMALL.estimator)
    whole, first, last = (
        estimator.embed_times(*ends).detach() for ends in ((0.0, 1.0), (0.0, 0.5), (0.5, 1.0))
    )
    assert whole.shape == (1, 4 * SMALL.estimator.channels)
    assert relative(whole, first) > 1e-3
    assert relative(whole, last) > 1e-3
