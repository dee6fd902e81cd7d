"""`talkspurt bench voice`: judge a model's voice, keep what was heard, show it."""

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from benchmarks.errors import BenchError
from benchmarks.machine import inspect_machine, load_average
from benchmarks.voice import sets
from benchmarks.voice.hearing import Listener
from benchmarks.voice.judge import judge, plan_rows
from benchmarks.voice.pace import UTTERANCES, time_way
from benchmarks.voice.report import render_verdict
from benchmarks.voice.samples import write_samples
from benchmarks.voice.table import format_verdict
from benchmarks.voice.verdict import VOICE_SCHEMA, VOICE_VERSION, Row, Timed, Verdict, write_verdict
from benchmarks.voice.ways import FLITE_VOICES, WAYS, Setup
from engines.errors import EngineError

REPORT_FILE = "report.html"
SAMPLE_TEXT = "An engineer explained how the bridge carries so much weight."
"""The sentence that the page shows, where it is judged."""

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("voice")
@click.option(
    "--weights", type=_FOLDER, help="Checkpoint, spoken by pytorch; the vocoder alone needs it too."
)
@click.option("--graphs", type=_FOLDER, help="Exported graphs in float32, spoken by onnx.")
@click.option("--half", type=_FOLDER, help="The same in float16.")
@click.option(
    "--way", "ways", type=click.Choice(list(WAYS)), multiple=True, help="Repeat; the first in full."
)
@click.option("--voice", "voices", multiple=True, metavar="NAME=FLITE", help="Repeat; the first in full.")
@click.option(
    "--voices", "voices_folder", type=_FOLDER, help="Folder of enrolled voices, if the model has none."
)
@click.option("--quick", type=click.IntRange(1), help="Only so many sentences of each set.")
@click.option(
    "--timed", type=click.IntRange(0), default=UTTERANCES, show_default=True, help="Sentences timed."
)
@click.option("--temperature", type=float, help="Of sampling. [default: the model's own]")
@click.option("--jobs", type=click.IntRange(1, 256), default=2, show_default=True, help="Listeners at once.")
@click.option("--threads", type=click.IntRange(0, 64), default=0, help="Of the engine. [default: all cores]")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--label", required=True, help="What is judged, in a few words.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("out/voice"))
def voice(label: str, out: Path, timed: int, voices: tuple[str, ...], **chosen: Any) -> None:
    """How much of a voice is understood through the telephone, stage by stage from its source on."""
    chosen["voices"] = _voices(voices)
    try:
        verdict, utterances = _judge(Setup(**chosen), label, out, timed)
    except (BenchError, EngineError) as error:
        raise _NotJudged(str(error)) from error
    path = out / REPORT_FILE
    path.write_text(render_verdict(out, verdict, utterances), encoding="utf-8")
    click.echo(f"{format_verdict(verdict, utterances)}\n\n{path}")


def _judge(setup: Setup, label: str, out: Path, timed: int) -> tuple[Verdict, Any]:
    busy, began = load_average(), datetime.now(timezone.utc).isoformat(timespec="seconds")
    judged = sets.sentences(setup.quick)
    sample = next((index for index, each in enumerate(judged) if each.text == SAMPLE_TEXT), 0)
    rows = plan_rows(setup)
    with Listener(setup.jobs) as listener, _Bar(rows, len(judged)) as bar:
        found = judge(setup, judged, sample, listener, bar.advance)
    verdict = Verdict(
        schema=VOICE_SCHEMA,
        version=VOICE_VERSION,
        began=began,
        label=label,
        machine=inspect_machine(),
        load_average=busy,
        seed=setup.seed,
        sets_version=sets.SETS_VERSION,
        sets_digest=sets.digest(judged),
        listener=listener.details,
        settings={way: setup.told(way) for way in setup.chosen_ways()},
        sentences=tuple(judged),
        rows=found.rows,
        sample=sample,
        timed=_timed(setup, [each.text for each in judged[:timed]]),
    )
    write_verdict(out, verdict, found.utterances)
    write_samples(out, found.samples)
    return verdict, found.utterances


def _timed(setup: Setup, texts: list[str]) -> tuple[Timed, ...]:
    """Behind the listeners, which would take its core."""
    ways = setup.chosen_ways() if texts else ()
    return tuple(
        each
        for way in tqdm(ways, "one core", unit="way", disable=None)
        for each in time_way(setup, way, texts)
    )


class _Bar:
    """Progress: sentences heard, and of which row."""

    def __init__(self, rows: list[Row], sentences: int) -> None:
        self._bar = tqdm(total=len(rows) * sentences, desc="voice", unit="sentence", disable=None)

    def advance(self, row: Row) -> None:
        self._bar.set_postfix_str(row.name)
        self._bar.update()

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()


def _voices(said: tuple[str, ...]) -> dict[str, str]:
    if wrong := [each for each in said if each.count("=") != 1]:
        raise click.BadParameter(f"{wrong[0]!r} is not NAME=FLITE, such as awb=awb", param_hint="--voice")
    return dict(each.split("=") for each in said) if said else dict(FLITE_VOICES)


class _NotJudged(click.ClickException):
    exit_code = 2
