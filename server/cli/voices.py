"""`talkspurt voices`: the voices in a folder, or of a running server."""

import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlencode

import click

from engines import EngineError
from engines.pocket import pocket_folder
from engines.voices.files import VoiceLabel, check_name
from engines.voices.library import VoiceLibrary

_TIMEOUT_S = 180  # a recording may wait for four others

Command = TypeVar("Command", bound=Callable[..., Any])


class Voices(Protocol):
    """Where voices are."""

    def labels(self) -> dict[str, VoiceLabel]: ...

    def label(self, name: str) -> VoiceLabel:
        """Raises KeyError for an unknown voice."""
        ...

    def remove(self, name: str) -> None:
        """Raises KeyError for an unknown voice."""
        ...


class ServerVoices:
    """Those of a running server, by its HTTP routes. Raises ClickException for whatever it answers."""

    def __init__(self, url: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise click.UsageError(f"--server: {url!r} is not http://HOST:PORT")
        self._routes = url.rstrip("/") + "/v1/voices"

    def labels(self) -> dict[str, VoiceLabel]:
        return {each["name"]: _label(each) for each in self._ask("GET", "")["voices"]}

    def label(self, name: str) -> VoiceLabel:
        return _label(self._ask("GET", f"/{check_name(name)}"))

    def remove(self, name: str) -> None:
        self._ask("DELETE", f"/{check_name(name)}")

    def add(self, name: str, recording: bytes, description: str | None, replace: bool) -> VoiceLabel:
        told = {"description": description} if description is not None else {}
        query = urlencode({"name": name, "replace": str(replace).lower(), **told})
        return _label(self._ask("POST", f"?{query}", recording))

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        headers = {} if body is None else {"Content-Type": "application/octet-stream"}
        request = urllib.request.Request(self._routes + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
                content = answer.read()
                return json.loads(content) if content else None
        except urllib.error.HTTPError as error:
            raise click.ClickException(_reason(error)) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise click.ClickException(f"{self._routes} does not answer: {reason}") from None


def _label(shown: dict[str, Any]) -> VoiceLabel:
    return VoiceLabel(shown["description"], shown["nominal_dbov"], shown["created"], shown["origin"])


def _reason(error: urllib.error.HTTPError) -> str:
    """What the server says is wrong, where it is ours."""
    with error:
        content = error.read()
    try:
        return str(json.loads(content)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"{error.url} answers {error.code} {error.reason}"


@contextlib.contextmanager
def _refusals(name: str) -> Iterator[None]:
    """Whatever is wrong becomes one sentence and exit status 1."""
    try:
        yield
    except KeyError:
        raise click.ClickException(f"{name!r} is no voice there") from None
    except FileExistsError:
        raise click.ClickException(f"{name!r} is taken; --replace overwrites it") from None
    except EngineError as error:
        raise click.ClickException(str(error)) from None


def _folder(folder: str | None) -> VoiceLibrary:
    if folder is None:
        raise click.UsageError("say where: --voices DIR")
    return VoiceLibrary(Path(folder), {})


def _voices(folder: str | None, server: str | None) -> Voices:
    if server is not None:
        return ServerVoices(server)
    if folder is None:
        raise click.UsageError("say where: --voices DIR, or --server URL")
    return _folder(folder)


def _in_folder(command: Command) -> Command:
    told = "Folder of enrolled voices."
    return click.option("--voices", "folder", metavar="DIR", envvar="TALKSPURT_VOICES", help=told)(command)


def _somewhere(command: Command) -> Command:
    told = "Those of a running server, instead of a folder's."
    return _in_folder(click.option("--server", metavar="URL", help=told)(command))


def _new_voice(command: Command) -> Command:
    command = click.option("--replace", is_flag=True, help="Overwrite a voice of this name.")(command)
    return click.option("--description", help="What it is, in one line.")(command)


@click.group()
def voices() -> None:
    """Add, list, show and remove voices, in a folder or of a running server."""


@voices.command("list")
@_somewhere
def list_voices(folder: str | None, server: str | None) -> None:
    """Name every voice."""
    there = _voices(folder, server)
    labels = there.labels()
    width = max(map(len, labels), default=0)
    for name, label in labels.items():
        click.echo(f"{name:{width}}  {label.description}")
    for name, reason in there.broken.items() if isinstance(there, VoiceLibrary) else ():
        click.secho(f"{name}: {reason}", err=True, fg="red")


@voices.command()
@click.argument("name")
@_somewhere
def show(name: str, folder: str | None, server: str | None) -> None:
    """Tell what is known of a voice."""
    with _refusals(name):
        _echo(name, _voices(folder, server).label(name))


@voices.command()
@click.argument("name")
@_somewhere
def remove(name: str, folder: str | None, server: str | None) -> None:
    """Remove a voice; what is being spoken with it is spoken to its end."""
    with _refusals(name):
        _voices(folder, server).remove(name)


@voices.command()
@click.argument("name")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_new_voice
@click.option(
    "--model", metavar="DIR", envvar="TALKSPURT_MODEL", help="What enrolls it. [default: the pocket voice's]"
)
@click.option("--engine", type=click.Choice(["onnx", "pytorch"]), default="onnx", show_default=True)
@_somewhere
def add(
    name: str,
    file: Path,
    description: str | None,
    replace: bool,
    model: str | None,
    engine: str,
    folder: str | None,
    server: str | None,
) -> None:
    """Make a voice of a recording: 5 to 30 s of one speaker, in any audio format.

    Either a running server enrolls it (--server), or this process does (--voices). A voice is its
    model's: another model does not speak with it.
    """
    recording = file.read_bytes()
    with _refusals(name):
        if server is not None:
            _echo(name, ServerVoices(server).add(name, recording, description, replace))
            return
        library = _folder(folder)
        folder_of_model = pocket_folder() if model is None else Path(model)
        _echo(name, _enroll(library, name, recording, description, replace, engine, folder_of_model))


@voices.command("import")
@click.argument("name")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_new_voice
@_in_folder
def import_voice(name: str, file: Path, description: str | None, replace: bool, folder: str | None) -> None:
    """Take a voice over from a file of conditionals (conds.pt). Needs talkspurt[pytorch]."""
    with _refusals(name):
        library = _folder(folder)
        _require_free(library, name, replace)
        from engines.chatterbox.open import import_conditionals

        described = description or f"Imported from {file.name}"
        label = library.add(name, import_conditionals(file), described, replace=replace)
    _echo(name, label)


def _enroll(
    library: VoiceLibrary,
    name: str,
    recording: bytes,
    description: str | None,
    replace: bool,
    engine: str,
    model: Path,
) -> VoiceLabel:
    """In this process, with nothing of the model opened but what enrolling needs."""
    from engines.chatterbox.open import open_enroller
    from server.recording import enroll_recording

    _require_free(library, name, replace)
    conditioning, nominal_dbov = enroll_recording(recording, open_enroller(engine, model).enroll)
    return library.add(name, conditioning, description or "Enrolled voice", nominal_dbov, replace)


def _require_free(library: VoiceLibrary, name: str, replace: bool) -> None:
    """Before seconds of work are spent on it."""
    check_name(name)
    if not replace and library.is_taken(name):
        raise FileExistsError(name)


def _echo(name: str, label: VoiceLabel) -> None:
    told = {
        "name": name,
        "description": label.description,
        "nominal_dbov": label.nominal_dbov,
        "created": label.created or "built in",
        **label.origin,
    }
    width = max(map(len, told))
    for key, value in told.items():
        click.echo(f"{key:{width}}  {value}")
