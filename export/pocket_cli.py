"""`talkspurt pocket`: train the pocket voice from nothing, and pack it for shipping."""

import importlib
from pathlib import Path
from typing import Any

import click

_FOLDER = click.Path(file_okay=False, path_type=Path)
STAGES = ("corpus", "tokenizer", "features", "speakers", "vocoder", "flow", "tune", "t3")


@click.group()
def pocket() -> None:
    """Train the pocket voice from nothing, and pack it for shipping."""


@pocket.command("train")
@click.argument("work", type=_FOLDER)
@click.option("--hours", type=click.IntRange(2, 200), default=20, show_default=True, help="Of speech.")
@click.option("--seed", default=1, show_default=True, help="Of the corpus.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--only", "stages", type=click.Choice(STAGES), multiple=True, help="A stage; more than once.")
@click.option(
    "--keep",
    "kept",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="Texts for judging, one a line: none is trained on.",
)
def train_command(
    work: Path, hours: int, seed: int, device: str, stages: tuple[str, ...], kept: tuple[Path, ...]
) -> None:
    """Train all stages in WORK, or go on where it was stopped. About three hours on two CPU cores.

    Needs Debian's packages flite, dict-wn, fortunes and wamerican.
    """
    training = _needs("export.pocket.train")
    order = training.Order(work, hours, seed, device, training.kept_texts(kept))
    try:
        training.train(order, stages or STAGES, lambda stage: click.echo(f"-- {stage}"))
    except (_needs("export.pocket.flite").FliteMissing, _needs("export.pocket.texts").SourceMissing) as error:
        raise click.ClickException(str(error)) from None


@pocket.command("pack")
@click.argument("work", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=_FOLDER)
def pack_command(work: Path, out: Path) -> None:
    """Pack what WORK holds into OUT: checkpoint, graphs, tokenizer, voices and training's curves."""
    packing = _needs("export.pocket.pack")
    try:
        packing.pack(work, out, lambda step: click.echo(f"-- {step}"))
    except packing.PackFailed as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{out} holds the pocket voice")


def _needs(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise click.ClickException(f"training needs {error.name}: install talkspurt[export]") from None
