"""A verdict as one HTML page: one sentence at every stage to see and hear, then the counts."""

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from pathlib import Path

from benchmarks.page import card, facts, page, table, tile, tiles
from benchmarks.voice import table as tables
from benchmarks.voice.samples import picture, sound
from benchmarks.voice.verdict import SOURCE, SPEECH, TOKENS, VOCODER, Utterance, Verdict, count, errors_of

_WORST = 12


def render_verdict(folder: Path, verdict: Verdict, utterances: Sequence[Utterance]) -> str:
    """The page of a judgement whose samples lie in ``folder``."""
    told = verdict.sentences[verdict.sample]
    body = [
        tiles(_tiles(verdict, utterances)),
        card("One sentence, stage by stage", f"“{told.text}” Up to 8 kHz; the audio is the phone's.", ""),
        '<div class="grid">',
        *_shown(folder, verdict, utterances),
        "</div>",
        card(
            "Understood through the telephone",
            "WER: word error rate of pocketsphinx after 8 kHz mu-law, in percent",
            table(tables.HEAD, tables.rows(verdict, utterances)),
        ),
        _time_card(verdict),
        card("Worst heard", f"Of {_last_stage(verdict)}, first way", _worst(verdict, utterances)),
        card("What was judged", "", facts(_facts(verdict))),
    ]
    subtitle = f"{verdict.label} · {len(verdict.sentences)} sentences · {verdict.began}"
    return page("How well it is understood", "Talkspurt bench", subtitle, [each for each in body if each])


def _tiles(verdict: Verdict, utterances: Sequence[Utterance]) -> list[str]:
    """The first row of each stage and mode."""
    made, told = [], set()
    for number, row in enumerate(verdict.rows):
        kind = (row.stage, row.mode)
        if kind not in told:
            told.add(kind)
            rate = 100 * count(verdict, utterances, number, None).word_error_rate
            made.append(tile(" ".join(filter(None, kind)), f"{rate:.1f}", "% WER", row.way))
    return made


def _shown(folder: Path, verdict: Verdict, utterances: Sequence[Utterance]) -> list[str]:
    cards = []
    heard = {each.row: each.heard for each in utterances if each.sentence == verdict.sample}
    for number, row in enumerate(verdict.rows):
        if not (picture(folder, number).is_file() and sound(folder, number).is_file()):
            continue
        name = escape(row.name, quote=True)
        image = _inline(picture(folder, number), "image/png")
        audio = _inline(sound(folder, number), "audio/wav")
        body = (
            f'<figure><img src="{image}" alt="Spectrogram: {name}" style="width:100%;height:180px"></figure>'
            f'<audio controls preload="none" src="{audio}" style="width:100%;margin-top:8px"></audio>'
        )
        cards.append(card(row.name, f"heard: {heard.get(number, '')}", body))
    return cards


def _inline(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{b64encode(path.read_bytes()).decode()}"


def _time_card(verdict: Verdict) -> str:
    if not verdict.timed:
        return ""
    note = "From the text to the first chunk, 20 ms of silence included; RTF: until the last, over the audio"
    return card("On one core", note, table(tables.TIME_HEAD, tables.time_rows(verdict)))


def _worst(verdict: Verdict, utterances: Sequence[Utterance]) -> str:
    row = next(number for number, each in enumerate(verdict.rows) if each.stage == _last_stage(verdict))
    found = sorted(
        (each for each in utterances if each.row == row),
        key=lambda each: -errors_of(verdict, each).total,
    )[:_WORST]
    lines = [
        (
            f"{errors_of(verdict, each).total} of {errors_of(verdict, each).words}",
            _said_and_heard(verdict, each),
        )
        for each in found
    ]
    return facts(lines)


def _last_stage(verdict: Verdict) -> str:
    stages = {row.stage for row in verdict.rows}
    return next(stage for stage in (SPEECH, TOKENS, VOCODER, SOURCE) if stage in stages)


def _said_and_heard(verdict: Verdict, utterance: Utterance) -> str:
    return f"{verdict.sentences[utterance.sentence].spoken} → {utterance.heard or '(nothing)'}"


def _facts(verdict: Verdict) -> list[tuple[str, str]]:
    machine = verdict.machine
    return [
        ("Machine", f"{machine.cpu}, {machine.cores} cores, {machine.memory_mib / 1024:.1f} GiB"),
        ("System", f"{machine.system}, {machine.python}"),
        ("Load average before", f"{verdict.load_average:.2f}"),
        ("Commit", machine.commit or "unknown"),
        ("Listener", ", ".join(f"{name} {said}" for name, said in verdict.listener.items())),
        ("Sentences", f"version {verdict.sets_version}, {verdict.sets_digest}"),
        ("Seed", str(verdict.seed)),
        *((f"Engine: {way}", _told(said)) for way, said in verdict.settings.items()),
    ]


def _told(settings: object) -> str:
    return (
        ", ".join(f"{name} {said}" for name, said in settings.items()) if isinstance(settings, dict) else ""
    )
