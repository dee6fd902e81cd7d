"""What the flow is trained on, of features whose mel says which code and voice it is of."""

from pathlib import Path

import numpy as np
import pytest
import torch

from engines.model import MEL_BANDS
from engines.rates import MEL_FRAMES_PER_TOKEN
from export.pocket import windows
from export.pocket.flite import VOICES
from export.pocket.model import POCKET
from export.pocket.windows import BATCH_TOKENS, PROMPT_WEIGHT, Batch, Layout, Library, Pool, said
from tests.export.pocket.made_corpus import FIRST_CODE, code_mark, make_features, mel_of

LENGTHS = (30, 12, 60)
SPEAKERS: Pool = {
    voice: np.full((5, POCKET.xvector.width), index, np.float32) for index, voice in enumerate(VOICES)
}
UNHEARD_FRAMES = MEL_FRAMES_PER_TOKEN * POCKET.encoder.lookahead_tokens


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    make_features(folder, shards=2, lengths=LENGTHS)
    return folder


@pytest.fixture
def library(work: Path) -> Library:
    return Library([each for number in (0, 1) for each in said(work, number)], SPEAKERS)


def voices_of(codes: torch.Tensor) -> list[str]:
    """Whose code each is, row by row; all of a row are one voice's."""
    are_second = codes >= FIRST_CODE[VOICES[1]]
    assert (are_second == are_second[:, :1]).all()
    return [VOICES[int(row[0])] for row in are_second]


def marks(batch: Batch) -> torch.Tensor:
    return torch.from_numpy(code_mark(batch.tokens.numpy())).repeat_interleave(MEL_FRAMES_PER_TOKEN, 1)


def test_utterances_are_read_with_their_own_codes_and_mel(work: Path) -> None:
    found = list(said(work, 1))
    assert [len(each.codes) for each in found] == list(LENGTHS * 2)
    assert [each.voice for each in found] == list(VOICES) * 3
    for each in found:
        assert each.mel == pytest.approx(mel_of(each.voice, each.codes.astype(np.int64)), abs=0.01)


def test_layouts_have_about_as_many_tokens_and_all_kinds_of_prompts() -> None:
    layouts = [Layout.draw(np.random.default_rng(seed)) for seed in range(400)]
    tokens = np.mean([each.rows * (each.prompt_tokens + each.window_tokens) for each in layouts])
    assert tokens == pytest.approx(BATCH_TOKENS, rel=0.1)
    prompts = np.array([each.prompt_tokens for each in layouts])
    assert np.mean(prompts == 0) == pytest.approx(windows.NO_PROMPT, abs=0.05)
    assert np.mean(prompts >= windows.LONG_PROMPT_TOKENS[0]) == pytest.approx(windows.LONG_PROMPT, abs=0.03)
    assert prompts[prompts > 0].min() >= windows.PROMPT_TOKENS[0]


def test_a_blocked_prompt_is_all_that_a_cache_would_hold() -> None:
    layouts = [Layout.draw(np.random.default_rng(seed)) for seed in range(100)]
    blocked = [each for each in layouts if each.blocked_tokens]
    assert 20 < len(blocked) < 80
    assert all(each.blocked_tokens == each.prompt_tokens - 3 for each in blocked)


def test_every_code_comes_with_its_mel_in_prompt_and_window(library: Library) -> None:
    batch = library.batch(Layout(6, 45, 20, 0), np.random.default_rng(0))
    assert batch.tokens.shape == (6, 65)
    assert batch.mel.shape == batch.cond.shape == batch.noise.shape == (6, MEL_BANDS, 130)
    torch.testing.assert_close(batch.mel[:, 0].double(), marks(batch), atol=0.01, rtol=0)


def test_the_prompts_mel_is_given_and_the_windows_is_not(library: Library) -> None:
    batch = library.batch(Layout(3, 20, 12, 17), np.random.default_rng(0))
    assert torch.equal(batch.cond[..., :40], batch.mel[..., :40])
    assert not batch.cond[..., 40:].any()
    assert batch.blocked_tokens == 17


def test_without_a_prompt_nothing_is_given(library: Library) -> None:
    batch = library.batch(Layout(3, 0, 12, 0), np.random.default_rng(0))
    assert batch.tokens.shape == (3, 12)
    assert not batch.cond.any()


def test_a_row_is_one_voices_throughout(library: Library) -> None:
    batch = library.batch(Layout(40, 20, 12, 0), np.random.default_rng(0))
    voices = voices_of(batch.tokens)
    assert set(voices) == set(VOICES)
    assert [VOICES[int(each)] for each in batch.embedding[:, 0]] == voices


def test_a_swapped_window_follows_the_other_voices_prompt(library: Library) -> None:
    batch = library.swapped(Layout(8, 20, 12, 0), "rms", np.random.default_rng(0))
    assert voices_of(batch.tokens[:, :20]) == ["awb"] * 8
    assert voices_of(batch.tokens[:, 20:]) == ["rms"] * 8
    assert (batch.embedding == 1).all()


def test_frames_that_only_serve_as_lookahead_are_not_judged(library: Library) -> None:
    batch = library.batch(Layout(60, 20, 12, 0), np.random.default_rng(0))
    assert (batch.weight[..., :40] == PROMPT_WEIGHT).all()
    assert (batch.weight[..., 40:-UNHEARD_FRAMES] == 1).all()
    last = batch.weight[..., -UNHEARD_FRAMES:]
    assert ((last == 0) | (last == 1)).all()
    ends = last[:, 0].all(1)
    assert torch.equal(ends, last[:, 0].any(1))
    # All windows of the utterances of 12 codes are whole, and some of the others end where those do.
    assert 20 < int(ends.sum()) < 60


def test_windows_begin_at_starts_at_ends_and_between(work: Path) -> None:
    longest = [each for each in said(work, 0) if len(each.codes) == 60]
    library = Library(longest, SPEAKERS)
    batch = library.batch(Layout(200, 0, 12, 0), np.random.default_rng(0))
    starts = {tuple(each.codes[:12]) for each in longest}
    ends = {tuple(each.codes[-12:]) for each in longest}
    rows = [tuple(row) for row in batch.tokens.tolist()]
    assert np.mean([row in starts for row in rows]) == pytest.approx(windows.FROM_START, abs=0.1)
    assert np.mean([row in ends for row in rows]) == pytest.approx(windows.TO_END, abs=0.1)
    assert len(set(rows)) > 40


def test_the_rarer_voice_is_heard_more_often_than_it_is_there(work: Path) -> None:
    found = list(said(work, 0))
    library = Library([each for each in found if each.voice == "rms"] * 9 + found, SPEAKERS)
    batch = library.batch(Layout(400, 0, 12, 0), np.random.default_rng(0))
    assert voices_of(batch.tokens).count("awb") / 400 == pytest.approx((1 / 11 + 0.5) / 2, abs=0.06)


def test_the_same_draw_gives_the_same_batch(library: Library) -> None:
    one, other = (library.batch(Layout(2, 20, 12, 0), np.random.default_rng(7)) for _ in range(2))
    assert torch.equal(one.tokens, other.tokens)
    assert torch.equal(one.noise, other.noise)
