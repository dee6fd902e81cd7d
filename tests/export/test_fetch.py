"""Models are fetched at one commit, every file checked; a file that is not the right one is not kept."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.model import TURBO
from export import fetch as fetching
from export.fetch import LOCK_FILE, FetchFailed, HuggingFaceHub, check_lock, fetch, needed_files, read_lock
from tests.fakes.hub import COMMIT, FakeHub, running_hub

REPOSITORY = "ResembleAI/chatterbox-turbo"
OTHER_COMMIT = "f" * 40
T3 = "t3_turbo_v1.safetensors"


def contents() -> dict[str, bytes]:
    """Weights are large, tokenizer files small; and a file that is not needed."""
    files = {
        name: name.encode() * (100 if name.endswith((".safetensors", ".pt")) else 1)
        for name in needed_files(TURBO)
    }
    return {**files, "README.md": b"not needed"}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    for name in ("HF_HUB_DISABLE_PROGRESS_BARS", "HF_HUB_DISABLE_XET"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setattr(fetching, "KNOWN_BYTES", {})
    with running_hub(FakeHub(REPOSITORY, contents())) as hub:
        yield hub


def fetch_from(hub: FakeHub, folder: Path, revision: str | None = None) -> list[str]:
    """What it told."""
    told: list[str] = []
    fetch(TURBO, folder, HuggingFaceHub(hub.endpoint), revision, told.append)
    return told


def test_exactly_the_needed_files_arrive(hub: FakeHub, tmp_path: Path) -> None:
    fetch_from(hub, tmp_path / "models" / "turbo")
    there = {path.name: path.read_bytes() for path in (tmp_path / "models" / "turbo").iterdir()}
    assert there.keys() == {*needed_files(TURBO), LOCK_FILE}
    assert {name: there[name] for name in needed_files(TURBO)} == {
        name: hub.files[name] for name in needed_files(TURBO)
    }


def test_the_lock_records_commit_sizes_and_digests(hub: FakeHub, tmp_path: Path) -> None:
    fetch_from(hub, tmp_path)
    lock = read_lock(tmp_path)
    assert lock is not None
    assert (lock.repository, lock.revision) == (REPOSITORY, COMMIT)
    assert lock.files.keys() == set(needed_files(TURBO))
    assert lock.files[T3].size_bytes == len(hub.files[T3])
    assert check_lock(tmp_path, lock) == []


def test_files_are_downloaded_at_the_commit_whatever_the_branch_does_meanwhile(
    hub: FakeHub, tmp_path: Path
) -> None:
    fetch_from(hub, tmp_path, "main")
    assert hub.downloaded_from == {COMMIT}


def test_fetching_again_checks_and_downloads_nothing(hub: FakeHub, tmp_path: Path) -> None:
    fetch_from(hub, tmp_path)
    hub.downloads.clear()
    told = fetch_from(hub, tmp_path)
    assert hub.downloads == []
    assert told == [f"checking {name}" for name in needed_files(TURBO)]


def test_a_branch_is_resolved_once_and_then_kept(hub: FakeHub, tmp_path: Path) -> None:
    fetch_from(hub, tmp_path)
    hub.revisions["main"] = OTHER_COMMIT
    hub.revisions[COMMIT] = COMMIT
    fetch_from(hub, tmp_path)
    kept = read_lock(tmp_path)
    fetch_from(hub, tmp_path, "main")
    moved = read_lock(tmp_path)
    assert kept is not None
    assert moved is not None
    assert (kept.revision, moved.revision) == (COMMIT, OTHER_COMMIT)


@pytest.mark.parametrize("name", [T3, "vocab.json"])
@pytest.mark.parametrize("content", [b"", b"short", None])
def test_a_damaged_file_is_fetched_again(
    hub: FakeHub, tmp_path: Path, name: str, content: bytes | None
) -> None:
    fetch_from(hub, tmp_path)
    hub.downloads.clear()
    right = hub.files[name]
    (tmp_path / name).write_bytes(right[:-1] + b"?" if content is None else content)
    told = fetch_from(hub, tmp_path)
    assert hub.downloads == [name]
    assert (tmp_path / name).read_bytes() == right
    assert any("fetching it again" in line for line in told)


@pytest.mark.parametrize("name", [T3, "merges.txt"])
def test_a_file_that_is_not_what_is_stated_is_not_kept(hub: FakeHub, tmp_path: Path, name: str) -> None:
    hub.sent[name] = hub.files[name][:-1] + b"?"
    with pytest.raises(FetchFailed, match=f"{name} from {REPOSITORY} .* it was not kept"):
        fetch_from(hub, tmp_path)
    assert not (tmp_path / name).exists()
    assert not (tmp_path / LOCK_FILE).exists()


def test_the_hub_cannot_change_a_locked_file_of_the_same_commit(hub: FakeHub, tmp_path: Path) -> None:
    fetch_from(hub, tmp_path)
    hub.files["ve.safetensors"] = bytes(len(hub.files["ve.safetensors"]))
    with pytest.raises(FetchFailed, match=f"ve.safetensors .* {LOCK_FILE} says"):
        fetch_from(hub, tmp_path)


def test_a_known_size_is_held_against_the_hub(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "KNOWN_BYTES", {T3: 1_915_480_052})
    with pytest.raises(FetchFailed, match=f"{T3} .* must have 1915480052"):
        fetch_from(hub, tmp_path)


def test_a_file_that_the_repository_lacks_is_named_before_any_download(hub: FakeHub, tmp_path: Path) -> None:
    del hub.files["conds.pt"]
    with pytest.raises(FetchFailed, match=f"{COMMIT} has no conds.pt"):
        fetch_from(hub, tmp_path)
    assert hub.downloads == []


def test_a_revision_that_is_not_there_is_said(hub: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(FetchFailed, match=f"{REPOSITORY} could not be fetched"):
        fetch_from(hub, tmp_path, "nowhere")


def test_one_folder_holds_one_repository(hub: FakeHub, tmp_path: Path) -> None:
    lock = {"repository": "ResembleAI/chatterbox-nano", "revision": COMMIT, "files": {}}
    (tmp_path / LOCK_FILE).write_text(json.dumps(lock))
    with pytest.raises(FetchFailed, match="into another folder"):
        fetch_from(hub, tmp_path)


def test_an_interrupted_fetch_goes_on_where_it_was(hub: FakeHub, tmp_path: Path) -> None:
    hub.sent["vocab.json"] = b"cut"
    with pytest.raises(FetchFailed):
        fetch_from(hub, tmp_path)
    hub.sent.clear()
    hub.downloads.clear()
    fetch_from(hub, tmp_path)
    assert hub.downloads == ["vocab.json", "merges.txt", "added_tokens.json"]


def test_without_internet_the_message_says_what_to_copy(tmp_path: Path) -> None:
    with pytest.raises(FetchFailed) as caught:
        fetch(TURBO, tmp_path, HuggingFaceHub("http://127.0.0.1:9"))
    said = str(caught.value)
    assert "pass it as --model" in said
    assert all(name in said for name in (*needed_files(TURBO), REPOSITORY, "these 7 files"))


def test_a_missing_client_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(FetchFailed, match=r"talkspurt\[export\]"):
        HuggingFaceHub()


def test_a_lock_tells_what_has_changed_since(hub: FakeHub, tmp_path: Path) -> None:
    fetch_from(hub, tmp_path)
    lock = read_lock(tmp_path)
    assert lock is not None
    (tmp_path / "conds.pt").unlink()
    (tmp_path / "vocab.json").write_bytes(b"?")
    assert check_lock(tmp_path, lock) == [
        "conds.pt is missing",
        "vocab.json is not the file that was fetched",
    ]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"repository": 1, "revision": 2, "files": {"a": {"b": 1}}}']
)
def test_a_lock_that_cannot_be_read_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / LOCK_FILE).write_text(text)
    with pytest.raises(FetchFailed, match="delete it and fetch again"):
        read_lock(tmp_path)


def test_a_folder_without_a_lock_has_none(tmp_path: Path) -> None:
    assert read_lock(tmp_path) is None
