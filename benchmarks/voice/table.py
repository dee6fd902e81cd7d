"""Pure: a verdict as tables, for the terminal and for the page."""

from collections.abc import Sequence
from statistics import median

from benchmarks.distribution import percentile
from benchmarks.voice.sets import GENERAL, TELEPHONE
from benchmarks.voice.verdict import Count, Timed, Utterance, Verdict, count

HEAD = (
    *("stage", "WER general %", "telephone %", "all %", "n"),
    *(
        "stopped %",
        "length 0.8–1.25 %",
        "length",
        "loops",
        "seam jump",
        "mel L1",
        "like mel %",
        "like x-vector %",
    ),
)
TIME_HEAD = ("one core", "n", "first audio p50 ms", "p95 ms", "RTF p50", "RTF p95", "T3 s/s", "S3Gen s/s")


def rows(verdict: Verdict, utterances: Sequence[Utterance]) -> list[list[str]]:
    """One a row of the verdict, its cells under HEAD."""
    found = []
    for number, row in enumerate(verdict.rows):
        counts = [count(verdict, utterances, number, each) for each in (GENERAL, TELEPHONE, None)]
        found.append([row.name, *(_percent(_rate(each)) for each in counts), *_rest(counts[-1])])
    return found


def time_rows(verdict: Verdict) -> list[list[str]]:
    """One a way that was timed, its cells under TIME_HEAD."""
    ways = dict.fromkeys(each.way for each in verdict.timed)
    return [_time_row(way, [each for each in verdict.timed if each.way == way]) for way in ways]


def format_verdict(verdict: Verdict, utterances: Sequence[Utterance]) -> str:
    """Markdown: what is printed when a judgement ends."""
    tables = [_markdown(HEAD, rows(verdict, utterances))]
    if verdict.timed:
        tables.append(_markdown(TIME_HEAD, time_rows(verdict)))
    return "\n\n".join(tables)


def _rest(counted: Count) -> list[str]:
    return [
        str(counted.utterances),
        _percent(counted.stopped),
        _percent(counted.in_length),
        _number(counted.length_ratio),
        str(counted.loops),
        _number(counted.seam_jump),
        _number(counted.mel_l1, 3),
        _percent(counted.like_mel),
        _percent(counted.like_xvector),
    ]


def _rate(counted: Count) -> float | None:
    return counted.word_error_rate if counted.utterances else None


def _time_row(way: str, timed: Sequence[Timed]) -> list[str]:
    first_ms = sorted(1_000 * each.first_audio_s for each in timed)
    factors = sorted(each.total_s / each.audio_s for each in timed)
    return [
        way,
        str(len(timed)),
        f"{percentile(first_ms, 50):.0f}",
        f"{percentile(first_ms, 95):.0f}",
        _number(percentile(factors, 50), 3),
        _number(percentile(factors, 95), 3),
        _number(median(each.t3_s / each.audio_s for each in timed), 3),
        _number(median(each.s3gen_s / each.audio_s for each in timed), 3),
    ]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"


def _number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    made = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join([*made, *(f"| {' | '.join(line)} |" for line in lines)])
