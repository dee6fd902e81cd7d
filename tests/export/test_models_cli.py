"""`talkspurt models` from the command line."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from engines.model import S3GEN_FILE, TURBO, find_model
from export import models_cli
from export.fetch import Commit, FetchFailed, RemoteFile, needed_files
from export.models_cli import models
from server.cli.main import talkspurt
from tests.fakes.tiny_model import TINY, tiny_checkpoint


def run(*arguments: str) -> Result:
    return CliRunner().invoke(models, arguments)


def test_the_commands_are_part_of_talkspurt() -> None:
    shown = CliRunner().invoke(talkspurt, ["models", "--help"])
    assert shown.exit_code == 0, shown.output
    assert all(name in shown.output for name in ("fetch", "check", "random"))


def test_random_writes_a_model_that_check_finds_right(tmp_path: Path) -> None:
    written = run("random", "tiny", "--out", str(tmp_path / "noise"))
    assert written.exit_code == 0, written.output
    assert "noise" in written.output
    assert find_model(tmp_path / "noise") == TINY
    checked = run("check", str(tmp_path / "noise"))
    assert checked.exit_code == 0, checked.output
    assert "WRONG" not in checked.output
    assert f"ok    {S3GEN_FILE}: " in checked.output


def test_check_fails_and_says_where(tmp_path: Path) -> None:
    tiny_checkpoint(tmp_path)
    (tmp_path / "vocab.json").unlink()
    checked = run("check", str(tmp_path))
    assert checked.exit_code == 1
    assert "WRONG vocab.json: missing" in checked.output


def test_random_never_writes_over_anything(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    refused = run("random", "tiny", "--out", str(tmp_path))
    assert refused.exit_code == 1
    assert "is not empty" in refused.output
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_seed_the_type_and_the_stop_are_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(
        "export.random_weights.write_random", lambda *given, **named: asked.extend((*given, named))
    )
    out = tmp_path / "out"
    run("random", "turbo", "--out", str(out), "--seed", "7", "--dtype", "float16", "--never-stops")
    assert asked == [out, TURBO, 7, {"dtype": "float16", "never_stops": True, "progress": True}]


class HubOfOneCommit:
    """States sizes and digests that nothing will fit."""

    def commit(self, repository: str, revision: str) -> Commit:
        stated = {name: RemoteFile(1, None, "0" * 40) for name in needed_files(TURBO)}
        return Commit(repository, revision, stated)

    def download(self, commit: Commit, name: str, folder: Path) -> Path:
        raise FetchFailed(f"{name} of {commit.revision} for {folder.parent.as_posix()}")


def test_fetch_goes_to_a_folder_of_the_models_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(models_cli, "HuggingFaceHub", HubOfOneCommit)
    refused = run("fetch", "turbo", "--revision", "v2")
    assert refused.exit_code == 1
    assert f"Error: {TURBO.t3_file} of v2 for models/turbo" in refused.output


def test_without_the_hubs_client_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    refused = run("fetch", "nano")
    assert refused.exit_code == 1
    assert "install talkspurt[export]" in refused.output


@pytest.mark.parametrize("arguments", [("fetch", "large"), ("random", "huge"), ("check", "/nowhere")])
def test_what_does_not_exist_is_a_usage_error(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2
