"""`talkspurt bench`: measure, look again, compare.

The exit code is 1 when a request failed (a refused one has not), and 2 when nothing was measured.
"""

import contextlib
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from benchmarks import line as line_capacity
from benchmarks import reference as against
from benchmarks.arrivals import ARRIVALS_VERSION, arrivals_ns
from benchmarks.chosen import Chosen, load_options
from benchmarks.compare import compare_runs, format_comparison, render_comparison
from benchmarks.doubts import doubts
from benchmarks.errors import BenchError
from benchmarks.line_report import (
    LINE_FILE,
    LINE_SCHEMA,
    LINE_VERSION,
    read_line_run,
    render_line,
    write_line,
)
from benchmarks.machine import inspect_machine, load_average
from benchmarks.record import Outcome, RequestRecord
from benchmarks.report import render_report
from benchmarks.results import RUN_SCHEMA, RUN_VERSION, Run, Texts, read_requests, read_run, write_run
from benchmarks.summary import summarize
from benchmarks.targets.base import Target, require_loopback
from benchmarks.targets.load import LoadResult, Schedule, put_load
from benchmarks.terminal import format_summary
from benchmarks.texts import TEXTS_VERSION, TextSet, make_texts, texts_digest
from benchmarks.voice.command import voice
from benchmarks.voice.report import render_verdict
from benchmarks.voice.verdict import VOICE_FILE, read_verdict
from telephony.errors import UnsupportedFormat

REPORT_FILE = "report.html"
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_OVERHEAD_DEFAULTS = {"protocol": "ws", "rate": 50.0, "duration": 20.0, "text_set": "short"}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def bench() -> None:
    """Measure a server, an engine or the phone line, from outside. METHODOLOGY.md defines the metrics."""


@bench.command()
@load_options
def run(**chosen: Any) -> None:
    """Put an open-loop load on a target and report what came back."""
    _measure(Chosen(**chosen), ask_engine_ms=False)


@bench.command(context_settings={"default_map": _OVERHEAD_DEFAULTS})
@load_options
def overhead(**chosen: Any) -> None:
    """What the server adds to the engine: dispatch to first packet, less the engine's own part."""
    if chosen["protocol"] not in ("ws", "rtp"):
        raise click.UsageError("the engine's part is told on ws and rtp only")
    _measure(Chosen(**chosen), ask_engine_ms=True)


@bench.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def report(folder: Path) -> None:
    """Write report.html again from the files of a run, a sweep or a judgement."""
    with _said_plainly():
        if (folder / VOICE_FILE).exists():
            html = render_verdict(folder, *read_verdict(folder))
        elif (folder / LINE_FILE).exists():
            html = render_line(read_line_run(folder))
        else:
            html = render_report(read_run(folder), read_requests(folder))
    _write_page(folder / REPORT_FILE, html)


