"""Weights are loaded whole and exactly, or refused with all that is wrong."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from engines.errors import ConfigError
from engines.model import NANO, S3GEN_FILE, VOICE_ENCODER_FILE
from engines.nets.build import Nets, load_nets
from engines.nets.weights import (
    SHOWN_PROBLEMS,
    FilePlan,
    Unused,
    check,
    fill,
    fold_weight_norm,
    like,
    plain,
)
from export.random_weights import write_random
from tests.fakes.tiny_model import TINY, tiny_checkpoint

T3 = TINY.t3_file


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed."""
    return tiny_checkpoint(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def folder(shared: Path, tmp_path: Path) -> Path:
    """A copy, to be changed."""
    return Path(shutil.copytree(shared, tmp_path / "tiny"))


@pytest.fixture(scope="module")
def nets(shared: Path) -> Nets:
    return load_nets(shared)


def change(path: Path, **tensors: Tensor | None) -> None:
    """Replace tensors of a file by key; None takes one away. Keys have __ for their dots."""
    state = load_file(path)
    for name, tensor in tensors.items():
        key = name.replace("__", ".")
        state.pop(key, None)
        if tensor is not None:
            state[key] = tensor
    path.unlink()
    save_file(state, path)


def refusal(folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_nets(folder)
    assert caught.value.field == "model"
    return str(caught.value)


def test_the_folder_says_which_model_it_holds(nets: Nets) -> None:
    assert nets.model == TINY


def test_t3s_tables_are_one_with_zeros_for_the_speakers_place(nets: Nets, shared: Path) -> None:
    state = load_file(shared / T3)
    table = nets.t3.table.weight
    text, speech = TINY.t3.text_codes, TINY.t3.speech_codes
    assert torch.equal(table[:text], state["text_emb.weight"])
    assert torch.equal(table[text : text + speech], state["speech_emb.weight"])
    assert table.shape[0] == TINY.t3.speaker_id + 1
    assert not table[TINY.t3.speaker_id].any()


@pytest.mark.parametrize(
    ("part", "prefix"),
    [("flow", "flow."), ("xvector", "speaker_encoder."), ("speech_tokenizer", "tokenizer.")],
)
def test_a_net_has_the_values_under_its_prefix(nets: Nets, shared: Path, part: str, prefix: str) -> None:
    state = load_file(shared / S3GEN_FILE)
    for name, value in getattr(nets, part).state_dict().items():
        assert torch.equal(value, state[prefix + name]), name


def test_the_voice_encoder_has_the_values_of_its_file(nets: Nets, shared: Path) -> None:
    state = load_file(shared / VOICE_ENCODER_FILE)
    for name, value in nets.voice_encoder.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_the_vocoders_weight_norms_are_folded(nets: Nets, shared: Path) -> None:
    state = load_file(shared / S3GEN_FILE)
    loaded = nets.vocoder.state_dict()
    normed = [key for key in state if key.endswith("original1")]
    assert normed
    for key in normed:
        layer = key.removesuffix(".parametrizations.weight.original1")
        magnitude = state[key.replace("original1", "original0")]
        weight = loaded[f"{layer.removeprefix('mel2wav.')}.weight"]
        assert torch.allclose(weight.flatten(1).norm(dim=1), magnitude.flatten().abs(), rtol=1e-5)


@pytest.mark.parametrize("layer", [nn.Conv1d(6, 4, 3), nn.ConvTranspose1d(6, 4, 5)])
def test_folding_gives_the_weight_that_torch_computes(layer: nn.Module) -> None:
    normed = weight_norm(layer)
    with torch.no_grad():
        normed.parametrizations.weight.original0.mul_(1.7)
    state = normed.state_dict()
    folded = fold_weight_norm(
        state["parametrizations.weight.original0"], state["parametrizations.weight.original1"]
    )
    assert torch.allclose(folded, normed.weight, rtol=1e-6, atol=0)


def test_half_weights_load_as_float32(tmp_path: Path) -> None:
    write_random(tmp_path, TINY, dtype="float16")
    half = load_nets(tmp_path)
    kinds = {value.dtype for value in half.flow.state_dict().values()}
    assert kinds == {torch.float32}
    assert half.t3.table.weight.dtype == torch.float32


def test_nets_are_in_evaluation_and_take_no_gradients(nets: Nets) -> None:
    for net in (nets.t3, nets.flow, nets.vocoder, nets.xvector, nets.speech_tokenizer, nets.voice_encoder):
        assert not any(module.training for module in net.modules())
        assert not any(parameter.requires_grad for parameter in net.parameters())


def test_no_value_of_any_net_is_left_to_chance(shared: Path) -> None:
    """Nets are made uninitialised: what no file fills must be computed, and be the same each time."""
    filled = [load_nets(shared), load_nets(shared)]
    for part in ("t3", "flow", "vocoder", "xvector", "speech_tokenizer", "voice_encoder"):
        one, other = (getattr(each, part) for each in filled)
        for values in (nn.Module.named_parameters, nn.Module.named_buffers):
            others = dict(values(other))
            assert all(torch.equal(value, others[name]) for name, value in values(one)), part


def test_every_key_is_reported_once(nets: Nets, shared: Path) -> None:
    for report in nets.reports:
        keys = [*report.used, *(key for key, _ in report.unused)]
        assert sorted(keys) == sorted(load_file(report.path))
        assert all(reason for _, reason in report.unused)


def test_what_is_of_no_use_may_be_missing(folder: Path) -> None:
    change(folder / T3, tfmr__wte__weight=None, text_head__weight=None)
    assert load_nets(folder).reports[0].unused == ()


def test_a_missing_key_is_named(folder: Path) -> None:
    change(folder / S3GEN_FILE, flow__encoder_proj__bias=None)
    said = refusal(folder)
    assert "flow.encoder_proj.bias (80,) is missing" in said
    assert S3GEN_FILE in said


def test_a_misshapen_key_is_named_with_both_shapes(folder: Path) -> None:
    change(folder / T3, speech_head__bias=torch.zeros(7))
    assert "speech_head.bias is (7,) and must be (6563,)" in refusal(folder)


def test_a_transposed_matrix_is_misshapen(folder: Path) -> None:
    key = "tfmr.h.0.attn.c_attn.weight"
    change(folder / T3, **{key: load_file(folder / T3)[key].T.contiguous()})
    assert f"{key} is (192, 64) and must be (64, 192)" in refusal(folder)


def test_an_unknown_key_is_named(folder: Path) -> None:
    change(folder / VOICE_ENCODER_FILE, lstm__weight_ih_l9=torch.zeros(2, 3))
    assert "lstm.weight_ih_l9 (2, 3) is not known" in refusal(folder)


def test_half_of_a_weight_norm_is_missing(folder: Path) -> None:
    change(folder / S3GEN_FILE, mel2wav__conv_pre__parametrizations__weight__original0=None)
    assert "mel2wav.conv_pre.parametrizations.weight.original0 (64, 1, 1) is missing" in refusal(folder)


def test_whole_numbers_are_no_weights(folder: Path) -> None:
    change(folder / T3, speech_head__bias=torch.zeros(6_563, dtype=torch.int64))
    assert "speech_head.bias is of I64 and must be of floating numbers" in refusal(folder)


def test_all_problems_come_in_one_message_and_a_long_list_is_cut(folder: Path) -> None:
    path = folder / T3
    state = load_file(path)
    path.unlink()
    save_file({"strange": torch.zeros(1), "speech_head.bias": torch.zeros(2)}, path)
    said = refusal(folder)
    needed = len(state) - 2  # two are of no use
    assert said.count("; ") == SHOWN_PROBLEMS
    assert f"and {needed + 1 - SHOWN_PROBLEMS} more" in said


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / VOICE_ENCODER_FILE).unlink()
    assert VOICE_ENCODER_FILE in refusal(folder)


@pytest.mark.parametrize("kept_bytes", [0, 4, 100, -1])
def test_a_file_cut_short_is_refused(folder: Path, kept_bytes: int) -> None:
    path = folder / S3GEN_FILE
    path.write_bytes(path.read_bytes()[:kept_bytes])
    assert "cannot be read as safetensors" in refusal(folder)


def test_another_models_weights_are_refused(folder: Path) -> None:
    (folder / T3).rename(folder / NANO.t3_file)
    with pytest.raises(ConfigError, match=r"tfmr\.h\.2\.ln_1\.weight \(768,\) is missing"):
        load_nets(folder, NANO)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells what is mapped")
def test_whole_tensors_stay_mapped(tmp_path: Path) -> None:
    save_file({"weight": torch.ones(3, 2), "spare": torch.ones(1)}, tmp_path / "linear.safetensors")
    net = nn.Linear(2, 3, bias=False)
    recipes = plain(net)
    plan = FilePlan("linear.safetensors", {nn.Linear: recipes}, {"spare": Unused(like(1), "nobody asks")})
    report = check(tmp_path / plan.name, plan)
    fill(net, report.path, recipes)
    assert report.unused == (("spare", "nobody asks"),)
    assert net.weight.sum() == 6
    assert plan.name in Path("/proc/self/maps").read_text()
