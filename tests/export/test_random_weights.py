"""Random checkpoints have the keys and shapes of the published files, and sane values."""

import hashlib
import json
from collections import Counter
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from engines.model import MODEL_FILE, NANO, TURBO, ModelConfig, find_model
from engines.nets.build import blank_nets, file_plans, load_nets
from engines.nets.conditionals import load_conditionals
from engines.nets.weights import FilePlan
from engines.rates import HOP_SAMPLES, STOP_TOKEN
from export.fetch import KNOWN_BYTES
from export.random_tokenizer import END_OF_TEXT, TAGS, write_tokenizer
from export.random_weights import file_header, random_tensor, write_random
from tests.fakes.tiny_model import FEWER_CODES, TINY, tiny_checkpoint

S3GEN_GROUPS = {"tokenizer": 104, "speaker_encoder": 937, "flow": 1122, "mel2wav": 328}
S3GEN_DIGEST = "03950823104946bcd586a413c9aaaa8d1a0c1630416a61f17c1451195d1136e5"
"""SHA-256 over "key shape" of the 2,491 keys of the published s3gen_meanflow, sorted, a line each."""


def plans(model: ModelConfig) -> tuple[FilePlan, ...]:
    return file_plans(model, blank_nets(model))


def digest(plan: FilePlan) -> str:
    lines = sorted(f"{key} {list(like.shape)}\n" for key, like in plan.holds().items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


def test_turbos_t3_file_is_of_the_published_size_to_the_byte() -> None:
    """Its header lists every key and shape, so that the size of the file tells of all of them."""
    likes = plans(TURBO)[0].holds()
    tensors_bytes = 4 * sum(like.numel() for like in likes.values())
    in_order = {key: likes[key] for key in sorted(likes)}
    size_bytes = 8 + len(file_header(in_order, "float32")) + tensors_bytes
    assert size_bytes == KNOWN_BYTES[TURBO.t3_file]


def test_s3gens_keys_and_shapes_are_the_published_ones() -> None:
    s3gen = plans(TURBO)[1]
    groups = Counter(key.partition(".")[0] for key in s3gen.holds())
    assert groups == S3GEN_GROUPS
    assert digest(s3gen) == S3GEN_DIGEST
    assert digest(plans(NANO)[1]) == S3GEN_DIGEST


@pytest.mark.parametrize(
    ("model", "millions"), [(TURBO, (478.863, 266.139, 1.424)), (NANO, (217.471, 266.139, 1.424))]
)
def test_the_models_have_the_published_numbers_of_parameters(
    model: ModelConfig, millions: tuple[float, ...]
) -> None:
    counted = [sum(prod(like.shape) for like in plan.holds().values()) / 1e6 for plan in plans(model)]
    assert counted == pytest.approx(millions, abs=6e-4)


def test_a_random_model_loads_strictly_and_whole(folder: Path) -> None:
    assert find_model(folder) == TINY
    nets = load_nets(folder)
    assert [len(report.unused) for report in nets.reports] == [2, 2, 2]
    for plan in plans(TINY):
        assert {key: value.shape for key, value in load_file(folder / plan.name).items()} == {
            key: like.shape for key, like in plan.holds().items()
        }


def test_a_published_models_folder_needs_no_description(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engines.model.PUBLISHED", {"tiny": TINY})
    monkeypatch.setattr("export.random_weights.PUBLISHED", {"tiny": TINY})
    write_random(tmp_path, TINY)
    assert not (tmp_path / MODEL_FILE).exists()
    assert find_model(tmp_path) == TINY


def test_the_seed_alone_decides_every_byte(folder: Path, tmp_path: Path) -> None:
    again, other = tiny_checkpoint(tmp_path / "again"), tiny_checkpoint(tmp_path / "other", seed=1)
    for path in folder.iterdir():
        content = path.read_bytes()
        assert (again / path.name).read_bytes() == content, path.name
        if path.suffix in (".safetensors", ".pt"):
            assert (other / path.name).read_bytes() != content, path.name


def test_a_keys_value_depends_on_no_other_key() -> None:
    like = torch.empty(3, 4, device="meta")
    np.testing.assert_array_equal(random_tensor("a.weight", like, 5), random_tensor("a.weight", like, 5))
    assert not np.array_equal(random_tensor("a.weight", like, 5), random_tensor("b.weight", like, 5))
    assert not np.array_equal(random_tensor("a.weight", like, 5), random_tensor("a.weight", like, 6))


def test_values_are_those_of_random_tensor(folder: Path) -> None:
    for key, value in load_file(folder / TINY.t3_file).items():
        np.testing.assert_array_equal(value.numpy(), random_tensor(key, value, 0), key)


def test_layers_keep_the_size_of_what_they_are_given() -> None:
    conv, gpt2 = torch.empty(64, 512, 3, device="meta"), torch.empty(256, 64, device="meta")
    assert random_tensor("flow.x.weight", conv, 0).std() == pytest.approx(1536**-0.5, rel=0.02)
    assert random_tensor("tfmr.h.3.attn.c_attn.weight", gpt2, 0).std() == pytest.approx(256**-0.5, rel=0.02)


def test_norms_are_about_one_and_counts_are_whole() -> None:
    vector = torch.empty(1_000, device="meta")
    for key in ("x.norm.weight", "x.alpha", "x.running_var", "x.parametrizations.weight.original0"):
        values = random_tensor(key, vector, 0)
        assert values.mean() == pytest.approx(1, abs=0.02)
        assert (values > 0).all()
    count = torch.empty((), dtype=torch.int64, device="meta")
    assert random_tensor("x.num_batches_tracked", count, 0).dtype == np.int64


def test_a_model_that_never_stops_gives_the_stop_token_no_chance(folder: Path, tmp_path: Path) -> None:
    endless = load_nets(tiny_checkpoint(tmp_path, never_stops=True)).t3.speech_head.bias
    ordinary = load_nets(folder).t3.speech_head.bias
    assert endless[STOP_TOKEN] == -1e4
    assert torch.equal(endless[:STOP_TOKEN], ordinary[:STOP_TOKEN])
    assert ordinary[STOP_TOKEN].abs() < 1


def test_stop_and_the_voices_codes_are_the_models_own(tmp_path: Path) -> None:
    nets = load_nets(tiny_checkpoint(tmp_path, FEWER_CODES, never_stops=True))
    endless = nets.t3.speech_head.bias
    assert (endless < -1e3).nonzero().flatten().tolist() == [730]
    voice = load_conditionals(tmp_path / "conds.pt", FEWER_CODES)
    assert max(voice.t3_prompt.max(), voice.s3_prompt.max()) < 729
    short = replace(FEWER_CODES, s3_prompt_tokens=9)
    assert len(load_conditionals(tiny_checkpoint(tmp_path, short) / "conds.pt", short).s3_prompt) == 9


def test_half_precision_halves_the_files(folder: Path, tmp_path: Path) -> None:
    write_random(tmp_path, TINY, dtype="float16")
    whole, half = (load_file(each / TINY.t3_file)["speech_head.weight"] for each in (folder, tmp_path))
    assert half.dtype == torch.float16
    assert torch.equal(whole.half(), half)


def test_the_built_in_voice_is_a_voice(folder: Path) -> None:
    voice = load_conditionals(folder / "conds.pt", TINY)
    assert len(voice.t3_prompt) == TINY.t3.prompt_tokens
    assert np.linalg.norm(voice.speaker) == pytest.approx(1, abs=1e-5)
    assert -6 < voice.s3_prompt_mel.mean() < -4


def test_what_is_spoken_lies_where_speech_lies(folder: Path) -> None:
    nets = load_nets(folder)
    draw = torch.Generator().manual_seed(0)
    tokens, frames = 20, 40
    codes = torch.randint(0, TINY.codes, (1, tokens), generator=draw)
    noise = torch.randn(1, 80, frames, generator=draw)
    with torch.inference_mode():
        speaker, cond = torch.ones(1, TINY.xvector.width), torch.zeros(1, 80, frames)
        mel = nets.flow(codes, torch.tensor([tokens]), speaker, cond, noise)
        pitch_hz = nets.vocoder.f0_predictor(mel)
        audio, _, _ = nets.vocoder(
            mel,
            torch.zeros(1, 0, HOP_SAMPLES),
            torch.zeros(1),
            torch.zeros(1, TINY.vocoder.harmonics + 1),
            torch.randn(1, frames, HOP_SAMPLES, generator=draw),
        )
    assert mel.mean() == pytest.approx(-5, abs=0.5)
    assert 60 < pitch_hz.mean() < 250
    assert 0.003 < audio.std() < 0.3
    assert audio.abs().max() < 0.9


def read_tokenizer(folder: Path) -> Tokenizer:
    tokenizer = Tokenizer(BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    return tokenizer


@pytest.mark.parametrize("text_codes", [276, 400, TURBO.t3.text_codes])
def test_the_tokenizers_ids_are_exactly_the_models(tmp_path: Path, text_codes: int) -> None:
    write_tokenizer(tmp_path, text_codes)
    vocabulary = json.loads((tmp_path / "vocab.json").read_text("utf-8"))
    added = json.loads((tmp_path / "added_tokens.json").read_text("utf-8"))
    assert sorted([*vocabulary.values(), *added.values()]) == list(range(text_codes))
    assert list(added) == list(TAGS)
    assert vocabulary[END_OF_TEXT] == min(added.values()) - 1


def test_full_size_tags_have_the_published_ids(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, TURBO.t3.text_codes)
    added = json.loads((tmp_path / "added_tokens.json").read_text("utf-8"))
    assert sorted(added.values()) == list(range(50_257, 50_276))


@pytest.mark.parametrize("text", ["Good morning, Robin.", "naïve — 東京 🎉", "\t\x00", ""])
def test_any_text_survives_the_tokenizer(tmp_path: Path, text: str) -> None:
    write_tokenizer(tmp_path, 500)
    tokenizer = read_tokenizer(tmp_path)
    encoded = tokenizer.encode(text)
    names = {chr(code): byte for byte, code in byte_characters().items()}
    assert bytes(names[each] for token in encoded.tokens for each in token).decode() == text


def byte_characters() -> dict[int, int]:
    """GPT-2's printable stand-in for each byte."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: byte for byte in printable} | {byte: 256 + i for i, byte in enumerate(others)}


def test_common_words_are_one_token(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, 600)
    assert "Ġyou" in read_tokenizer(tmp_path).encode("Thank you").tokens
