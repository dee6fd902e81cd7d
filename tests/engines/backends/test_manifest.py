"""A manifest is read whole or refused by the name of what is wrong, and files are held against it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engines.backends.manifest import (
    MANIFEST_FILE,
    SMALL_FILE_BYTES,
    GraphRecord,
    Manifest,
    check_files,
    read_manifest,
    record_file,
)
from engines.backends.signature import T3_STEP, t3_step
from engines.errors import ConfigError
from engines.model import PUBLISHED, ModelConfig
from export.tiny import TINY

GRAPH, WEIGHTS, TOKENIZER, VOICE = "t3_step.onnx", "t3.data", "vocab.json", "voices/default.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An export of one graph, its files made up."""
    (tmp_path / "voices").mkdir()
    for name in (GRAPH, TOKENIZER, VOICE):
        (tmp_path / name).write_text(f"content of {name}")
    (tmp_path / WEIGHTS).write_bytes(b"w" * (SMALL_FILE_BYTES + 1))
    (tmp_path / MANIFEST_FILE).write_text(described(tmp_path).to_json())
    return tmp_path


def described(folder: Path, model: ModelConfig = TINY) -> Manifest:
    return Manifest(
        model=model,
        precision="float32",
        opset=20,
        tools={"torch": "2.0"},
        sources={"t3_tiny.safetensors": "0" * 64},
        graphs={T3_STEP: GraphRecord(GRAPH, (WEIGHTS,), t3_step(model))},
        tokenizer=(TOKENIZER,),
        voices=(VOICE,),
        files={name: record_file(folder / name) for name in (GRAPH, WEIGHTS, TOKENIZER, VOICE)},
    )


def test_what_was_written_is_read(folder: Path) -> None:
    assert read_manifest(folder) == described(folder)


def test_a_folder_without_a_manifest_is_told_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no manifest.json.*talkspurt export onnx"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[" * 100_000, "\x00"])
def test_what_is_not_json_is_refused(folder: Path, content: str) -> None:
    (folder / MANIFEST_FILE).write_text(content)
    with pytest.raises(ConfigError, match=MANIFEST_FILE):
        read_manifest(folder)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda m: m.update(format=2), "format is 2"),
        (lambda m: m.pop("format"), "format is None"),
        (lambda m: m.pop("graphs"), "lacks graphs"),
        (lambda m: m.update(speed="high"), "has speed, which is not known"),
        (lambda m: m.update(precision="float8"), "precision is 'float8'; known are float32, float16"),
        (lambda m: m.update(opset="20"), "opset must be a whole number"),
        (lambda m: m.update(tools=["torch"]), "tools must be an object"),
        (lambda m: m.update(tools={"torch": 2}), "tools must hold texts"),
        (lambda m: m.update(graphs={}), "graphs names none"),
        (lambda m: m.update(voices="default"), "voices must be a list"),
        (lambda m: m.update(voices=["voices/other.safetensors"]), "which files does not list"),
        (lambda m: m.update(voices=[["nested"]]), "which files does not list"),
        (lambda m: m["model"].update(t3_file=3), "t3_file"),
        (lambda m: m["model"]["t3"].update(depth=2), "depth"),
        (lambda m: m["files"][GRAPH].update(bytes=-1), f"files: {GRAPH}: bytes must be a whole"),
        (lambda m: m["files"][GRAPH].update(bytes=True), f"files: {GRAPH}: bytes must be a whole"),
        (lambda m: m["files"][GRAPH].update(sha256="abc"), "64 hexadecimal digits"),
        (lambda m: m["files"].update({"../x": m["files"][GRAPH]}), "../x must lie in the folder"),
        (lambda m: m["files"].update({"/etc/x": m["files"][GRAPH]}), "/etc/x must lie in the folder"),
        (lambda m: m["graphs"][T3_STEP].pop("file"), f"graphs: {T3_STEP} lacks file"),
        (lambda m: m["graphs"][T3_STEP].update(file="other.onnx"), "which files does not list"),
        (lambda m: m["graphs"][T3_STEP].update(weights=[1]), "which files does not list"),
        (lambda m: m["graphs"][T3_STEP]["spec"].pop("inputs"), "spec lacks inputs"),
        (lambda m: m["graphs"][T3_STEP]["spec"]["inputs"][0].update(dtype="int8"), "dtype is 'int8'"),
        (lambda m: m["graphs"][T3_STEP]["spec"]["inputs"][0].update(axes="BS"), "axes must be a list"),
        (lambda m: m["graphs"][T3_STEP]["spec"]["inputs"][0].update(axes=[1.5]), "axes must be numbers"),
        (lambda m: m["graphs"][T3_STEP]["spec"]["outputs"].append("logits"), "outputs must be an object"),
    ],
)
def test_what_does_not_fit_is_named(folder: Path, change: Callable[[Any], Any], told: str) -> None:
    values = json.loads((folder / MANIFEST_FILE).read_text())
    change(values)
    (folder / MANIFEST_FILE).write_text(json.dumps(values))
    with pytest.raises(ConfigError) as raised:
        read_manifest(folder)
    assert told in str(raised.value)
    assert raised.value.field == "model"


def test_files_as_they_were_written_pass(folder: Path) -> None:
    check_files(folder, read_manifest(folder), deep=True)


@pytest.mark.parametrize("name", [GRAPH, WEIGHTS, TOKENIZER, VOICE])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ConfigError, match=rf"{name}' is missing"):
        check_files(folder, read_manifest(folder))


@pytest.mark.parametrize("name", [GRAPH, WEIGHTS, TOKENIZER, VOICE])
def test_a_file_that_was_cut_short_is_named(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-1])
    with pytest.raises(
        ConfigError, match=rf"{name}' has {len(content) - 1} bytes and must have {len(content)}"
    ):
        check_files(folder, read_manifest(folder))


def spoil(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])


@pytest.mark.parametrize("name", [GRAPH, TOKENIZER, VOICE])
def test_a_small_file_of_other_content_is_found_at_every_start(folder: Path, name: str) -> None:
    spoil(folder / name)
    with pytest.raises(ConfigError, match=rf"{name}' is not the file"):
        check_files(folder, read_manifest(folder))


def test_large_files_are_hashed_only_in_depth(folder: Path) -> None:
    spoil(folder / WEIGHTS)
    check_files(folder, read_manifest(folder))
    with pytest.raises(ConfigError, match=rf"{WEIGHTS}' is not the file"):
        check_files(folder, read_manifest(folder), deep=True)


def test_the_digest_tells_weights_apart_and_nothing_else(folder: Path) -> None:
    before = described(folder).digest
    spoil(folder / TOKENIZER)
    assert described(folder).digest == before
    spoil(folder / WEIGHTS)
    assert described(folder).digest != before


@pytest.mark.parametrize("model", PUBLISHED.values(), ids=PUBLISHED)
def test_a_published_model_survives_the_way_through_json(folder: Path, model: ModelConfig) -> None:
    manifest = described(folder, model)
    (folder / MANIFEST_FILE).write_text(manifest.to_json())
    assert read_manifest(folder) == manifest
