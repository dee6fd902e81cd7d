"""The library sees its folder as it is now, whatever other processes and threads do to it."""

import gc
import os
import threading
import time
import weakref
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from engines.backends.base import Voice
from engines.errors import ConfigError, InvalidRequest
from engines.model import TURBO
from engines.voices import library as library_module
from engines.voices.files import read_voice, write_voice
from engines.voices.library import VoiceLibrary
from tests.fakes.voice import conditioning, same, voice

CREATED = "2026-01-02T03:04:05+00:00"
BUILT_IN = {"default": Voice("default", "Comes with the model", -27.0, "opaque")}


@pytest.fixture
def library(tmp_path: Path) -> VoiceLibrary:
    return VoiceLibrary(tmp_path / "voices", BUILT_IN, TURBO, most_loaded=3)


@pytest.fixture
def folder(library: VoiceLibrary) -> Path:
    """Its folder, as other processes see it."""
    assert library.folder is not None
    library.folder.mkdir()
    return library.folder


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the voices read from files, in order."""
    read: list[str] = []

    def counted(path: Path, *arguments: Any) -> Voice:
        read.append(path.stem)
        return read_voice(path, *arguments)

    monkeypatch.setattr(library_module, "read_voice", counted)
    return read


def put(folder: Path, name: str, seed: int = 0) -> Path:
    """As another process would."""
    path = folder / f"{name}.safetensors"
    write_voice(path, voice(name, seed), CREATED, replace=True)
    return path


def broken(folder: Path, name: str) -> Path:
    path = folder / f"{name}.safetensors"
    path.write_bytes(b"no voice at all")
    return path


def add(library: VoiceLibrary, name: str, seed: int = 0, **told: Any) -> None:
    library.add(name, conditioning(seed, 20, 10), f"The voice {name}", -27.5, **told)


# Looking


def test_without_a_folder_there_are_the_built_in_voices() -> None:
    library = VoiceLibrary(None, BUILT_IN)
    assert dict(library) == BUILT_IN
    assert library["default"] is BUILT_IN["default"]
    assert library.get("amy") is None
    assert library.labels()["default"].created is None


def test_a_folder_that_is_not_there_yet_is_an_empty_one(library: VoiceLibrary) -> None:
    assert list(library) == ["default"]
    assert "amy" not in library


def test_voices_that_come_and_go_are_seen_at_once(library: VoiceLibrary, folder: Path) -> None:
    path = put(folder, "amy")
    assert list(library) == ["default", "amy"]
    assert len(library) == 2
    assert same(library["amy"].conditioning, voice("amy").conditioning)
    path.unlink()
    assert list(library) == ["default"]
    assert "amy" not in library
    with pytest.raises(KeyError):
        library["amy"]


def test_built_in_voices_come_first_and_others_by_name(library: VoiceLibrary, folder: Path) -> None:
    for name in ("zoe", "amy", "default"):
        put(folder, name)
    assert list(library) == ["default", "amy", "zoe"]


def test_a_voice_is_read_when_it_is_asked_for_and_once(
    library: VoiceLibrary, folder: Path, reads: list[str]
) -> None:
    put(folder, "amy")
    put(folder, "bob")
    assert library.labels().keys() == {"default", "amy", "bob"}
    assert reads == []
    assert library["amy"] is library["amy"]
    assert reads == ["amy"]


def test_a_file_that_has_changed_is_read_again(library: VoiceLibrary, folder: Path) -> None:
    put(folder, "amy", seed=1)
    before = library["amy"]
    assert library.labels()["amy"].origin["seed"] == 1
    put(folder, "amy", seed=2)
    assert library["amy"] is not before
    assert library["amy"].conditioning.origin["seed"] == 2
    assert library.labels()["amy"].origin["seed"] == 2
    assert before.conditioning.origin["seed"] == 1, "who holds the old one keeps it"


def test_a_file_written_over_in_place_is_read_again(library: VoiceLibrary, folder: Path) -> None:
    path = put(folder, "amy", seed=1)
    assert library["amy"].conditioning.origin["seed"] == 1
    before = path.stat()
    other = put(folder, "bob", seed=2).read_bytes()
    assert len(other) == before.st_size
    path.write_bytes(other)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert path.stat().st_ino == before.st_ino
    assert library["amy"].conditioning.origin["seed"] == 2


def test_voices_not_asked_for_longest_are_dropped(
    library: VoiceLibrary, folder: Path, reads: list[str]
) -> None:
    for name in "abcd":
        put(folder, name)
    dropped = weakref.ref(library["a"].conditioning.speaker), weakref.ref(library["b"].conditioning.speaker)
    for name in "cad":  # three are kept: d comes when b is the one not asked for longest
        assert library[name].name == name
    assert reads == ["a", "b", "c", "d"]
    gc.collect()
    assert [each() is None for each in dropped] == [False, True]
    assert [library[name].name for name in "acd"] == ["a", "c", "d"]
    assert reads == ["a", "b", "c", "d"]
    assert library["b"].name == "b"
    assert reads[4:] == ["b"]


def test_what_is_gone_from_the_folder_is_held_no_longer(library: VoiceLibrary, folder: Path) -> None:
    path = put(folder, "amy")
    held = weakref.ref(library["amy"].conditioning.speaker)
    path.unlink()
    library.labels()
    gc.collect()
    assert held() is None


@pytest.mark.parametrize("name", ["../amy", "a/b", "", ".", "AMY", "amy\0", "a" * 300])
def test_a_name_that_is_none_is_no_voice_and_no_path(library: VoiceLibrary, folder: Path, name: str) -> None:
    put(folder.parent, "amy")
    put(folder, "amy")
    assert name not in library
    assert library.get(name) is None
    with pytest.raises(KeyError):
        library.remove(name)
    assert (folder.parent / "amy.safetensors").exists()


def test_a_pipe_named_as_a_voice_is_not_waited_for(library: VoiceLibrary, folder: Path) -> None:
    os.mkfifo(folder / "amy.safetensors")
    assert "amy" not in library
    assert list(library) == ["default"]


def test_other_files_are_not_looked_at(library: VoiceLibrary, folder: Path) -> None:
    for name in ("notes.txt", ".amy.safetensors.1234", "Amy.safetensors", "safetensors"):
        (folder / name).write_bytes(b"no voice")
    assert list(library) == ["default"]
    assert library.broken == {}


# Broken files


def test_a_broken_file_is_left_out_and_logged_once(
    library: VoiceLibrary, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(folder, "amy")
    path = broken(folder, "bob")
    for _ in range(3):
        assert list(library) == ["default", "amy"]
        assert "bob" not in library
    assert [record.getMessage() for record in caplog.records] == ["broken voice"]
    assert vars(caplog.records[0])["voice"] == "bob"
    assert "bob.safetensors" in library.broken["bob"]
    path.write_bytes(b"no voice again")
    assert list(library) == ["default", "amy"]
    assert len(caplog.records) == 2, "another file, another warning"
    put(folder, "bob")
    assert "bob" in library
    assert list(library) == ["default", "amy", "bob"]


def test_asking_for_a_broken_voice_names_its_file_and_fault(library: VoiceLibrary, folder: Path) -> None:
    broken(folder, "bob")
    for ask in (lambda: library["bob"], lambda: library.get("bob"), lambda: library.label("bob")):
        with pytest.raises(InvalidRequest, match=r"bob\.safetensors.*header") as caught:
            ask()
        assert caught.value.field == "voice"


def test_a_voice_of_another_model_is_refused_when_asked_for(library: VoiceLibrary, folder: Path) -> None:
    put(folder, "amy")
    assert "amy" in library
    narrow = VoiceLibrary(folder, {}, replace(TURBO, xvector=replace(TURBO.xvector, width=8)))
    with pytest.raises(InvalidRequest, match="embedding must be of shape"):
        narrow["amy"]


def test_what_only_reading_finds_broken_is_left_out_from_then_on(library: VoiceLibrary, folder: Path) -> None:
    path = put(folder, "amy")
    path.write_bytes(path.read_bytes()[:-4] + b"\xff\xff\xff\xff")  # not a number
    assert list(library) == ["default", "amy"]
    with pytest.raises(InvalidRequest, match="not finite"):
        library["amy"]
    assert list(library) == ["default"]


def test_a_broken_file_hides_the_built_in_voice_rather_than_speak_in_another(
    library: VoiceLibrary, folder: Path
) -> None:
    path = broken(folder, "default")
    assert "default" not in library
    assert list(library) == []
    with pytest.raises(InvalidRequest):
        library["default"]
    path.unlink()
    assert library["default"] is BUILT_IN["default"]


# Adding and removing


def test_an_added_voice_is_there_for_every_library_of_the_folder(library: VoiceLibrary) -> None:
    before = time.time()
    label = library.add("amy", conditioning(5, 20, 10), "Amy", -26.0)
    other = VoiceLibrary(library.folder, {})
    assert other["amy"].nominal_dbov == -26.0
    assert other["amy"].description == "Amy"
    assert same(other["amy"].conditioning, conditioning(5, 20, 10))
    assert other.label("amy") == label
    assert label.created is not None
    assert label.created.endswith("+00:00")
    assert datetime.fromisoformat(label.created).timestamp() == pytest.approx(before, abs=5)


def test_a_name_that_is_taken_is_overwritten_only_when_told(library: VoiceLibrary) -> None:
    add(library, "amy", seed=1)
    assert library["amy"].conditioning.origin["seed"] == 1
    with pytest.raises(FileExistsError):
        add(library, "amy", seed=2)
    assert library["amy"].conditioning.origin["seed"] == 1
    add(library, "amy", seed=2, replace=True)
    assert library["amy"].conditioning.origin["seed"] == 2


def test_its_own_changes_are_seen_by_a_clock_too_coarse_to_tell(
    library: VoiceLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An inode may be used again, and within one tick of the file system's clock."""
    monkeypatch.setattr(library_module, "_stamp_of", lambda status: (0, 0, 0))
    for seed in (1, 2):
        add(library, "amy", seed=seed, replace=True)
        assert library["amy"].conditioning.origin["seed"] == seed
        assert library.labels()["amy"].origin["seed"] == seed


