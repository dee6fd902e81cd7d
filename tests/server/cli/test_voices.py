"""`talkspurt voices`: in a folder by itself, or of a server by its routes; one sentence for what is wrong."""

import asyncio
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner, Result

from engines.errors import BackendUnavailable, ConfigError
from engines.pocket import pocket_folder
from engines.voices.library import VoiceLibrary
from server.cli.voices import voices
from tests.fakes import voice as fake
from tests.fakes.voice import FakeEnroller, conditioning, same
from tests.server.recordings import recording
from tests.server.running import running_server


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TALKSPURT_VOICES", "TALKSPURT_MODEL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path]]:
    """What enrollers were opened for: the engine and the model's folder."""
    asked: list[tuple[str, Path]] = []
    enroller = FakeEnroller()
    enroller.gate.set()

    def open_enroller(engine: str, model: Path) -> FakeEnroller:
        asked.append((engine, model))
        return enroller

    module: Any = ModuleType("engines.chatterbox.open")
    module.open_enroller = open_enroller
    module.import_conditionals = lambda path: conditioning(9, 20, 10)
    monkeypatch.setitem(sys.modules, "engines.chatterbox.open", module)
    return asked


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "amy.wav"
    path.write_bytes(recording(6.0))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "voices"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(voices, [str(each) for each in arguments])


def said(result: Result, exit_code: int = 1) -> str:
    """The one sentence of what is wrong."""
    assert result.exit_code == exit_code, result.output
    assert "Traceback" not in result.output
    return result.output.strip().splitlines()[-1]


def test_a_recording_becomes_a_voice_in_the_folder(
    opened: list[tuple[str, Path]], wav: Path, folder: Path
) -> None:
    done = run("add", "amy", wav, "--model", "m", "--voices", folder, "--description", "Amy, of Leeds")
    assert done.exit_code == 0, done.output
    assert opened == [("onnx", Path("m"))]
    library = VoiceLibrary(folder, {})
    assert library.label("amy").description == "Amy, of Leeds"
    assert library["amy"].conditioning.origin["seconds"] == 12.5
    assert "nominal_dbov" in done.output


def test_where_no_model_is_named_the_pocket_voice_s_enrolls(
    opened: list[tuple[str, Path]], wav: Path, folder: Path
) -> None:
    assert run("add", "amy", wav, "--voices", folder).exit_code == 0
    assert opened == [("onnx", pocket_folder())]


