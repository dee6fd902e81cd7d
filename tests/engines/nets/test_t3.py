"""T3 by what must hold of it; that it is the reference's is in tests/parity/test_t3.py."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor

from engines.backends.signature import GraphSpec, t3_step
from engines.model import ModelConfig, T3Config
from engines.nets.t3 import T3Step

SMALL = ModelConfig(
    "small", "none", T3Config(width=48, layers=2, heads=3, text_codes=90, positions=160, prompt_tokens=9)
)
T3 = SMALL.t3
TOLERANCE = 2e-5


@pytest.fixture(scope="module")
def net() -> T3Step:
    torch.set_num_threads(1)
    torch.manual_seed(5)
    net = T3Step(T3).eval().requires_grad_(False)
    for name, parameter in net.named_parameters():
        if "ln_" in name or name.endswith("bias"):  # none may be taken for what it begins as
            parameter.add_(0.2 * torch.randn_like(parameter))
        if "c_attn.weight" in name:
            parameter.mul_(2)  # attention that chooses
    return net


def random_ids(rows: int, ids: int, seed: int = 0) -> Tensor:
    return torch.randint(0, T3.speaker_id, (rows, ids), generator=torch.Generator().manual_seed(seed))


def random_speaker(rows: int) -> Tensor:
    return torch.randn(rows, T3.speaker_width, generator=torch.Generator().manual_seed(1))


def nothing(rows: int, places: int = 0, fill: float = 0.0) -> list[Tensor]:
    return [torch.full((rows, T3.heads, places, T3.head_width), fill) for _ in range(2 * T3.layers)]


def run(
    net: T3Step, ids: Tensor, past: list[Tensor] | None = None, past_length: Any = None, length: Any = None
) -> tuple[Tensor, Tensor]:
    rows = len(ids)
    lengths = torch.full((rows,), ids.shape[1]) if length is None else torch.tensor(length)
    pasts = torch.zeros(rows, dtype=torch.int64) if past_length is None else torch.tensor(past_length)
    logits, new_kv = net(ids, lengths, random_speaker(rows), pasts, *(past or nothing(rows)))
    return logits, new_kv


def stored(kv: list[Tensor], places: int, fill: float = 0.0) -> list[Tensor]:
    """What a row's steps gave, one behind another in stores of ``places``, the rest filled."""
    joined = torch.cat(kv, 4).flatten(0, 1)  # (2 * layers, B, heads, all, head width)
    rest = torch.full((*joined.shape[:3], places - joined.shape[3], T3.head_width), fill)
    return list(torch.cat((joined, rest), 3))


@pytest.mark.parametrize("cuts", [[12], [5, 7], [1] * 12, [3, 1, 8], [11, 1]])
@pytest.mark.parametrize("places", [12, 32])
def test_any_cutting_into_steps_gives_the_same_logits(net: T3Step, cuts: list[int], places: int) -> None:
    ids = random_ids(1, 12)
    ids[0, 0] = T3.speaker_id
    whole, whole_kv = run(net, ids)
    kv: list[Tensor] = []
    done = 0
    for cut in cuts:
        past = stored(kv, places, fill=77.0) if kv else None
        logits, new_kv = run(net, ids[:, done : done + cut], past, [done])
        kv.append(new_kv)
        done += cut
    torch.testing.assert_close(logits, whole, atol=TOLERANCE, rtol=TOLERANCE)
    torch.testing.assert_close(torch.cat(kv, 4), whole_kv, atol=TOLERANCE, rtol=TOLERANCE)


@pytest.mark.parametrize("fill", [0.0, 1_000.0])
def test_what_lies_beyond_a_rows_past_is_not_seen(net: T3Step, fill: float) -> None:
    ids = random_ids(1, 3)
    _, kv = run(net, random_ids(1, 6, seed=2))
    tight, _ = run(net, ids, stored([kv], 6), [6])
    loose, _ = run(net, ids, stored([kv], 64, fill), [6])
    torch.testing.assert_close(loose, tight, atol=TOLERANCE, rtol=TOLERANCE)


def test_rows_of_one_batch_are_what_each_is_alone(net: T3Step) -> None:
    lengths, pasts = [7, 2, 5], [0, 9, 4]
    ids, past = random_ids(3, 7), [torch.randn_like(each) for each in nothing(3, 16)]
    logits, new_kv = run(net, ids, past, pasts, lengths)
    for row in range(3):
        alone = [each[row : row + 1, :, : pasts[row]] for each in past]
        speaker = random_speaker(3)[row : row + 1]
        length, past_length = torch.tensor([lengths[row]]), torch.tensor([pasts[row]])
        expected, kv = net(ids[row : row + 1, : lengths[row]], length, speaker, past_length, *alone)
        torch.testing.assert_close(logits[row : row + 1], expected, atol=TOLERANCE, rtol=TOLERANCE)
        torch.testing.assert_close(
            new_kv[:, :, row : row + 1, :, : lengths[row]], kv, atol=TOLERANCE, rtol=TOLERANCE
        )


def test_an_id_sees_none_after_it(net: T3Step) -> None:
    ids = random_ids(1, 8)
    _, before = run(net, ids)
    ids[0, 5] += 1
    _, after = run(net, ids)
    assert torch.equal(before[..., :5, :], after[..., :5, :])
    assert not torch.equal(before[..., 5:, :], after[..., 5:, :])