def test_the_default_voice_is_overwritten_only_when_told(tmp_path: Path) -> None:
    for built_in in (BUILT_IN, {}):
        library = VoiceLibrary(tmp_path, built_in)
        with pytest.raises(FileExistsError):
            add(library, "default")
    add(library, "default", replace=True)
    assert library["default"].conditioning.origin["seed"] == 0


def test_removing_what_hides_a_built_in_voice_shows_it_again(library: VoiceLibrary) -> None:
    add(library, "default", replace=True)
    assert not library.is_built_in("default")
    library.remove("default")
    assert library["default"] is BUILT_IN["default"]
    with pytest.raises(InvalidRequest, match="built in"):
        library.remove("default")
    assert "default" in library


def test_a_removed_voice_is_gone_and_who_holds_it_keeps_it(library: VoiceLibrary) -> None:
    add(library, "amy")
    held = library["amy"]
    library.remove("amy")
    assert "amy" not in library
    assert same(held.conditioning, conditioning(0, 20, 10))
    with pytest.raises(KeyError):
        library.remove("amy")


def test_a_broken_file_can_be_removed_and_replaced(library: VoiceLibrary, folder: Path) -> None:
    broken(folder, "amy")
    with pytest.raises(FileExistsError):
        add(library, "amy")
    add(library, "amy", replace=True)
    assert "amy" in library
    broken(folder, "bob")
    library.remove("bob")
    assert os.listdir(folder) == ["amy.safetensors"]


