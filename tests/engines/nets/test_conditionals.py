"""A conditionals file gives a voice of the right shapes, or says which part is wrong."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engines.errors import ConfigError
from engines.nets.conditionals import load_conditionals
from export.random_weights import random_conditionals
from export.tiny import TINY

TOKENS = TINY.t3.prompt_tokens


def written(folder: Path, **changes: Any) -> Path:
    """A file of `random_conditionals` with parts replaced: t3__NAME or gen__NAME."""
    parts: dict[str, dict[str, Any]] = {
        half: dict(tensors) for half, tensors in random_conditionals(TINY, 3).items()
    }
    for place, value in changes.items():
        half, _, name = place.partition("__")
        parts[half][name] = value
    path = folder / "voice.pth"
    torch.save(parts, path)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_conditionals(path, TINY)
    assert caught.value.field == "voice"
    assert path.name in str(caught.value)
    return str(caught.value)


def test_the_parts_lose_their_row_axis_and_keep_their_values(tmp_path: Path) -> None:
    voice = load_conditionals(written(tmp_path), TINY)
    parts = random_conditionals(TINY, 3)
    told = {
        "speaker": ("t3", "speaker_emb"),
        "t3_prompt": ("t3", "cond_prompt_speech_tokens"),
        "s3_prompt": ("gen", "prompt_token"),
        "s3_prompt_mel": ("gen", "prompt_feat"),
        "embedding": ("gen", "embedding"),
    }
    for name, (half, key) in told.items():
        tensor = parts[half][key]
        assert tensor is not None
        np.testing.assert_array_equal(getattr(voice, name), tensor[0].numpy())
    assert voice.speaker.dtype == voice.s3_prompt_mel.dtype == voice.embedding.dtype == np.float32
    assert voice.t3_prompt.dtype == voice.s3_prompt.dtype == np.int64
    assert voice.origin == {"conditionals": "voice.pth"}


@pytest.mark.parametrize(
    ("mel_frames", "tokens"), [(2 * TOKENS + 1, TOKENS), (2 * TOKENS - 1, TOKENS - 1), (2, 1), (3, 1)]
)
def test_prompt_and_mel_are_cut_to_each_other(tmp_path: Path, mel_frames: int, tokens: int) -> None:
    voice = load_conditionals(written(tmp_path, gen__prompt_feat=torch.zeros(1, mel_frames, 80)), TINY)
    assert (len(voice.s3_prompt), len(voice.s3_prompt_mel)) == (tokens, 2 * tokens)


def test_only_the_prompts_stated_length_is_heard(tmp_path: Path) -> None:
    voice = load_conditionals(written(tmp_path, gen__prompt_token_len=torch.tensor([5])), TINY)
    assert (len(voice.s3_prompt), len(voice.s3_prompt_mel)) == (5, 10)


def test_half_and_int32_are_widened(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        t3__speaker_emb=torch.ones(1, 256, dtype=torch.float16),
        gen__prompt_token=torch.arange(TOKENS, dtype=torch.int32)[None],
    )
    voice = load_conditionals(path, TINY)
    assert voice.speaker.dtype == np.float32
    assert voice.s3_prompt.tolist() == list(range(TOKENS))


@pytest.mark.parametrize(
    ("place", "value", "part"),
    [
        ("t3__speaker_emb", None, "t3.speaker_emb"),
        ("t3__speaker_emb", torch.zeros(1, 255), "t3.speaker_emb"),
        ("t3__speaker_emb", torch.zeros(2, 256), "t3.speaker_emb"),
        ("t3__speaker_emb", torch.zeros(1, 256, dtype=torch.int64), "t3.speaker_emb"),
        ("t3__speaker_emb", torch.full((1, 256), float("nan")), "t3.speaker_emb"),
        ("t3__cond_prompt_speech_tokens", torch.zeros(1, TOKENS), "t3.cond_prompt_speech_tokens"),
        ("t3__cond_prompt_speech_tokens", torch.full((1, 3), 6_561), "t3.cond_prompt_speech_tokens"),
        ("t3__cond_prompt_speech_tokens", torch.full((1, 3), -1), "t3.cond_prompt_speech_tokens"),
        (
            "t3__cond_prompt_speech_tokens",
            torch.zeros(1, TOKENS + 1, dtype=torch.int64),
            "t3.cond_prompt_speech_tokens",
        ),
        ("gen__prompt_token", torch.zeros(1, 0, dtype=torch.int64), "gen.prompt_token"),
        ("gen__prompt_token", torch.zeros(1, 251, dtype=torch.int64), "gen.prompt_token"),
        ("gen__prompt_token_len", torch.tensor([TOKENS + 1]), "gen.prompt_token_len"),
        ("gen__prompt_token_len", torch.tensor([0]), "gen.prompt_token_len"),
        ("gen__prompt_feat", torch.zeros(1, 20, 81), "gen.prompt_feat"),
        ("gen__prompt_feat", torch.zeros(20, 80), "gen.prompt_feat"),
        ("gen__prompt_feat", torch.zeros(1, 1, 80), "gen.prompt_token"),
        ("gen__embedding", torch.zeros(1, 80), "gen.embedding"),
        ("gen__embedding", torch.tensor(1.0), "gen.embedding"),
    ],
)
def test_a_wrong_part_is_named(tmp_path: Path, place: str, value: Any, part: str) -> None:
    assert part in refusal(written(tmp_path, **{place: value}))


class Trap:
    """Runs a call when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("is_bare_pickle", [False, True])
def test_nothing_in_a_file_is_executed(tmp_path: Path, is_bare_pickle: bool) -> None:
    path = tmp_path / "voice.pth"
    parts = {"t3": Trap(tmp_path / "sprung"), "gen": {}}
    if is_bare_pickle:
        path.write_bytes(pickle.dumps(parts, protocol=2))
    else:
        torch.save(parts, path)
    refusal(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02", b"not a pickle at all"])
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "voice.pth"
    path.write_bytes(content)
    assert "cannot be read as conditionals" in refusal(path)


@pytest.mark.parametrize("parts", [[], {}, {"t3": {}}, {"t3": {}, "gen": torch.zeros(1)}])
def test_a_file_without_both_halves_is_refused(tmp_path: Path, parts: Any) -> None:
    path = tmp_path / "voice.pth"
    torch.save(parts, path)
    refusal(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    refusal(tmp_path / "nobody.pth")