def test_the_engine_and_the_environment_are_heeded(
    opened: list[tuple[str, Path]], wav: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALKSPURT_VOICES", str(folder))
    monkeypatch.setenv("TALKSPURT_MODEL", "other")
    assert run("add", "amy", wav, "--engine", "pytorch").exit_code == 0
    assert opened == [("pytorch", Path("other"))]
    assert run("list").output == "amy  Enrolled voice\n"


@pytest.mark.parametrize("name", ["amy", "default"])
def test_a_taken_name_is_replaced_only_when_told_and_no_model_is_opened_for_nothing(
    opened: list[tuple[str, Path]], wav: Path, folder: Path, name: str
) -> None:
    told = ("add", name, wav, "--model", "m", "--voices", folder)
    assert run(*told, "--replace").exit_code == 0
    assert said(run(*told)) == f"Error: {name!r} is taken; --replace overwrites it"
    assert len(opened) == 1
    assert run(*told, "--replace").exit_code == 0


def test_what_is_wrong_is_said_in_a_sentence(opened: list[tuple[str, Path]], wav: Path, folder: Path) -> None:
    there = ("--model", "m", "--voices", folder)
    assert "name: 'Amy'" in said(run("add", "Amy", wav, *there))
    assert opened == []
    text = wav.with_name("notes.txt")
    text.write_text("no recording")
    assert "no audio that can be decoded" in said(run("add", "amy", text, *there))
    wav.write_bytes(recording(2.0))
    assert "too short" in said(run("add", "amy", wav, *there))
    assert not folder.exists()


def test_where_and_what_must_be_said(opened: list[tuple[str, Path]], wav: Path, folder: Path) -> None:
    assert "--voices DIR, or --server URL" in said(run("list"), 2)
    assert "--voices DIR" in said(run("add", "amy", wav, "--model", "m"), 2)
    assert "--voices DIR" in said(run("import", "amy", wav), 2)
    assert "http://" in said(run("list", "--server", "file:///etc"), 2)
    assert run("add", "amy", folder / "none.wav").exit_code == 2


def test_voices_are_listed_shown_and_removed(opened: list[tuple[str, Path]], wav: Path, folder: Path) -> None:
    for name in ("zoe", "amy"):
        run("add", name, wav, "--model", "m", "--voices", folder)
    assert run("list", "--voices", folder).output == "amy  Enrolled voice\nzoe  Enrolled voice\n"
    shown = dict(
        line.split(maxsplit=1) for line in run("show", "amy", "--voices", folder).output.splitlines()
    )
    assert (shown["name"], shown["description"], shown["seconds"]) == ("amy", "Enrolled voice", "12.5")
    assert run("remove", "amy", "--voices", folder).exit_code == 0
    assert run("list", "--voices", folder).output == "zoe  Enrolled voice\n"
    for command in ("show", "remove"):
        assert said(run(command, "amy", "--voices", folder)) == "Error: 'amy' is no voice there"


def test_a_broken_file_is_told_beside_the_others(folder: Path) -> None:
    VoiceLibrary(folder, {}).add("amy", conditioning(0, 20, 10), "Amy", -27.0)
    (folder / "bob.safetensors").write_bytes(b"no voice at all")
    listed = run("list", "--voices", folder)
    assert listed.exit_code == 0
    assert listed.stdout == "amy  Amy\n"
    assert "bob: voice: 'bob.safetensors'" in listed.stderr
    assert "bob.safetensors" in said(run("show", "bob", "--voices", folder))
    assert run("remove", "bob", "--voices", folder).exit_code == 0


def test_old_conditionals_are_taken_over(opened: list[tuple[str, Path]], wav: Path, folder: Path) -> None:
    conds = wav.with_name("conds.pt")
    conds.write_bytes(b"")
    assert run("import", "amy", conds, "--voices", folder).exit_code == 0
    library = VoiceLibrary(folder, {})
    assert same(library["amy"].conditioning, conditioning(9, 20, 10))
    assert library["amy"].description == "Imported from conds.pt"
    assert "is taken" in said(run("import", "amy", conds, "--voices", folder))
    assert "name: '-amy'" in said(run("import", "--voices", folder, "--", "-amy", conds))


@pytest.mark.parametrize(
    "error",
    [BackendUnavailable("install talkspurt[pytorch]"), ConfigError("model", "m", "is not a folder")],
)
def test_a_missing_runtime_or_model_is_one_sentence(
    opened: list[tuple[str, Path]],
    wav: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    def fail(*arguments: object) -> None:
        raise error

    for name in ("open_enroller", "import_conditionals"):
        monkeypatch.setattr(sys.modules["engines.chatterbox.open"], name, fail)
    assert said(run("add", "amy", wav, "--model", "m", "--voices", folder)) == f"Error: {error}"
    assert said(run("import", "amy", wav, "--voices", folder)) == f"Error: {error}"


async def test_a_server_s_voices_are_kept_by_its_routes(
    wav: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.install(monkeypatch)

    async def ask(*arguments: object) -> Result:
        return await asyncio.to_thread(run, *arguments, "--server", running.url)

    async with running_server(engine="enrolling", voices=str(folder)) as running:
        added = await ask("add", "amy", wav, "--description", "Amy & Ann, of Leeds")
        assert added.exit_code == 0, added.output
        assert (await ask("list")).output == "default  A tone\namy      Amy & Ann, of Leeds\n"
        assert "Amy & Ann, of Leeds" in (await ask("show", "amy")).output
        assert "'amy' is taken" in said(await ask("add", "amy", wav))
        assert (await ask("add", "amy", wav, "--replace")).exit_code == 0
        assert "name: 'a/b?c'" in said(await ask("show", "a/b?c"))
        assert (await ask("remove", "amy")).exit_code == 0
        assert "is no voice" in said(await ask("remove", "amy"))
        assert "built in" in said(await ask("remove", "default"))


def test_a_server_that_is_not_there_or_not_ours_is_one_sentence() -> None:
    assert "does not answer" in said(run("list", "--server", "http://127.0.0.1:9"))