@pytest.mark.parametrize(("name", "description"), [("../amy", "x"), ("con", "x"), ("amy", "two\nlines")])
def test_what_could_not_be_a_file_or_a_line_is_refused_before_anything_is_made(
    library: VoiceLibrary, name: str, description: str
) -> None:
    with pytest.raises(InvalidRequest):
        library.add(name, conditioning(), description, -27.0)
    assert library.folder is not None
    assert not library.folder.exists()


def test_where_there_is_no_folder_or_none_can_be_made_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be a folder"):
        add(VoiceLibrary(None, BUILT_IN), "amy")
    in_the_way = tmp_path / "voices"
    in_the_way.write_text("a file")
    for folder in (in_the_way, in_the_way / "below"):
        library = VoiceLibrary(folder, BUILT_IN)
        with pytest.raises(ConfigError, match="cannot be written to"):
            add(library, "amy")
        assert list(library) == ["default"]


def test_a_folder_that_gives_nothing_up_is_said(
    library: VoiceLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unlink(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied")

    add(library, "amy")
    monkeypatch.setattr(Path, "unlink", unlink)
    with pytest.raises(ConfigError, match="Permission denied"):
        library.remove("amy")


# Threads


def test_any_thread_may_look_while_others_add_and_remove(library: VoiceLibrary, folder: Path) -> None:
    """Each look gives a whole voice of some moment, or none."""
    done, faults = threading.Event(), list[BaseException]()
    names = ["a", "b", "c", "d", "e"]

    def look() -> None:
        while not done.is_set():
            for name in names:
                found = library.get(name)
                if found is not None:
                    seed = found.conditioning.origin["seed"]
                    assert same(found.conditioning, kept[seed])
            assert set(library.labels()) <= {"default", *names}

    def guarded() -> None:
        try:
            look()
        except BaseException as fault:
            faults.append(fault)

    kept = {seed: voice("any", seed).conditioning for seed in range(4)}
    threads = [threading.Thread(target=guarded) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(60):
            name = names[turn % len(names)]
            put(folder, name, seed=turn % 4)
            if turn % 3 == 0:
                library.remove(name)
    finally:
        done.set()
        for thread in threads:
            thread.join(20)
    assert faults == []
    assert len(library._loaded) <= 3
