"""`talkspurt pocket`: train the pocket voice from nothing, and pack it for shipping."""

from pathlib import Path

import click

from export.pocket.flite import FliteMissing
from export.pocket.texts import SourceMissing
from export.pocket.train import STAGES, Order, kept_texts, train

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group()
def pocket() -> None:
    """Train the pocket voice from nothing, and pack it for shipping."""


@pocket.command("train")
@click.argument("work", type=_FOLDER)
@click.option("--hours", type=click.IntRange(2, 200), default=20, show_default=True, help="Of speech.")
@click.option("--seed", default=1, show_default=True, help="Of the corpus.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option(
    "--only", "stages", type=click.Choice(list(STAGES)), multiple=True, help="A stage; more than once."
)
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
    order = Order(work, hours, seed, device, kept_texts(kept))
    try:
        train(order, stages or STAGES, lambda stage: click.echo(f"-- {stage}"))
    except (FliteMissing, SourceMissing) as error:
        raise click.ClickException(str(error)) from None
    except ImportError as error:
        raise _lacking(error) from None


@pocket.command("pack")
@click.argument("work", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=_FOLDER)
def pack_command(work: Path, out: Path) -> None:
    """Pack what WORK holds into OUT: checkpoint, graphs, tokenizer, voices and training's curves."""
    try:
        from export.pocket.pack import PackFailed, pack
    except ImportError as error:
        raise _lacking(error) from None
    try:
        pack(work, out, lambda step: click.echo(f"-- {step}"))
    except PackFailed as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{out} holds the pocket voice")


def _lacking(error: ImportError) -> click.ClickException:
    return click.ClickException(f"training needs {error.name}: install talkspurt[export]")
