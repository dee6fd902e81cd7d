"""The judgement: every stage's audio through the phone to the listener, and what is measured on the way."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from benchmarks.voice.errors import JudgeFailed
from benchmarks.voice.hearing import Ears, Heard
from benchmarks.voice.measures import heard_mel, mel_l1, seam_jump, timbre
from benchmarks.voice.natural import say
from benchmarks.voice.phone import through_phone
from benchmarks.voice.rendered import Rendered
from benchmarks.voice.sets import Sentence
from benchmarks.voice.speaking import speak
from benchmarks.voice.verdict import SOURCE, SPEECH, TOKENS, VOCODER, Row, Utterance
from benchmarks.voice.vocoding import Vocoding
from benchmarks.voice.ways import ONE_SHOT, STREAMED, Setup
from benchmarks.voice.windows import Encoders, synthesize
from engines.engine import open_backend
from engines.rates import SAMPLE_RATE_HZ

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """All that came of it."""

    rows: tuple[Row, ...]
    utterances: tuple[Utterance, ...]
    samples: tuple[Floats, ...]  # of each row, the sentence that is shown: (n,) at 24 kHz


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An utterance whose words are not known yet."""

    measured: dict[str, object]
    heard: Heard


def plan_rows(setup: Setup) -> list[Row]:
    """What is judged, in order: the first way and voice in full, the others streamed and against it."""
    first_voice, *other_voices = setup.voices
    rows = [Row(SOURCE, "", "", voice, None) for voice in setup.voices]
    if setup.weights is not None:
        rows.append(Row(VOCODER, "pytorch", "", first_voice, 0))
    ways = setup.chosen_ways()
    if not ways:
        return rows
    first_way, *other_ways = ways
    whole = len(rows)
    rows.append(Row(TOKENS, first_way, ONE_SHOT, first_voice, 0))
    rows.append(Row(TOKENS, first_way, STREAMED, first_voice, whole))
    rows += [Row(TOKENS, way, STREAMED, first_voice, whole + 1) for way in other_ways]
    whole = len(rows)
    rows.append(Row(SPEECH, first_way, ONE_SHOT, first_voice, None))
    rows.append(Row(SPEECH, first_way, STREAMED, first_voice, whole))
    rows += [Row(SPEECH, way, STREAMED, first_voice, None) for way in other_ways]
    for voice in other_voices:
        rows.append(Row(TOKENS, first_way, STREAMED, voice, None))
        rows.append(Row(SPEECH, first_way, STREAMED, voice, None))
    return rows


def judge(
    setup: Setup,
    sentences: Sequence[Sentence],
    sample: int,
    listener: Ears,
    on_done: Callable[[Row], None] = lambda row: None,
) -> Judged:
    """Render every row and have it heard; ``on_done`` is told of every sentence heard, by any thread.

    Raises BenchError, EngineError.
    """
    rows = plan_rows(setup)
    stages = _Stages(setup, sentences)
    kept = {row.compared_with for row in rows}
    mels: dict[tuple[int, int], Floats] = {}
    waiting: list[_Waiting] = []
    samples = []
    for number, row in enumerate(rows):
        for index, rendered in enumerate(stages.render(row)):
            mel = heard_mel(rendered.samples)
            if number in kept:
                mels[number, index] = mel
            against = None if row.compared_with is None else mels[row.compared_with, index]
            measured = {
                "row": number,
                "sentence": index,
                **stages.measure(row, index, rendered),
                "mel_l1": None if against is None else _distance(row, mel, against),
            }
            heard = listener.hear(through_phone(rendered.samples))
            heard.add_done_callback(partial(_tell, on_done, row))
            waiting.append(_Waiting(measured, heard))
            if index == sample:
                samples.append(rendered.samples)
    utterances = tuple(_utterance(each) for each in waiting)
    return Judged(tuple(rows), utterances, tuple(samples))


def _tell(on_done: Callable[[Row], None], row: Row, heard: Heard) -> None:
    on_done(row)


def _utterance(waiting: _Waiting) -> Utterance:
    return Utterance(heard=waiting.heard.result(), **waiting.measured)  # type: ignore[arg-type]


def _distance(row: Row, mel: Floats, against: Floats) -> float | None:
    """A vocoder's and S3Gen's audio has whole frames and tokens: what it has beyond the source is cut."""
    if row.compared_with == 0:
        frames = min(len(mel), len(against))
        mel, against = mel[:frames], against[:frames]
    return mel_l1(mel, against)


