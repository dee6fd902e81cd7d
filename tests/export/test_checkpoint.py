"""What is written of nets is read back as they were, by the strict loader and under the official keys."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from engines.model import S3GEN_FILE
from engines.nets.build import load_nets
from engines.nets.t3 import T3Step
from engines.nets.weights import fold_weight_norm, part_weight_norm
from export.checkpoint import write_checkpoint
from tests.fakes.tiny_export import tiny_weights
from tests.fakes.tiny_model import TINY
from tests.fakes.tiny_packed import nets_of


@pytest.fixture(scope="module")
def nets() -> dict[type[nn.Module], nn.Module]:
    return nets_of(load_nets(tiny_weights()))


def apart(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())


@pytest.mark.parametrize(("dtype", "most"), [("float32", 1e-6), ("float16", 6e-4)])
def test_every_weight_comes_back(
    nets: dict[type[nn.Module], nn.Module], dtype: str, most: float, tmp_path: Path
) -> None:
    write_checkpoint(tmp_path, TINY, nets, dtype)
    read = load_nets(tmp_path)
    assert read.model == TINY
    assert [report.unused for report in read.reports] == [(), (), ()]  # nothing of no use is written
    for kind, net in nets_of(read).items():
        wanted = nets[kind].state_dict()
        for name, tensor in net.state_dict().items():
            if tensor.is_floating_point() and wanted[name].norm():
                assert apart(tensor, wanted[name]) < most, name
            else:
                assert torch.equal(tensor, wanted[name]), name


def test_a_net_that_was_read_back_does_what_it_did(
    nets: dict[type[nn.Module], nn.Module], tmp_path: Path
) -> None:
    write_checkpoint(tmp_path, TINY, nets)
    past = [torch.zeros(1, 4, 0, 16)] * 2 * TINY.t3.layers
    asked = (torch.arange(6)[None], torch.tensor([6]), torch.ones(1, 256), torch.tensor([0]), *past)
    before, after = nets[T3Step](*asked)[0], load_nets(tmp_path).t3(*asked)[0]
    assert 0 < apart(after, before) < 3e-3


def test_a_file_is_half_as_large_in_float16(nets: dict[type[nn.Module], nn.Module], tmp_path: Path) -> None:
    sizes = {}
    for dtype in ("float32", "float16"):
        folder = tmp_path / dtype
        folder.mkdir()
        write_checkpoint(folder, TINY, nets, dtype)
        sizes[dtype] = (folder / S3GEN_FILE).stat().st_size
    assert sizes["float16"] < 0.55 * sizes["float32"]


def test_a_value_that_float16_does_not_hold_is_refused_by_its_key(tmp_path: Path) -> None:
    nets = nets_of(load_nets(tiny_weights()))
    with torch.no_grad():
        nets[T3Step].state_dict()["speech_head.bias"][3] = 1e5
    with pytest.raises(ValueError, match=r"speech_head\.bias"):
        write_checkpoint(tmp_path, TINY, nets)


def test_a_weight_is_parted_into_what_folds_to_it() -> None:
    weight = torch.from_numpy(np.random.default_rng(0).standard_normal((5, 4, 3), np.float32))
    weight[2] = 0  # a channel that does nothing
    weight[3] *= 1e-6  # one that float16 would lose
    magnitude, direction = part_weight_norm(weight)
    assert magnitude.shape == (5, 1, 1)
    torch.testing.assert_close(fold_weight_norm(magnitude, direction), weight, rtol=1e-5, atol=0)
    alive = direction[[0, 1, 3, 4]].square().mean((1, 2))
    torch.testing.assert_close(alive, torch.ones(4))


def test_whole_numbers_stay_whole_and_lie_first(
    nets: dict[type[nn.Module], nn.Module], tmp_path: Path
) -> None:
    """Eight bytes each: behind float16 tensors they would not lie aligned."""
    write_checkpoint(tmp_path, TINY, nets)
    tensors = load_file(tmp_path / S3GEN_FILE)
    whole = [name for name, tensor in tensors.items() if tensor.dtype == torch.int64]
    assert whole
    assert {tensor.dtype for tensor in tensors.values()} == {torch.int64, torch.float16}
