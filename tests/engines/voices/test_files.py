"""A voice's file: what is written is read, and whatever else is read is one error that names it."""

import dataclasses
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from engines.errors import ConfigError, InvalidRequest
from engines.model import TURBO, SpeechTokenizerConfig
from engines.voices import files
from engines.voices.files import (
    VoiceLabel,
    check_description,
    check_name,
    read_label,
    read_voice,
    write_voice,
)
from tests.fakes.voice import same, voice

CREATED = "2026-01-02T03:04:05+00:00"

Parts = tuple[dict[str, Any], dict[str, str]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A good file."""
    path = tmp_path / "amy.safetensors"
    write_voice(path, voice("amy"), CREATED)
    return path


def rewrite(path: Path, change: Callable[[dict[str, Any], dict[str, str]], None]) -> None:
    """The same file with something changed in its tensors or in what is said of them."""
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    tensors, said = safetensors.numpy.load(content), header["__metadata__"]
    change(tensors, said)
    path.write_bytes(safetensors.numpy.save(tensors, said))


def reason(path: Path, **model: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        read_voice(path, **model)
    assert caught.value.field == "voice"
    assert caught.value.value == path.name
    return str(caught.value)


# What is written is read


def test_a_voice_is_read_as_it_was_written(path: Path) -> None:
    written, read = voice("amy"), read_voice(path)
    assert dataclasses.replace(read, conditioning=None) == dataclasses.replace(written, conditioning=None)
    assert same(read.conditioning, written.conditioning)
    assert read.conditioning.s3_prompt_mel.dtype == np.float32
    assert read.conditioning.t3_prompt.dtype == np.int64


def test_its_label_is_told_without_its_tensors(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: 8 + int.from_bytes(content[:8], "little")])
    label = VoiceLabel("The voice amy", -27.5, CREATED, {"seconds": 12.5, "seed": 0})
    assert read_label(path) == label


def test_a_voice_is_named_by_its_file(path: Path) -> None:
    assert read_voice(path.rename(path.with_name("bob.safetensors"))).name == "bob"


def test_nothing_but_the_voice_is_left_in_the_folder(path: Path) -> None:
    write_voice(path, voice("amy", seed=1), CREATED, replace=True)
    assert os.listdir(path.parent) == ["amy.safetensors"]


def test_one_that_is_there_is_overwritten_only_when_told(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        write_voice(path, voice("amy", seed=1), CREATED)
    assert path.read_bytes() == before
    write_voice(path, voice("amy", seed=1), CREATED, replace=True)
    assert same(read_voice(path).conditioning, voice("amy", seed=1).conditioning)
    assert os.listdir(path.parent) == ["amy.safetensors"]


def test_a_file_system_without_links_overwrites_nothing_either(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(source: Path, target: Path) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(FileExistsError):
        write_voice(path, voice("amy", seed=1), CREATED)
    write_voice(path.with_name("bob.safetensors"), voice("bob"), CREATED)
    assert sorted(os.listdir(path.parent)) == ["amy.safetensors", "bob.safetensors"]


@pytest.mark.parametrize("step", ["fsync", "link"])
def test_a_write_that_fails_leaves_the_folder_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        write_voice(tmp_path / "amy.safetensors", voice("amy"), CREATED)
    assert os.listdir(tmp_path) == []


def test_the_content_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, list[str]]] = []
    sync = os.fsync

    def fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        names = [each for each in os.listdir(tmp_path) if not each.startswith(".")]
        seen.append((status.st_size, names))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write_voice(tmp_path / "amy.safetensors", voice("amy"), CREATED)
    whole_bytes = (tmp_path / "amy.safetensors").stat().st_size
    assert seen[0] == (whole_bytes, []), "the file, before it can be found"
    assert seen[1][1] == ["amy.safetensors"], "and then the folder"


def test_a_conditioning_that_could_not_be_read_back_is_not_written(tmp_path: Path) -> None:
    wrong = dataclasses.replace(
        voice("amy"),
        conditioning=dataclasses.replace(voice("amy").conditioning, embedding=np.full(192, np.nan)),
    )
    with pytest.raises(ConfigError, match="embedding"):
        write_voice(tmp_path / "amy.safetensors", wrong, CREATED)
    assert os.listdir(tmp_path) == []


# Whatever is wrong is named


def drop(name: str) -> Callable[[dict[str, Any], dict[str, str]], None]:
    def change(tensors: dict[str, Any], said: dict[str, str]) -> None:
        del (tensors if name in tensors else said)[name]

    return change


def put(name: str, value: Any) -> Callable[[dict[str, Any], dict[str, str]], None]:
    def change(tensors: dict[str, Any], said: dict[str, str]) -> None:
        if isinstance(value, str):
            said[name] = value
        else:
            tensors[name] = value(tensors.get(name)) if callable(value) else value

    return change


def with_value(value: float, at: int = 3) -> Callable[[Any], Any]:
    def change(tensor: Any) -> Any:
        tensor = tensor.copy()
        tensor.flat[at] = value
        return tensor

    return change


WRONG: list[tuple[Callable[[dict[str, Any], dict[str, str]], None], str]] = [
    *((drop(name), f"{name} is missing") for name in files._TENSORS),
    *((put(name, lambda tensor: tensor.astype(np.int32)), f"{name} must be") for name in files._TENSORS),
    *((put(name, lambda tensor: tensor[None]), f"{name} must be") for name in files._TENSORS),
    *((put(name, lambda tensor: tensor[:0]), f"{name} is empty") for name in files._TENSORS),
    (put("speaker", with_value(np.inf)), "speaker holds values that are not finite"),
    (put("embedding", with_value(np.nan)), "embedding holds values that are not finite"),
    (put("s3_prompt_mel", with_value(-np.inf)), "s3_prompt_mel holds values that are not finite"),
    (put("t3_prompt", with_value(-1)), "t3_prompt holds codes outside 0 to 6560"),
    (put("t3_prompt", with_value(6_561)), "t3_prompt holds codes outside 0 to 6560"),
    (put("s3_prompt", with_value(6_561)), "s3_prompt holds codes outside 0 to 6560"),
    (put("s3_prompt", lambda tensor: tensor[:-1]), r"s3_prompt_mel must be of shape \(18, 80\)"),
    (put("s3_prompt_mel", lambda tensor: tensor[:, :-1].copy()), r"must be of shape \(20, 80\)"),
    (put("t3_prompt", np.zeros(376, np.int64)), "t3_prompt has 376 codes"),
    (put("s3_prompt", np.zeros(251, np.int64)), "s3_prompt has 251 codes"),
    (put("more", np.zeros(3, np.float32)), "'more' is no part of a voice"),
    (put("format", "2"), "format must be '1'"),
    *((drop(name), name) for name in ("format", "description", "nominal_dbov", "created", "origin")),
    (put("nominal_dbov", "loud"), "loud"),
    (put("nominal_dbov", "nan"), "nominal_dbov must be -100 to 0"),
    (put("nominal_dbov", "3"), "nominal_dbov must be -100 to 0"),
    (put("created", "yesterday"), "yesterday"),
    (put("description", "two\nlines"), "description"),
    (put("origin", "[]"), "origin must be an object"),
    (put("origin", "{"), "metadata is wrong"),
    (put("origin", '{"seconds": NaN}'), "metadata is wrong"),
    (put("origin", '{"seconds": "\\ud800"}'), "metadata is wrong"),
]


@pytest.mark.parametrize(("change", "wrong"), WRONG)
def test_each_fault_is_named(
    path: Path, change: Callable[[dict[str, Any], dict[str, str]], None], wrong: str
) -> None:
    rewrite(path, change)
    with pytest.raises(ConfigError, match=wrong):
        read_voice(path)
    assert "amy.safetensors" in reason(path)


def test_the_largest_prompts_are_taken(path: Path) -> None:
    def largest(tensors: dict[str, Any], said: dict[str, str]) -> None:
        tensors["t3_prompt"] = np.full(375, 6_560)
        tensors["s3_prompt"] = np.zeros(250, np.int64)
        tensors["s3_prompt_mel"] = np.zeros((500, 80), np.float32)

    rewrite(path, largest)
    assert len(read_voice(path, TURBO).conditioning.t3_prompt) == 375


def test_a_model_refuses_what_it_could_not_speak_with(path: Path) -> None:
    assert read_voice(path, TURBO).name == "amy"
    rewrite(path, put("speaker", np.zeros(255, np.float32)))
    assert read_voice(path).name == "amy", "some model may be of that width"
    assert "speaker must be of shape (256,)" in reason(path, model=TURBO)
    rewrite(path, put("speaker", np.zeros(256, np.float32)))
    rewrite(path, put("embedding", np.zeros(512, np.float32)))
    assert "embedding must be of shape (192,)" in reason(path, model=TURBO)
    rewrite(path, put("embedding", np.zeros(192, np.float32)))
    rewrite(path, put("t3_prompt", np.zeros(25, np.int64)))
    short = dataclasses.replace(TURBO, t3=dataclasses.replace(TURBO.t3, prompt_tokens=24))
    assert "at most 24" in reason(path, model=short)
    rewrite(path, put("t3_prompt", with_value(729)))
    t3, tokenizer = dataclasses.replace(TURBO.t3, speech_codes=731), SpeechTokenizerConfig(digits=6)
    fewer = dataclasses.replace(TURBO, t3=t3, codes=729, silence_code=0, speech_tokenizer=tokenizer)
    assert "0 to 728" in reason(path, model=fewer)


def test_a_file_that_is_too_large_is_not_read_whole(path: Path) -> None:
    with path.open("ab") as file:
        file.truncate(1 << 33)  # a hole: it takes no space
    assert "is larger than" in reason(path)


def test_a_header_that_claims_too_much_is_refused(path: Path) -> None:
    path.write_bytes((1 << 62).to_bytes(8, "little") + path.read_bytes()[8:])
    assert "header" in reason(path)
    nested = b"[" * 60_000
    path.write_bytes(len(nested).to_bytes(8, "little") + nested)
    assert "header" in reason(path)


def test_no_file_is_told_from_a_broken_one(tmp_path: Path) -> None:
    for read in (read_voice, read_label):
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "amy.safetensors")
    (tmp_path / "amy.safetensors").mkdir()
    assert "cannot be read" in reason(tmp_path / "amy.safetensors")


def test_a_file_cut_short_anywhere_or_with_bytes_changed_is_a_voice_or_one_error(path: Path) -> None:
    content, chance = path.read_bytes(), random.Random(1)
    header_bytes = int.from_bytes(content[:8], "little")
    for length in [*range(0, header_bytes, 17), *range(header_bytes, len(content), 911)]:
        path.write_bytes(content[:length])
        assert reason(path)
    messages: list[str] = []
    for _ in range(400):
        changed = bytearray(content)
        for _ in range(chance.choice((1, 3))):
            changed[chance.randrange(8 + header_bytes)] = chance.randrange(256)
        path.write_bytes(changed)
        for read in (read_voice, read_label):
            try:
                read(path)
            except ConfigError as error:
                messages.append(str(error))
    assert len(messages) > 400
    assert all(message.isprintable() for message in messages)


# Names


@pytest.mark.parametrize("name", ["a", "default", "amy-2_b", "_x", "7", "a" * 64, "com", "lpt10", "console"])
def test_a_name_of_any_file_system_is_taken(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a" * 65,
        "Amy",
        "-a",
        "a b",
        "a.b",
        "..",
        "a/b",
        "a\\b",
        "ä",
        "a\n",
        "a\0",
        "con",
        "nul",
        "com1",
        "lpt9",
    ],
)
def test_any_other_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_name(name)
    assert caught.value.field == "name"


@pytest.mark.parametrize("description", ["a\nb", "a" * 201, "\x1b[31m", "\ud800"])
def test_a_description_is_one_line(description: str) -> None:
    assert check_description("Amy – warm, 40, Leeds") == "Amy – warm, 40, Leeds"
    with pytest.raises(InvalidRequest):
        check_description(description)
