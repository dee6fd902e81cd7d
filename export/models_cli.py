"""`talkspurt models`: fetch the published models, check a folder of weights, write random ones."""

from pathlib import Path

import click

from engines.model import PUBLISHED
from export.fetch import FetchFailed, HuggingFaceHub, fetch
from export.tiny import TINY

_RANDOM = {**PUBLISHED, TINY.name: TINY}
_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group()
def models() -> None:
    """Fetch the published models, check a folder of weights, write random ones."""


@models.command("fetch")
@click.argument("name", type=click.Choice(sorted(PUBLISHED)))
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder. [default: models/NAME]"
)
@click.option("--revision", help="Branch, tag or commit. [default: the lock's commit, else main]")
def fetch_command(name: str, out: Path | None, revision: str | None) -> None:
    """Fetch a published model from the Hugging Face hub, about 3 GB, and check every file of it."""
    folder = out or Path("models", name)
    try:
        lock = fetch(PUBLISHED[name], folder, HuggingFaceHub(), revision, click.echo)
    except FetchFailed as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{name} is in {folder}: {lock.repository} at {lock.revision}")


@models.command("check")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def check_command(folder: Path) -> None:
    """Read all of FOLDER strictly, and say what of it is used, of no use, missing or wrong."""
    try:
        from export.check import examine
    except ImportError as error:
        raise click.ClickException(f"checking needs {error.name}: install talkspurt[export]") from None
    wrong = 0
    for finding in examine(folder):
        wrong += not finding.ok
        click.echo(f"{'ok   ' if finding.ok else 'WRONG'} {finding.name}: {finding.detail}")
    if wrong:
        raise click.ClickException(f"{folder} cannot be spoken with")


@models.command("random")
@click.argument("name", type=click.Choice(sorted(_RANDOM)))
@click.option("--out", type=_FOLDER, help="Where to: an empty folder, or none.", required=True)
@click.option("--seed", default=0, show_default=True, help="Of the noise.")
@click.option("--dtype", type=click.Choice(["float32", "float16"]), default="float32", show_default=True)
@click.option("--never-stops", is_flag=True, help="Every utterance runs to its budget: for measuring.")
def random_command(name: str, out: Path, seed: int, dtype: str, never_stops: bool) -> None:
    """Write random weights: a model that speaks NOISE, for tests and for measuring speed."""
    try:
        from export.random_weights import write_random
    except ImportError as error:
        raise click.ClickException(f"writing needs {error.name}: install talkspurt[export]") from None
    if out.exists() and any(out.iterdir()):
        raise click.ClickException(f"{out} is not empty")
    write_random(out, _RANDOM[name], seed, dtype=dtype, never_stops=never_stops, progress=True)
    click.echo(f"{out} holds random weights of {name}'s size: they speak noise")