class _Stages:
    """What each stage needs, opened when its first row comes."""

    def __init__(self, setup: Setup, sentences: Sequence[Sentence]) -> None:
        self._setup, self._sentences = setup, sentences
        self._said: dict[tuple[str, int], Floats] = {}
        self._codes: dict[tuple[str, int], tuple[int, ...]] = {}
        self._likeness: dict[tuple[str, int, str], Floats] = {}

    def render(self, row: Row) -> Iterator[Rendered]:
        """Every sentence of a row, in order."""
        if row.stage == SPEECH:
            config = self._setup.config(row.way, row.mode)
            yield from speak(config, row.voice, (each.text for each in self._sentences), self._setup.seed)
        elif row.stage == TOKENS:
            yield from self._tokens(row)
        else:
            for index in range(len(self._sentences)):
                said = self._source(row.voice, index)
                vocoded = row.stage == VOCODER
                yield self._vocoding.render(said, self._setup.seed + index) if vocoded else Rendered(said)

    def measure(self, row: Row, index: int, rendered: Rendered) -> dict[str, object]:
        """What needs no listener and no other row."""
        source = self._source(row.voice, index)
        samples = rendered.samples
        spoken = row.stage != SOURCE and len(samples) > SAMPLE_RATE_HZ // 10
        return {
            "seconds": round(len(samples) / SAMPLE_RATE_HZ, 3),
            "length_ratio": None if row.stage == SOURCE else round(len(samples) / len(source), 4),
            "ended": rendered.ended,
            "seam_jump": seam_jump(samples, rendered.seams),
            "like_mel": self._is_like(row, index, samples, "mel") if spoken else None,
            "like_xvector": self._is_like(row, index, samples, "xvector") if spoken else None,
        }

    def _tokens(self, row: Row) -> Iterator[Rendered]:
        setup = self._setup
        config = setup.config(row.way, row.mode)
        backend = open_backend(config)
        voice = backend.voices.get(row.voice)
        if voice is None:
            known = ", ".join(sorted(backend.voices))
            raise JudgeFailed(f"the model has no voice {row.voice!r}; it has {known}")
        for index in range(len(self._sentences)):
            codes = self._source_codes(row.voice, index)
            yield synthesize(backend, config, voice, codes, setup.seed + index)

    def _source(self, voice: str, index: int) -> Floats:
        key = (voice, index)
        if key not in self._said:
            self._said[key] = say(self._sentences[index].spoken, self._setup.voices[voice]).samples
        return self._said[key]

    def _source_codes(self, voice: str, index: int) -> tuple[int, ...]:
        key = (voice, index)
        if key not in self._codes:
            self._codes[key] = self._encoders.codes(self._source(voice, index))
        return self._codes[key]

    def _is_like(self, row: Row, index: int, samples: Floats, kind: str) -> bool | None:
        """Whether it is nearer to its own voice's source of the sentence than to any other's."""
        others = [voice for voice in self._setup.voices if voice != row.voice]
        if not others or row.stage == VOCODER:
            return None
        made = self._kinds[kind](samples)
        nearness = {voice: float(made @ self._natural(voice, index, kind)) for voice in self._setup.voices}
        return all(nearness[row.voice] > nearness[voice] for voice in others)

    def _natural(self, voice: str, index: int, kind: str) -> Floats:
        key = (voice, index, kind)
        if key not in self._likeness:
            self._likeness[key] = self._kinds[kind](self._source(voice, index))
        return self._likeness[key]

    @cached_property
    def _kinds(self) -> dict[str, Callable[[Floats], Floats]]:
        """What likeness is measured in: directions, compared by their cosine."""
        return {
            "mel": lambda samples: _direction(timbre(samples)),
            "xvector": lambda samples: _direction(self._encoders.xvector(samples)),
        }

    @cached_property
    def _encoders(self) -> Encoders:
        return Encoders.open(self._setup.config(self._setup.chosen_ways()[0], STREAMED))

    @cached_property
    def _vocoding(self) -> Vocoding:
        assert self._setup.weights is not None, "there is no row of the vocoder without weights"
        return Vocoding(self._setup.weights)


def _direction(vector: Floats) -> Floats:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)