@bench.command()
@click.argument("first", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("second", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Also write a page.")
def compare(first: Path, second: Path, html: Path | None) -> None:
    """Put two runs side by side."""
    with _said_plainly():
        runs = read_run(first), read_run(second)
    click.echo(format_comparison(compare_runs(*runs)))
    if html is not None:
        _write_page(html, render_comparison(*runs))


@bench.command()
@click.option(
    "--calls", type=click.IntRange(1, line_capacity.MAX_CALLS), multiple=True, help="Repeat for more."
)
@click.option(
    "--seconds", type=click.FloatRange(1, line_capacity.MAX_SECONDS), default=10.0, show_default=True
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("out/line"))
def line(calls: tuple[int, ...], seconds: float, out: Path) -> None:
    """How many paced calls one process plays in time, when the audio is ready."""
    busy, began = load_average(), _now()
    with _said_plainly():
        sweep = tqdm(calls or line_capacity.SWEEP, desc="line", unit="point", disable=None)
        points = tuple(line_capacity.measure_line(count, seconds) for count in sweep)
    made = line_capacity.LineRun(LINE_SCHEMA, LINE_VERSION, began, inspect_machine(), busy, points)
    write_line(out, made)
    click.echo(line_capacity.format_line(points))
    for doubt in made.doubts:
        click.echo(f"mind: {doubt}")
    _write_page(out / REPORT_FILE, render_line(made))


@bench.command()
@click.option("--weights", type=_FOLDER, required=True, help="The official files, or a likeness of them.")
@click.option("--graphs", type=_FOLDER, required=True, help="What `export onnx` made of them.")
@click.option("--oracle", type=click.Path(exists=True, path_type=Path), default=Path(".oracle/bin/python"))
@click.option("--label", required=True, help="What the weights are: trained, or random.")
@click.option("--way", "ways", type=click.Choice(list(against.WAYS)), multiple=True, help="Repeat for more.")
@click.option("--rounds", type=click.IntRange(1, 20), default=3, show_default=True)
@click.option("--threads", type=click.IntRange(1, 64), default=2, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("out/reference"))
def reference(label: str, out: Path, **chosen: Any) -> None:
    """Ours against the reference implementation, on the same cores in the same run."""
    busy, began = load_average(), _now()
    setup = against.Setup(**{**chosen, "ways": chosen["ways"] or tuple(against.WAYS)})
    steps = setup.rounds * (len(setup.ways) + 1)
    with _said_plainly(), tqdm(total=steps, desc="reference", unit="process", disable=None) as bar:
        timed = against.measure(setup, lambda: bar.update() and None)
    made = against.ReferenceRun(
        schema=against.REFERENCE_SCHEMA,
        version=against.REFERENCE_VERSION,
        began=began,
        machine=inspect_machine(),
        load_average=busy,
        model=chosen["weights"].name,
        weights=label,
        threads=setup.threads,
        seed=setup.seed,
        utterances=timed,
    )
    against.write_reference(out, made)
    click.echo(against.format_reference(made))


bench.add_command(voice)


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m benchmarks`; the exit code."""
    try:
        code = bench.main(args=argv, prog_name="talkspurt bench", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return 130  # 128 + SIGINT
    return code if isinstance(code, int) else 0


def _measure(chosen: Chosen, ask_engine_ms: bool) -> None:
    """Run, write, show."""
    with _said_plainly():
        texts = make_texts(len(arrivals_ns(chosen.load)), chosen.seed, TextSet(chosen.text_set))
        schedule = _schedule(chosen, texts)
        machine, busy, began = inspect_machine(), load_average(), _now()
        brought = _put_load(_make_target(chosen, ask_engine_ms), schedule)
    made = Run(
        schema=RUN_SCHEMA,
        version=RUN_VERSION,
        began=began,
        protocol=chosen.protocol,
        target=chosen.target if chosen.protocol != "engine" else "in-process",
        options=chosen.options,
        encoding="float32" if chosen.protocol == "engine" else schedule.audio_format.encoding.value,
        sample_rate=schedule.audio_format.rate_hz,
        jitter_buffer_ms=chosen.replay_buffer_ms,
        timeout_s=chosen.timeout_s,
        load=chosen.load,
        arrivals_version=ARRIVALS_VERSION,
        texts=Texts(TEXTS_VERSION, chosen.text_set, texts_digest(texts)),
        machine=machine,
        load_average=busy,
        client_cores=brought.client_cores,
        server=brought.server,
        summary=summarize(brought.records, chosen.replay_buffer_ms),
    )
    write_run(chosen.out, made, brought.records)
    click.echo(format_summary(made.summary))
    for doubt in doubts(made):
        click.echo(f"mind: {doubt}")
    _write_page(chosen.out / REPORT_FILE, render_report(made, brought.records))
    if made.summary.any_failed:
        raise click.exceptions.Exit(1)


def _schedule(chosen: Chosen, texts: Sequence[str]) -> Schedule:
    load = chosen.load
    return Schedule(arrivals_ns(load), texts, load.measured_from_ns, chosen.audio_format, chosen.timeout_s)


def _make_target(chosen: Chosen, ask_engine_ms: bool) -> Target:
    """Import and make the target; each protocol's libraries are loaded only for it."""
    if chosen.protocol == "engine":
        from benchmarks.targets.engine import EngineTarget

        return EngineTarget(chosen.engine, chosen.profile, chosen.voice)
    url = require_loopback(chosen.target, chosen.allow_remote)
    if chosen.protocol == "ws":
        from benchmarks.targets.websocket import WebSocketTarget

        return WebSocketTarget(url, chosen.audio_format, chosen.voice, chosen.pacing)
    if chosen.protocol == "rtp":
        from benchmarks.targets.rtp import RtpTarget

        made = (url, chosen.audio_format, chosen.voice, chosen.timeout_s, chosen.rtp_host, ask_engine_ms)
        return RtpTarget(*made)
    from benchmarks.targets.http import HttpTarget

    return HttpTarget(url, chosen.audio_format, chosen.voice, chosen.timeout_s)


def _put_load(target: Target, schedule: Schedule) -> LoadResult:
    with tqdm(total=len(schedule.arrivals_ns), unit="request", disable=None) as bar:
        incomplete = {Outcome.REFUSED: 0, Outcome.FAILED: 0}

        def on_record(record: RequestRecord) -> None:
            bar.update()
            if record.outcome in incomplete:
                incomplete[record.outcome] += 1
                bar.set_postfix({outcome.value: count for outcome, count in incomplete.items()})

        return put_load(target, schedule, on_record)


@contextlib.contextmanager
def _said_plainly() -> Iterator[None]:
    """Our own errors are for the person at the terminal: one sentence, no traceback."""
    try:
        yield
    except (BenchError, UnsupportedFormat) as error:
        raise _NotMeasured(str(error)) from error


class _NotMeasured(click.ClickException):
    exit_code = 2


def _write_page(path: Path, html: str) -> None:
    path.write_text(html, encoding="utf-8")
    click.echo(f"\n{path}")


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
