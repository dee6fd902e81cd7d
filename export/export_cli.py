"""`talkspurt export`: weights to ONNX graphs, and graphs against the weights they were made from."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from engines.errors import EngineError

PRECISIONS = ("fp32", "fp16")

_COLUMNS = (
    ("graph", 18),
    ("precision", 10),
    ("cases", 6),
    ("output", 20),
    ("max abs", 10),
    ("rel. RMS", 10),
    ("tolerance", 10),
    ("agree", 6),
    ("", 4),
)


@click.group()
def export() -> None:
    """Turn a model into graphs that run without torch, and verify them."""


@export.command()
@click.option("--model", required=True, type=click.Path(path_type=Path), help="Folder of official weights.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write.")
@click.option("--precision", type=click.Choice(PRECISIONS), default="fp32", show_default=True)
@click.option("--int8", is_flag=True, help="Also T3 with 8-bit weights, for CPUs.")
@click.option("--graphs", metavar="NAME,...", help="Only these.")
@click.option("--force", is_flag=True, help="Replace an export that is there.")
def onnx(model: Path, out: Path, precision: str, int8: bool, graphs: str | None, force: bool) -> None:
    """Export a model's graphs, tokenizer and default voice into a folder."""
    with _told():
        from export.folder import ExportPlan, export_folder, graph_names
        from export.onnx_graphs import ExportError

        named = tuple(name.strip() for name in graphs.split(",")) if graphs else ()
        plan = ExportPlan(
            model, out.resolve(), half=precision == "fp16", int8=int8, graphs=named, force=force
        )
        with tqdm(total=len(graph_names(plan)), unit=" graphs", delay=1) as bar:
            try:
                manifest = export_folder(plan, lambda name: _next(bar, name))
            except ExportError as error:
                raise click.ClickException(str(error)) from None
            bar.update()
    total_bytes = sum(record.bytes for record in manifest.files.values())
    click.echo(f"{out}: {len(manifest.graphs)} graphs, {total_bytes / 1e6:.0f} MB, {manifest.precision}")


@export.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--model", required=True, type=click.Path(path_type=Path), help="Folder of official weights.")
@click.option("--threads", default=0, show_default="as many as there are cores")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
@click.pass_context
def verify(ctx: click.Context, folder: Path, model: Path, threads: int, as_json: bool) -> None:
    """Run every graph of an export beside the weights it was made from; status 1 when one differs."""
    verdicts = []
    with _told():
        from export.verify import verify_folder

        if not as_json:
            click.echo(_row([title for title, _ in _COLUMNS]))
        for verdict in verify_folder(folder, model, threads):
            verdicts.append(verdict.to_dict())
            if not as_json:
                click.echo(_row(_cells(verdicts[-1])))
    is_ok = all(each["ok"] for each in verdicts)
    if as_json:
        click.echo(json.dumps({"ok": is_ok, "graphs": verdicts}, indent=1))
    if not is_ok:
        ctx.exit(1)


@export.command()
@click.option("--model", required=True, type=click.Path(path_type=Path), help="Folder of official weights.")
@click.option("--tokens", type=click.IntRange(20, 900), default=100, show_default=True, help="25 a second.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the codes that are spoken.")
@click.option("--threads", default=0, show_default="as many as there are cores")
def deviation(model: Path, tokens: int, seed: int, threads: int) -> None:
    """How far speech in windows is from speech in one piece, for each way of cutting it."""
    click.echo("| way | windows | mel, relative RMS | jump at seams |\n|---|---|---|---|")
    with _told():
        from export.deviation import deviations

        for each in deviations(model, tokens, seed, threads):
            jump = f"{each.seam_jump:.2f}" if each.windows > 1 else ""
            click.echo(f"| {each.way} | {each.windows} | {each.mel_relative:.4f} | {jump} |")


def _next(bar: Any, name: str) -> None:
    if bar.desc:
        bar.update()
    bar.set_description_str(name)


def _cells(verdict: dict[str, Any]) -> list[str]:
    agreement = verdict["agreement"]
    return [
        verdict["graph"],
        verdict["precision"],
        str(verdict["cases"]),
        verdict["output"],
        *(f"{verdict[key]:.1e}" for key in ("max_abs", "relative_rms", "tolerance")),
        "" if agreement is None else f"{agreement:.0%}",
        "ok" if verdict["ok"] else "FAIL",
    ]


def _row(cells: Sequence[str]) -> str:
    return "  ".join(f"{cell:{width}}" for cell, (_, width) in zip(cells, _COLUMNS, strict=True)).rstrip()


@contextmanager
def _told() -> Iterator[None]:
    """What is wrong becomes one sentence and exit status 1."""
    try:
        yield
    except EngineError as error:
        raise click.ClickException(str(error)) from None
    except ImportError as error:
        raise click.ClickException(f"{error}: install talkspurt[export]") from None
