"""A folder is looked at whole: each file is a finding, and a wrong one hides no other."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from engines.model import MODEL_FILE, S3GEN_FILE, TOKENIZER_FILES
from engines.nets.conditionals import load_conditionals
from engines.voices.library import VoiceLibrary
from export.check import Finding, examine
from export.fetch import LOCK_FILE, Lock, LockedFile, write_lock
from tests.fakes.tiny_model import TINY, tiny_checkpoint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_checkpoint(tmp_path)


def wrong(folder: Path) -> dict[str, str]:
    return {finding.name: finding.detail for finding in examine(folder) if not finding.ok}


def test_a_right_folder_is_right_in_every_part(folder: Path) -> None:
    findings = {finding.name: finding for finding in examine(folder)}
    assert all(finding.ok for finding in findings.values())
    assert findings.keys() == {
        "model",
        TINY.t3_file,
        S3GEN_FILE,
        "ve.safetensors",
        "conds.pt",
        *TOKENIZER_FILES,
    }
    assert "tfmr.wte.weight" in findings[TINY.t3_file].detail
    assert "33 keys used" in findings[TINY.t3_file].detail


def test_every_wrong_file_is_told(folder: Path) -> None:
    (folder / "ve.safetensors").unlink()
    (folder / "merges.txt").unlink()
    (folder / "conds.pt").write_bytes(b"?")
    assert wrong(folder).keys() == {"ve.safetensors", "merges.txt", "conds.pt"}


def test_weights_that_are_not_finite_are_named(folder: Path) -> None:
    state = load_file(folder / S3GEN_FILE)
    state["mel2wav.conv_post.bias"][3] = torch.nan
    (folder / S3GEN_FILE).unlink()
    save_file(state, folder / S3GEN_FILE)
    assert wrong(folder) == {S3GEN_FILE: "S3Vocoder's conv_post.bias is not finite"}


def test_a_folder_without_a_voice_can_still_be_spoken_with(folder: Path) -> None:
    (folder / "conds.pt").unlink()
    assert wrong(folder) == {}


def test_voices_that_lie_beside_the_weights_are_looked_at(folder: Path) -> None:
    voice = load_conditionals(folder / "conds.pt", TINY)
    VoiceLibrary(folder / "voices", {}).add("robin", voice, "Shipped")
    assert Finding("voices/robin.safetensors", True, "a voice of 24 and 24 codes") in list(examine(folder))
    (folder / "voices" / "robin.safetensors").write_bytes(b"?")
    assert list(wrong(folder)) == ["voices/robin.safetensors"]


def test_a_folder_of_no_model_says_so(folder: Path) -> None:
    (folder / MODEL_FILE).unlink()
    assert list(wrong(folder)) == ["model"]


def test_a_file_changed_since_it_was_fetched_is_told(folder: Path) -> None:
    write_lock(folder, Lock("some/model", "f" * 40, {"vocab.json": LockedFile(3, "0" * 64)}))
    assert wrong(folder) == {LOCK_FILE: "vocab.json is not the file that was fetched"}


def test_a_lock_that_holds_is_told(folder: Path) -> None:
    write_lock(folder, Lock("some/model", "f" * 40, {}))
    told = f"some/model at {'f' * 40}, as fetched"
    assert list(examine(folder))[-1] == Finding(LOCK_FILE, True, told)
