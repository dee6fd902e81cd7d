"""Verification passes what was exported right, and tells the graph that was not."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from engines.backends.manifest import MANIFEST_FILE, T3_STEP_INT8, Manifest, read_manifest, record_file
from engines.backends.signature import S3_CHUNK, T3_STEP, VOICE_CODES, VOICE_SPEAKER
from engines.errors import ConfigError
from export.folder import FAMILIES
from export.half import HALVED
from export.verify import LEAST_AGREEMENT, Verdict, difference, verify_folder
from tests.fakes.tiny_export import tiny_export, tiny_weights
from tests.fakes.tiny_model import tiny_checkpoint


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def verdicts(folder: Path, model: Path | None = None) -> dict[str, Verdict]:
    return {each.graph: each for each in verify_folder(folder, model or tiny_weights(), threads=1)}


def test_every_graph_in_float32_agrees_with_torch() -> None:
    found = verdicts(tiny_export())
    assert set(found) == {*FAMILIES, T3_STEP_INT8}
    assert [each for each in found.values() if not each.is_ok] == []
    assert all(
        each.precision == ("int8" if name == T3_STEP_INT8 else "float32") for name, each in found.items()
    )
    assert found[T3_STEP].relative_rms < 1e-5
    assert found[VOICE_CODES].relative_rms < 0.01


def test_8_bits_tell_how_many_tokens_agree() -> None:
    found = verdicts(tiny_export())
    agreement = found[T3_STEP_INT8].agreement
    assert agreement is not None
    assert LEAST_AGREEMENT <= agreement <= 1
    assert 1e-3 < found[T3_STEP_INT8].relative_rms < 0.2  # 8 bits, and not float32 by mistake
    assert found[T3_STEP].agreement is None


def test_every_graph_in_float16_is_near_float32() -> None:
    found = verdicts(tiny_export(half=True))
    assert [each for each in found.values() if not each.is_ok] == []
    for name, each in found.items():
        assert each.precision == ("float16" if name in HALVED else "float32")
    assert found[T3_STEP].relative_rms > 1e-5  # float16, and not float32 by mistake


def copy(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to)
    return to


def describe_anew(folder: Path) -> None:
    """As if its files had been written so."""
    manifest = read_manifest(folder)
    values = {name: getattr(manifest, name) for name in Manifest.__dataclass_fields__}
    values["files"] = {name: record_file(folder / name) for name in manifest.files}
    (folder / MANIFEST_FILE).write_text(Manifest(**values).to_json())


def test_a_graph_of_other_weights_fails_and_the_others_do_not(tmp_path: Path) -> None:
    folder = copy(tiny_export(), tmp_path / "graphs")
    graph = onnx.load(folder / "voice_speaker.onnx")
    (bias,) = (each for each in graph.graph.initializer if each.name == "proj.bias")
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(0.01), bias.name))
    onnx.save(graph, folder / "voice_speaker.onnx")
    describe_anew(folder)
    assert {name for name, each in verdicts(folder).items() if not each.is_ok} == {VOICE_SPEAKER}


def test_weights_of_another_training_fail(tmp_path: Path) -> None:
    other = tiny_checkpoint(tmp_path / "other", seed=1)
    found = verdicts(tiny_export(), other)
    assert {name for name, each in found.items() if each.is_ok} == set()


def test_files_that_are_not_those_of_the_manifest_are_not_verified(tmp_path: Path) -> None:
    folder = copy(tiny_export(), tmp_path / "graphs")
    content = bytearray((folder / "s3.data").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "s3.data").write_bytes(content)
    with pytest.raises(ConfigError, match=r"s3\.data"):
        verdicts(folder)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    folder = copy(tiny_weights(), tmp_path / "weights")
    described = (folder / "talkspurt.json").read_text()
    (folder / "talkspurt.json").write_text(described.replace('"tiny"', '"other"'))
    with pytest.raises(ConfigError, match="is other; exported was tiny"):
        verdicts(tiny_export(), folder)


def test_difference_is_relative_and_infinite_where_there_is_no_number() -> None:
    wanted = np.array([3.0, 4.0], np.float32)
    assert difference("mel", wanted + np.float32(0.5), wanted) == pytest.approx((0.5 / 12.5**0.5, 0.5))
    assert difference("mel", wanted, wanted) == (0, 0)
    assert difference("mel", wanted * np.float32("nan"), wanted)[0] == float("inf")
    assert difference("mel", wanted[:1], wanted)[0] == float("inf")


def test_phases_differ_by_the_shorter_way_round() -> None:
    got, wanted = np.array([0.99], np.float32), np.array([0.01], np.float32)
    assert difference("phases", got, wanted) == pytest.approx((0.02, 0.02), abs=1e-6)


def test_codes_differ_by_their_share() -> None:
    wanted = np.arange(10)
    assert difference("codes", np.where(wanted == 4, 0, wanted), wanted) == (0.1, 1.0)


def test_a_verdict_fails_by_error_or_by_agreement() -> None:
    right = Verdict(S3_CHUNK, "float32", 1, "mel", 0.0, 1e-5, 1e-4)
    assert right.is_ok
    assert not Verdict(S3_CHUNK, "float32", 1, "mel", 0.0, 2e-4, 1e-4).is_ok
    assert not Verdict(T3_STEP_INT8, "int8", 1, "logits", 0.0, 1e-5, 1e-4, agreement=0.5).is_ok
    assert right.to_dict()["ok"] is True
