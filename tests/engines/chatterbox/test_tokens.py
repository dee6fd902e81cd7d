"""The token lane on a small T3: exact whoever shares the batch, whatever is tried again, however it ends."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

from engines.backends.base import TokenRow, TokenStart, Voice
from engines.chatterbox.runon import MAX_CYCLING_TOKENS, MAX_SILENCE_TOKENS
from engines.chatterbox.tokens import ChatterboxTokens
from engines.errors import SpeechFailed
from engines.model import SILENCE_TOKEN
from engines.rates import START_TOKEN, STOP_TOKEN
from engines.sampling import Sampling, choose, uniform_at
from tests.engines.chatterbox.t3_runner import SMALL, Arrays, Bytes, T3Runner, random_net, voice

ANNA, BEN = voice(0), voice(1, prompt_tokens=11)
T3 = SMALL.t3
ENDING = [SILENCE_TOKEN] * 3 + [STOP_TOKEN]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make(runner: T3Runner | None = None, **options: Any) -> ChatterboxTokens:
    return ChatterboxTokens(runner or T3Runner(NET), SMALL, Bytes(), **options)


NET = random_net()


@dataclass
class Row:
    """One row as the scheduler drives it."""

    slot: int
    text: str
    voice: Voice = ANNA
    seed: int = 1
    state: Any = None
    tokens: list[int] = field(default_factory=list)

    @property
    def start(self) -> TokenStart:
        return TokenStart(self.slot, self.text, self.voice, self.seed)

    @property
    def next(self) -> TokenRow:
        return TokenRow(self.slot, self.state, self.tokens[-1], len(self.tokens), self.seed)


def start(model: ChatterboxTokens, *rows: Row) -> None:
    for row, started in zip(rows, model.start([row.start for row in rows]), strict=True):
        row.state, row.tokens = started.state, [started.token]


def step(model: ChatterboxTokens, *rows: Row) -> None:
    for row, token in zip(rows, model.step([row.next for row in rows]), strict=True):
        row.tokens.append(token)


def speak(model: ChatterboxTokens, row: Row, tokens: int = 12) -> list[int]:
    """A row alone, from its start to ``tokens`` tokens or its end; its place is given back."""
    start(model, row)
    while len(row.tokens) < tokens and row.tokens[-1] != STOP_TOKEN:
        step(model, row)
    model.stop(row.slot, row.state)
    return row.tokens


def alone(text: str, of: Voice = ANNA, seed: int = 1, tokens: int = 12) -> list[int]:
    return speak(make(), Row(0, text, of, seed), tokens)


def allow(*codes: int) -> Callable[[Arrays, Arrays], None]:
    """Edits logits so that the model can say these codes only."""

    def edit(inputs: Arrays, outputs: Arrays) -> None:
        kept = outputs["logits"][:, list(codes)].copy()
        outputs["logits"][:] = -1e4
        outputs["logits"][:, list(codes)] = kept

    return edit


def script(codes: list[int]) -> Callable[[Arrays, Arrays], None]:
    """Edits logits so that the model says ``codes`` one after another, and STOP behind them."""
    said = iter(codes)

    def edit(inputs: Arrays, outputs: Arrays) -> None:
        if inputs["ids"][0, 0] != T3.speaker_id:
            outputs["logits"][:] = -50
            outputs["logits"][:, next(said, STOP_TOKEN)] = 50

    return edit


# The sequence


def test_it_reads_speaker_prompt_text_and_start_and_samples_by_seed_and_position() -> None:
    """Against one plain pass of the net over everything, at every code."""
    row = Row(3, "so", BEN, seed=9)
    model = make()
    start(model, row)
    for _ in range(8):
        step(model, row)
    codes = BEN.conditioning.t3_prompt.tolist()
    ids = [T3.speaker_id, *(T3.first_speech_id + code for code in codes), *b"So."]
    ids.append(T3.first_speech_id + START_TOKEN)
    nothing = [torch.zeros(1, T3.heads, 0, T3.head_width)] * (2 * T3.layers)
    speaker = torch.from_numpy(BEN.conditioning.speaker)[None]
    heard = np.zeros(STOP_TOKEN + 1, np.bool_)
    said: list[int] = []
    for position in range(9):
        given = torch.tensor([ids + [T3.first_speech_id + code for code in said]])
        length = torch.tensor([given.shape[1]])
        logits = NET(given, length, speaker, torch.tensor([0]), *nothing)[0][0].numpy().copy()
        logits[START_TOKEN] = -np.inf
        said.append(choose(logits, heard, Sampling(), uniform_at(9, position)))
        heard[said[-1]] = True
    assert row.tokens == said
    assert len(set(said)) > 5  # a net that says one thing would prove nothing


def test_a_voice_is_computed_once() -> None:
    runner = T3Runner(NET)
    model = make(runner)
    for text in ("one", "two", "three"):
        speak(model, Row(0, text), tokens=1)
    lengths = [call["ids"].shape[1] for call in runner.calls]
    assert lengths == [21, len("One.") + 1, len("Two.") + 1, len("Three.") + 1]


def test_the_voice_not_used_for_longest_goes() -> None:
    runner, model = (runner := T3Runner(NET)), make(runner, max_prefixes=2)
    for speaker in (ANNA, BEN, ANNA, voice(2), ANNA, BEN):
        speak(model, Row(0, "x", speaker), tokens=1)
    computed = [call for call in runner.calls if call["ids"][0, 0] == T3.speaker_id]
    assert len(computed) == 4  # Anna, Ben, the third, and Ben again
    assert len(model.prefixes) == 2


def test_a_prompt_longer_than_the_models_is_cut_as_the_reference_cuts_it() -> None:
    long = voice(5, prompt_tokens=30)
    short = voice(5)
    short.conditioning.t3_prompt[:] = long.conditioning.t3_prompt[:20]
    object.__setattr__(short.conditioning, "speaker", long.conditioning.speaker)
    assert alone("same", long) == alone("same", short)


def test_a_seed_says_the_same_again_and_another_something_else() -> None:
    assert alone("hello there", seed=4) == alone("hello there", seed=4)
    assert alone("hello there", seed=4) != alone("hello there", seed=5)


# Batches


def test_rows_started_together_say_what_each_says_alone() -> None:
    model = make()
    rows = [Row(0, "a longer text here", ANNA, 1), Row(5, "hm", BEN, 2), Row(2, "middling", BEN, 3)]
    start(model, *rows)
    assert model.arena.lengths.tolist() == [21 + len("A longer text here.") + 1, 12 + 4, 12 + 10]
    for _ in range(11):
        step(model, *rows)
    assert [row.tokens for row in rows] == [alone(row.text, row.voice, row.seed) for row in rows]


def test_whoever_is_asked_whenever_in_whatever_order_each_says_its_own() -> None:
    random = np.random.default_rng(0)
    model = make(max_rows=6)
    waiting = [Row(0, f"text number {i}", (ANNA, BEN)[i % 2], seed=i) for i in range(14)]
    rows: dict[int, Row] = {}
    done: list[Row] = []
    while waiting or rows:
        free = [slot for slot in range(6) if slot not in rows]
        if waiting and free and random.random() < 0.5:
            new = [waiting.pop() for _ in range(min(len(waiting), len(free), int(random.integers(1, 4))))]
            for row, slot in zip(new, random.permutation(free), strict=False):
                row.slot = int(slot)
                rows[row.slot] = row
            start(model, *new)
        asked = [row for row in rows.values() if random.random() < 0.6]
        random.shuffle(asked)  # type: ignore[arg-type]
        if asked:
            step(model, *asked)
        for row in [row for row in rows.values() if len(row.tokens) >= 12 or random.random() < 0.05]:
            model.stop(row.slot, row.state)
            done.append(rows.pop(row.slot))
    assert model.arena.rows == 0
    for row in done:
        assert row.tokens == alone(row.text, row.voice, row.seed, len(row.tokens)), row.text


def test_rows_between_those_asked_are_left_as_they_are() -> None:
    model = make()
    rows = [Row(slot, "abc", seed=slot) for slot in range(3)]
    start(model, *rows)
    for _ in range(5):
        step(model, rows[0], rows[2])
    for _ in range(11):
        step(model, rows[1])
    assert rows[1].tokens == alone("abc", seed=1)


def test_only_the_rows_from_the_first_asked_to_the_last_are_run() -> None:
    runner = T3Runner(NET)
    model = make(runner)
    rows = [Row(slot, "abc") for slot in range(4)]
    start(model, *rows)
    step(model, rows[1], rows[2])
    assert len(runner.calls[-1]["ids"]) == 2


# Trying again


def test_row_by_row_no_run_has_two_rows_and_each_says_its_own() -> None:
    runner = T3Runner(NET)
    model = make(runner, row_by_row=True)
    rows = [Row(0, "One thing."), Row(1, "And another thing.", BEN), Row(2, "Last.")]
    start(model, *rows)
    for _ in range(5):
        step(model, *rows)
    assert {len(call["ids"]) for call in runner.calls} == {1}
    assert [row.tokens for row in rows] == [alone(row.text, row.voice, tokens=6) for row in rows]


def failing(times: int, row_ids: int) -> Callable[[Arrays, Arrays], None]:
    """Raises the first ``times`` times that a run of that many rows is made."""
    left = [times]

    def edit(inputs: Arrays, outputs: Arrays) -> None:
        if len(inputs["ids"]) == row_ids and left[0]:
            left[0] -= 1
            raise MemoryError("out of memory")

    return edit


def test_a_start_that_raised_is_made_again_row_by_row_in_the_same_slots() -> None:
    runner = T3Runner(NET)
    model = make(runner)
    other = Row(7, "other", BEN, 8)
    start(model, other)
    rows = [Row(0, "first", ANNA, 1), Row(1, "second one", BEN, 2)]
    runner.edit = failing(1, 2)
    with pytest.raises(MemoryError):
        start(model, *rows)
    assert model.arena.rows == 1
    start(model, rows[1])
    start(model, rows[0])
    runner.edit = lambda inputs, outputs: None
    for _ in range(11):
        step(model, *rows, other)
    assert [row.tokens for row in (*rows, other)] == [
        alone("first", ANNA, 1),
        alone("second one", BEN, 2),
        alone("other", BEN, 8),
    ]


def test_a_step_that_raised_is_made_again_row_by_row() -> None:
    runner = T3Runner(NET)
    model = make(runner)
    rows = [Row(0, "first", ANNA, 1), Row(1, "second", BEN, 2)]
    start(model, *rows)
    for _ in range(11):
        runner.edit = failing(1, 2)
        with pytest.raises(MemoryError):
            step(model, *rows)
        for row in rows:
            step(model, row)
    assert [row.tokens for row in rows] == [alone("first", ANNA, 1), alone("second", BEN, 2)]


def test_a_step_made_twice_says_the_same() -> None:
    model = make()
    row = Row(0, "again")
    start(model, row)
    for _ in range(11):
        assert model.step([row.next]) == model.step([row.next])
        step(model, row)
    assert row.tokens == alone("again")


@pytest.mark.parametrize("spoil", [np.nan, np.inf])
@pytest.mark.parametrize("output", ["logits", "new_kv"])
def test_a_row_whose_numbers_are_not_finite_fails_alone(output: str, spoil: float) -> None:
    runner = T3Runner(NET)
    model = make(runner)
    good, bad = Row(0, "good"), Row(1, "bad")
    start(model, good, bad)

    def edit(inputs: Arrays, outputs: Arrays) -> None:
        row = np.flatnonzero(inputs["ids"][:, 0] == T3.first_speech_id + bad.tokens[-1])
        where = (row, 5) if output == "logits" else (0, 1, row, 0, 0, 0)
        outputs[output][where] = spoil

    runner.edit = edit
    for _ in range(11):
        assert good.tokens[-1] != bad.tokens[-1], "the edit tells them apart by it"
        with pytest.raises(SpeechFailed, match="not finite"):
            step(model, good, bad)
        with pytest.raises(SpeechFailed, match="not finite"):
            step(model, bad)
        step(model, good)
    model.stop(1, bad.state)
    assert good.tokens == alone("good")
    assert all(np.isfinite(half).all() for half in model.arena.view(0, 1))


def test_a_prefill_that_is_not_finite_fails_and_holds_no_place() -> None:
    def edit(inputs: Arrays, outputs: Arrays) -> None:
        outputs["logits"][0, 0] = np.nan

    runner = T3Runner(NET)
    model = make(runner)
    speak(model, Row(0, "warm"), tokens=1)
    runner.edit = edit
    with pytest.raises(SpeechFailed, match="not finite"):
        start(model, Row(0, "x"))
    assert model.arena.rows == 0


def test_a_voice_that_is_not_finite_fails_and_is_not_kept() -> None:
    broken = voice(3)
    broken.conditioning.speaker[0] = np.nan
    model = make()
    with pytest.raises(SpeechFailed, match="prefix is not finite"):
        start(model, Row(0, "x", broken))
    assert len(model.prefixes) == 0


# Endings


def test_stop_becomes_three_codes_of_silence_then_stop() -> None:
    runner = T3Runner(NET, script([5, 9]))
    model = make(runner)
    assert speak(model, Row(0, "x"), 99) == [5, 9, *ENDING]
    assert model.endings == {"stop": 1}
    assert len(runner.calls) == 4  # the prefix, the text, after 5, after 9: silence needs no model


def test_a_text_that_stops_at_once_is_silence() -> None:
    assert speak(make(T3Runner(NET, script([]))), Row(0, "x"), 99) == ENDING


def test_a_row_may_end_while_others_go_on() -> None:
    runner = T3Runner(NET)
    model = make(runner)
    ending, other = Row(0, "x"), Row(1, "other", seed=6)
    start(model, ending, other)
    ending.tokens[-1] = 4

    def edit(inputs: Arrays, outputs: Arrays) -> None:
        row = np.flatnonzero(inputs["ids"][:, 0] == T3.first_speech_id + 4)
        outputs["logits"][row, STOP_TOKEN] = 1e4

    runner.edit = edit
    for _ in range(4):
        step(model, ending, other)
    assert ending.tokens == [4, *ENDING]
    model.stop(0, ending.state)
    for _ in range(7):
        step(model, other)
    assert other.tokens == alone("other", seed=6)


def test_an_ending_made_again_is_the_same() -> None:
    model = make(T3Runner(NET, script([5])))
    row = Row(0, "x")
    start(model, row)
    for _ in range(4):
        assert model.step([row.next]) == model.step([row.next])
        step(model, row)
    assert row.tokens == [5, *ENDING]
    assert model.endings == {"stop": 1}


def test_start_is_never_said() -> None:
    assert START_TOKEN not in speak(make(T3Runner(NET, allow(START_TOKEN, 7, 8, 9))), Row(0, "x"), 60)

    def shout(inputs: Arrays, outputs: Arrays) -> None:
        outputs["logits"][:, START_TOKEN] = 1e4

    assert START_TOKEN not in speak(make(T3Runner(NET, shout)), Row(0, "x"), 20)


@pytest.mark.parametrize(
    ("codes", "reason", "said"),
    [
        ([3, 4] + [SILENCE_TOKEN] * 900, "silence", 2 + MAX_SILENCE_TOKENS + 1),
        ([9] + [3, 4, 5] * 300, "repetition", 1 + MAX_CYCLING_TOKENS + 1),
        (list(range(900)), "budget", 100 + 2 * 25),
    ],
)
def test_a_row_that_runs_on_is_ended_with_silence_and_a_warning(
    codes: list[int], reason: str, said: int, caplog: pytest.LogCaptureFixture
) -> None:
    model = make(T3Runner(NET, script(codes)))
    with caplog.at_level(logging.WARNING, "talkspurt.tokens"):
        assert speak(model, Row(6, "x"), 999) == codes[:said] + ENDING
    assert model.endings == {reason: 1}
    (warning,) = caplog.records
    found = warning.__dict__
    assert (found["reason"], found["slot"], found["tokens"]) == (reason, 6, said)


def test_codes_of_a_step_made_twice_count_once() -> None:
    model = make(T3Runner(NET, allow(3)))
    row = Row(0, "x")
    start(model, row)
    while row.tokens[-1] != STOP_TOKEN:
        assert model.step([row.next]) == model.step([row.next])
        step(model, row)
    assert row.tokens == [3] * (MAX_CYCLING_TOKENS + 1) + ENDING
    assert model.endings == {"repetition": 1}


def test_a_tag_gives_a_text_more_time() -> None:
    runner = T3Runner(NET, script(list(range(900))))
    assert len(speak(make(runner), Row(0, "~"), 999)) == 100 + 2 * 25 + 100 + len(ENDING)


def test_no_text_takes_more_than_the_scheduler_lets_it() -> None:
    model = make(T3Runner(NET, script(list(range(900)))), max_tokens=60)
    assert speak(model, Row(0, "a text of many ids"), 999) == [*range(57), *ENDING]


def test_a_text_near_the_models_last_position_ends_there() -> None:
    text = "y" * 600
    room = T3.positions - 21 - len("Y" * 600 + ".") - 1
    model = make(T3Runner(NET, script(list(range(900)))))
    assert speak(model, Row(0, text), 999) == [*range(room), *ENDING]


def test_sampling_is_as_asked_for() -> None:
    greedy = make(sampling=Sampling(temperature=0))
    assert speak(greedy, Row(0, "x", seed=1)) == speak(greedy, Row(0, "x", seed=2))


def test_a_code_said_before_is_less_likely() -> None:
    """Greedy, of two codes nearly as likely: the penalty makes them take turns."""

    def edit(inputs: Arrays, outputs: Arrays) -> None:
        outputs["logits"][:] = -50
        outputs["logits"][:, :4] = [10.0, 9.9, 9.8, 9.7]

    model = make(T3Runner(NET, edit), sampling=Sampling(temperature=0))
    assert speak(model, Row(0, "x"), 6) == [0, 1, 2, 3, 0, 0]


# What cannot be spoken


@pytest.mark.parametrize("text", ["", "   "])
def test_no_text_is_refused(text: str) -> None:
    with pytest.raises(SpeechFailed, match="no text"):
        start(make(), Row(0, text))


def test_ids_the_model_does_not_know_are_refused() -> None:
    class Strange(Bytes):
        def encode(self, text: str) -> list[int]:
            return [T3.text_codes]

    model = ChatterboxTokens(T3Runner(NET), SMALL, Strange())
    with pytest.raises(SpeechFailed, match="text id 300 is not of this model's 300"):
        start(model, Row(0, "x"))


def test_a_text_beyond_the_models_positions_is_refused() -> None:
    model = make()
    with pytest.raises(SpeechFailed, match="701 ids and does not fit"):
        start(model, Row(0, "z" * 700))
    assert model.arena.rows == 0


def test_a_prompt_that_is_no_speech_is_refused() -> None:
    broken = voice(3)
    broken.conditioning.t3_prompt[2] = START_TOKEN
    with pytest.raises(SpeechFailed, match="no speech codes"):
        start(make(), Row(0, "x", broken))


def test_a_speaker_of_another_model_is_refused() -> None:
    broken = voice(3)
    object.__setattr__(broken.conditioning, "speaker", np.zeros(192, np.float32))
    with pytest.raises(SpeechFailed, match=r"speaker of shape \(192,\)"):
        start(make(), Row(0, "x", broken))


# Places


def test_after_all_rows_stop_nothing_is_held() -> None:
    model = make()
    rows = [Row(slot, "abc") for slot in range(3)]
    start(model, *rows)
    for row in rows:
        model.stop(row.slot, row.state)
    assert (model.arena.rows, model.arena.nbytes) == (0, 0)


def test_stopping_what_never_started_is_nothing() -> None:
    model = make()
    row = Row(1, "goes on")
    start(model, row)
    model.stop(0, None)
    model.stop(9, None)
    for _ in range(11):
        step(model, row)
    assert row.tokens == alone("goes on")