def test_a_place_counts_from_its_rows_past(net: T3Step) -> None:
    same = random_ids(1, 1).repeat(2, 1)
    _, new_kv = run(net, same, nothing(2, 16), [3, 4])
    assert not torch.allclose(new_kv[0, :, 0], new_kv[0, :, 1])


def test_the_speaker_stands_only_where_its_id_does(net: T3Step) -> None:
    ids = random_ids(2, 4)
    lengths, pasts = torch.full((2,), 4), torch.zeros(2, dtype=torch.int64)
    speaker = random_speaker(2)
    without = net(ids, lengths, speaker, pasts, *nothing(2))[0]
    assert torch.equal(without, net(ids, lengths, -speaker, pasts, *nothing(2))[0])
    ids[:, 1] = T3.speaker_id
    other = torch.stack((speaker[0], -speaker[1]))
    before = net(ids, lengths, speaker, pasts, *nothing(2))[0]
    after = net(ids, lengths, other, pasts, *nothing(2))[0]
    torch.testing.assert_close(after[0], before[0])
    assert not torch.allclose(after[1], before[1])


def test_its_parameters_are_the_checkpoints_keys(net: T3Step) -> None:
    names = {name for name, _ in net.named_parameters() if ".h.1." not in name}
    parts = ("ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj")
    block = {f"tfmr.h.0.{part}.{kind}" for part in parts for kind in ("weight", "bias")}
    ends = ("cond_enc.spkr_enc", "speech_head", "tfmr.ln_f")
    others = {f"{part}.{kind}" for part in ends for kind in ("weight", "bias")}
    assert names == block | others | {"table.weight", "tfmr.wpe.weight"}
    assert net.tfmr.h[0].mlp.c_fc.weight.shape == (T3.width, 4 * T3.width)  # type: ignore[union-attr]


# Exported


def graph_inputs(rows: int, ids: int, places: int, dtype: Any = np.float32) -> dict[str, Any]:
    random = np.random.default_rng((rows, ids, places))
    given: dict[str, Any] = {
        "ids": random.integers(0, T3.speaker_id + 1, (rows, ids)),
        "ids_length": random.integers(1, ids + 1, rows),
        "speaker": random.standard_normal((rows, T3.speaker_width), np.float32),
        "past_length": random.integers(0, places + 1, rows),
    }
    for spec in t3_step(SMALL).inputs[len(given) :]:
        given[spec.name] = random.standard_normal((rows, T3.heads, places, T3.head_width)).astype(dtype)
    return given


def export(net: T3Step, spec: GraphSpec, path: Path, dtype: Any = np.float32) -> Path:
    tensors = [*spec.inputs, *spec.outputs]
    axes = {each.name: {i: a for i, a in enumerate(each.axes) if isinstance(a, str)} for each in tensors}
    args = tuple(torch.from_numpy(array) for array in graph_inputs(2, 3, 4, dtype).values())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        torch.onnx.export(
            net,
            args,
            path,
            input_names=[each.name for each in spec.inputs],
            output_names=[each.name for each in spec.outputs],
            dynamic_axes=axes,
            opset_version=17,
            dynamo=False,
        )
    return path


def test_exported_it_runs_at_any_size_and_an_empty_past(net: T3Step, tmp_path: Path) -> None:
    path = export(net, t3_step(SMALL), tmp_path / "t3.onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for rows, ids, places in [(1, 1, 0), (1, 7, 0), (3, 7, 0), (1, 1, 64), (2, 7, 64), (3, 1, 64), (2, 1, 1)]:
        given = graph_inputs(rows, ids, places)
        logits, new_kv = session.run(["logits", "new_kv"], given)
        expected = net(*(torch.from_numpy(array) for array in given.values()))
        np.testing.assert_allclose(logits, expected[0], atol=TOLERANCE, rtol=TOLERANCE)
        np.testing.assert_allclose(new_kv, expected[1], atol=TOLERANCE, rtol=TOLERANCE)


def test_in_half_its_norms_shares_and_logits_stay_whole(net: T3Step, tmp_path: Path) -> None:
    half = T3Step(T3).eval().requires_grad_(False).half()
    half.load_state_dict(net.state_dict())
    path = export(half, t3_step(SMALL), tmp_path / "half.onnx", np.float16)
    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    types = {each.name: each.type.tensor_type.elem_type for each in model.graph.value_info}
    for kind in ("LayerNormalization", "Softmax"):
        inputs = [node.input[0] for node in model.graph.node if node.op_type == kind]
        assert inputs
        assert {types[name] for name in inputs} == {onnx.TensorProto.FLOAT}, kind
    assert [each.type.tensor_type.elem_type for each in model.graph.output] == [
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.FLOAT16,
    ]
    given = [torch.from_numpy(array) for array in graph_inputs(2, 7, 16, np.float16).values()]
    whole = net(*given[:4], *(each.float() for each in given[4:]))[0]
    error = (half(*given)[0] - whole).square().mean().sqrt() / whole.square().mean().sqrt()
    assert error < 5e-3
