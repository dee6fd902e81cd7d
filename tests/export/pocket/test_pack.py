"""What is packed is what was trained, whole or not at all, and leaves alone what it did not write."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engines.backends.manifest import MANIFEST_FILE, check_files, read_manifest
from engines.voices.files import read_voice
from export.pocket import pack as packing
from export.pocket.pack import MAX_CHECKPOINT_BYTES, PackFailed, pack_trained, shipped_speakers
from export.verify import Verdict
from server.recording import spoken_dbov
from tests.fakes.tiny_packed import CREATED, MODEL, tiny_packed, tiny_trained
from tests.peers import require_program


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A package's folder that was packed into before: its code, and a file of an older export."""
    folder = tmp_path / "pocket"
    shutil.copytree(tiny_packed(), folder)
    (folder / "__init__.py").write_text("'''Code.'''")
    (folder / "t3_older.onnx").write_text("older")
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    manifest["files"]["t3_older.onnx"] = {"bytes": 5, "sha256": "0" * 64}
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs as they were packed before, and no verification: for what else packing does."""

    def copy_graphs(folder: Path, progress: object) -> object:
        for path in (*tiny_packed().glob("*.onnx"), tiny_packed() / "graphs.data"):
            shutil.copy(path, folder / path.name)
        shutil.copy(tiny_packed() / MANIFEST_FILE, folder / MANIFEST_FILE)
        return read_manifest(folder)

    monkeypatch.setattr(packing, "export_beside", copy_graphs)
    monkeypatch.setattr(packing, "verify_folder", lambda *_, **__: iter(()))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file; of safetensors' header, in which metadata come in any order, the letters alone."""
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {
        name: bytes(sorted(path.read_bytes()[:1_024])) + path.read_bytes()[1_024:]
        for name, path in files.items()
    }


def test_the_folder_is_whole_and_its_voices_are_enrolled_by_its_own_weights() -> None:
    manifest = read_manifest(tiny_packed())
    check_files(tiny_packed(), manifest, deep=True)
    default, other = (read_voice(tiny_packed() / name, MODEL) for name in manifest.voices)
    assert (default.name, default.description, default.nominal_dbov) == ("default", "One", -26.0)
    assert (other.name, other.nominal_dbov) == ("other", -27.5)
    assert len(default.conditioning.s3_prompt) == MODEL.s3_prompt_tokens
    assert len(default.conditioning.t3_prompt) == MODEL.t3.prompt_tokens
    assert not np.allclose(default.conditioning.speaker, other.conditioning.speaker)


def test_every_stage_s_curves_are_kept() -> None:
    lines = [json.loads(line) for line in (tiny_packed() / "training.jsonl").read_text().splitlines()]
    assert lines == [
        {"stage": "flow", "step": 1, "loss": 2.0},
        {"stage": "flow", "step": 2, "held_out_loss": 1.5},
        {"stage": "t3", "step": 1, "loss": 2.0},
        {"stage": "t3", "step": 2, "held_out_loss": 1.5},
    ]


@pytest.mark.usefixtures("quick")
def test_an_older_export_is_replaced_and_other_files_stay(out: Path) -> None:
    pack_trained(tiny_trained(), out)
    after = contents(out)
    assert len(after.pop("__init__.py")) == len("'''Code.'''")
    assert after == contents(tiny_packed())
    assert [path.name for path in out.parent.iterdir()] == [out.name]


@pytest.mark.usefixtures("quick")
def test_packing_the_same_twice_gives_the_same_files(tmp_path: Path) -> None:
    pack_trained(tiny_trained(), tmp_path / "again")
    assert contents(tmp_path / "again") == contents(tiny_packed())
    assert CREATED.encode() in (tmp_path / "again" / "voices" / "default.safetensors").read_bytes()


@pytest.mark.usefixtures("quick")
def test_a_checkpoint_that_is_too_large_is_refused_by_how_much(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = sum(path.stat().st_size for path in tiny_packed().glob("*.safetensors"))
    before = contents(out)
    monkeypatch.setattr(packing, "MAX_CHECKPOINT_BYTES", size - 7)
    with pytest.raises(PackFailed, match=f"takes {size} bytes, 7 too many"):
        pack_trained(tiny_trained(), out)
    assert contents(out) == before
    monkeypatch.setattr(packing, "MAX_CHECKPOINT_BYTES", size)
    pack_trained(tiny_trained(), out)


@pytest.mark.usefixtures("quick")
def test_a_graph_that_differs_from_its_weights_is_not_shipped(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def differing(*_: object, **__: object) -> Iterator[Verdict]:
        yield Verdict("s3_chunk", "float32", 1, "mel", 0.5, relative_rms=0.1, tolerance=2e-5)

    before = contents(out)
    monkeypatch.setattr(packing, "verify_folder", differing)
    with pytest.raises(PackFailed, match="s3_chunk speaks otherwise"):
        pack_trained(tiny_trained(), out)
    assert contents(out) == before


@pytest.mark.usefixtures("quick")
def test_no_stage_may_be_missing(tmp_path: Path) -> None:
    trained = tiny_trained()
    nets = dict(list(trained.nets.items())[1:])
    with pytest.raises(KeyError):
        pack_trained(replace(trained, nets=nets), tmp_path / "out")
    assert contents(tmp_path / "out") == {}


def test_the_limit_is_the_issue_s() -> None:
    assert MAX_CHECKPOINT_BYTES == 25_000_000


@pytest.mark.peer
def test_the_shipped_voices_recordings_will_do_and_are_as_loud_as_is_told() -> None:
    require_program("flite")
    speakers = shipped_speakers()
    assert set(speakers) == {"default", "awb"}
    for speaker in speakers.values():
        assert 5 <= len(speaker.recording) / 24_000 <= 10
        assert speaker.nominal_dbov == spoken_dbov(speaker.recording)
