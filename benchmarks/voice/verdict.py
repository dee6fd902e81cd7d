"""voice.json and utterances.jsonl: what was judged, what was heard, and what is counted of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.errors import SchemaError
from benchmarks.machine import Machine
from benchmarks.schema import from_json, read_versioned, to_json
from benchmarks.voice.measures import LEAST_RATIO, MOST_RATIO, looped
from benchmarks.voice.sets import Sentence
from benchmarks.voice.speaking import STOPPED
from benchmarks.voice.words import Errors, compared, errors, word_error_rate

VOICE_SCHEMA = "talkspurt.bench.voice"
VOICE_VERSION = 1
VOICE_FILE = "voice.json"
UTTERANCES_FILE = "utterances.jsonl"

SOURCE, VOCODER, TOKENS, SPEECH = "source", "vocoder", "tokens to audio", "text to speech"
"""Stages: each does less by itself and more by the model."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One sentence of a row; None where there is nothing to measure."""

    row: int
    sentence: int
    heard: str
    seconds: float
    length_ratio: float | None
    """To the source's."""
    ended: str
    """How T3 ended: "stop", or what stopped it."""
    seam_jump: float | None
    mel_l1: float | None
    """To the same sentence of the row that this one is compared with."""
    like_mel: bool | None
    """Whether its mean mel is nearer to its own voice's source than to the other's."""
    like_xvector: bool | None


@dataclass(frozen=True, slots=True)
class Row:
    """One stage, spoken one way by one voice."""

    stage: str
    way: str
    mode: str
    voice: str
    compared_with: int | None
    """The row that mel_l1 is measured against."""

    @property
    def name(self) -> str:
        return ", ".join(filter(None, (self.stage, self.way, self.mode, self.voice)))


@dataclass(frozen=True, slots=True)
class Timed:
    """One utterance on one core."""

    way: str
    first_audio_s: float
    total_s: float
    audio_s: float
    t3_s: float
    s3gen_s: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """voice.json, whole; its utterances lie beside it."""

    schema: str
    version: int
    began: str
    label: str
    machine: Machine
    load_average: float
    seed: int
    sets_version: int
    sets_digest: str
    listener: dict[str, str]
    settings: dict[str, Any]
    """By way: what the engine was told."""
    sentences: tuple[Sentence, ...]
    rows: tuple[Row, ...]
    sample: int
    """The sentence that the page shows at every stage."""
    timed: tuple[Timed, ...]


@dataclass(frozen=True, slots=True)
class Count:
    """A row's utterances of one set, or of all, counted."""

    utterances: int
    word_error_rate: float
    stopped: float | None
    """Share that ended by themselves."""
    in_length: float | None
    """Share whose length is 0.8 to 1.25 of the source's."""
    length_ratio: float | None
    """Median."""
    loops: int
    seam_jump: float | None
    """Median over utterances with seams."""
    mel_l1: float | None
    like_mel: float | None
    like_xvector: float | None


def count(verdict: Verdict, utterances: Sequence[Utterance], row: int, sentence_set: str | None) -> Count:
    """Of ``row``; of one set of sentences, or of all with None."""
    of_row = [each for each in utterances if each.row == row]
    found = [each for each in of_row if sentence_set in (None, verdict.sentences[each.sentence].set)]
    ratios = [each.length_ratio for each in found if each.length_ratio is not None]
    ends = [each.ended == STOPPED for each in found if each.ended]
    jumps = [each.seam_jump for each in found if each.seam_jump is not None]
    distances = [each.mel_l1 for each in found if each.mel_l1 is not None]
    said = [compared(verdict.sentences[each.sentence].spoken) for each in found]
    heard = [compared(each.heard) for each in found]
    return Count(
        utterances=len(found),
        word_error_rate=word_error_rate(errors_of(verdict, each) for each in found),
        stopped=_share(ends),
        in_length=_share([LEAST_RATIO <= ratio <= MOST_RATIO for ratio in ratios]),
        length_ratio=median(ratios) if ratios else None,
        loops=sum(map(looped, said, heard)),
        seam_jump=median(jumps) if jumps else None,
        mel_l1=sum(distances) / len(distances) if distances else None,
        like_mel=_share([each.like_mel for each in found if each.like_mel is not None]),
        like_xvector=_share([each.like_xvector for each in found if each.like_xvector is not None]),
    )


def errors_of(verdict: Verdict, utterance: Utterance) -> Errors:
    """What was heard against what was to be said."""
    return errors(compared(verdict.sentences[utterance.sentence].spoken), compared(utterance.heard))


def _share(found: Sequence[bool]) -> float | None:
    return sum(found) / len(found) if found else None


def write_verdict(folder: Path, verdict: Verdict, utterances: Sequence[Utterance]) -> None:
    """Write both files into ``folder``, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(to_json(each), separators=(",", ":")) for each in utterances)
    (folder / UTTERANCES_FILE).write_text("".join(line + "\n" for line in lines))
    (folder / VOICE_FILE).write_text(json.dumps(to_json(verdict), indent=1) + "\n")


def read_verdict(folder: Path) -> tuple[Verdict, list[Utterance]]:
    """Read both. Raises SchemaError."""
    value = read_versioned(folder / VOICE_FILE, VOICE_SCHEMA, VOICE_VERSION)
    path = folder / UTTERANCES_FILE
    try:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
    except OSError as error:
        raise SchemaError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise SchemaError(f"{path}: not JSON") from None
    return from_json(Verdict, value), [from_json(Utterance, line) for line in lines]
