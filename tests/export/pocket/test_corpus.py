"""The corpus: shards that hold what flite said, each told by its number alone."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from export.pocket import corpus as room
from export.pocket.corpus import LEAD_S, TAIL_S, Shard, make_shard, say, shard_numbers
from export.pocket.flite import FLITE_HZ, Phone, Spoken

SECONDS = 3


def fake_speak(text: str, voice: str) -> Spoken:
    """Half a second of silence, a tenth of a second a word, and half a second of silence."""
    words = text.split()
    ends = [0.5 + 0.1 * (i + 1) for i in range(len(words))]
    phones = [Phone("pau", False, 0.5, None)]
    phones += [Phone("aa", True, end, word) for word, end in enumerate(ends)]
    phones += [Phone("pau", False, ends[-1] + 0.5, None)]
    samples = np.full(round((ends[-1] + 0.5) * FLITE_HZ), 1_000 if voice == "rms" else -1_000, np.int16)
    count = len(words) + (1 if "odd" in text else 0)
    pitch_hz = np.full(len(samples) // 80, 100, np.float32)
    return Spoken(samples, pitch_hz, tuple(phones), count)


@pytest.fixture
def flite(monkeypatch: pytest.MonkeyPatch) -> None:
    def texts(seed: int, banned: frozenset[str]) -> Iterator[tuple[str, str]]:
        for i in range(10_000):
            text = f"This is text number {'x' * (1 + (seed + i) % 5)} of quite a few."
            yield "words", text + ("", " Indeed so.", " It is odd.")[i % 3]

    monkeypatch.setattr(room, "speak", fake_speak)
    monkeypatch.setattr(room, "texts", texts)
    monkeypatch.setattr(room, "gain", lambda voice: 2.0)
    monkeypatch.setattr(room, "SHARD_S", 20.0)


def test_a_shard_gives_back_what_was_said_at_its_level(flite: None, tmp_path: Path) -> None:
    make_shard(tmp_path, 3, seed=1)
    shard = Shard.open(tmp_path, 3)
    assert sum(each.samples for each in shard.utterances) == len(shard.pcm) >= 20 * FLITE_HZ
    assert {each.voice for each in shard.utterances} == {"rms", "awb"}
    for utterance in shard.utterances:
        samples = shard.samples(utterance)
        assert (samples == (2_000 if utterance.voice == "rms" else -2_000) / 32_768).all()
        assert len(shard.pitch_hz(utterance)) == utterance.samples // 80
        words = len(utterance.text.split())
        assert len(samples) / FLITE_HZ == pytest.approx(LEAD_S + 0.1 * words + TAIL_S, abs=0.006)
        assert utterance.ends_s[0] == pytest.approx(LEAD_S, abs=0.006), "silence is cut to its lead"
        assert max(utterance.ends_s) <= len(samples) / FLITE_HZ
        assert utterance.words == (-1, *range(words), -1)


def test_what_flite_reads_in_other_words_is_left_out(flite: None, tmp_path: Path) -> None:
    make_shard(tmp_path, 0, seed=1)
    assert not any("odd" in each.text for each in Shard.open(tmp_path, 0).utterances)


def test_a_shard_is_told_by_seed_and_number(flite: None, tmp_path: Path) -> None:
    for folder, number, seed in (("a", 1, 5), ("b", 1, 5), ("c", 2, 5), ("d", 1, 6)):
        (tmp_path / folder).mkdir()
        make_shard(tmp_path / folder, number, seed)
    index = {folder: next((tmp_path / folder).glob("*.jsonl")).read_text() for folder in "abcd"}
    assert index["a"] == index["b"]
    assert len({index["a"], index["c"], index["d"]}) == 3


def test_only_shards_with_an_index_are_whole(flite: None, tmp_path: Path) -> None:
    make_shard(tmp_path, 7, seed=1)
    (tmp_path / "008.pcm").write_bytes(b"\0\0")
    assert shard_numbers(tmp_path) == [7]


def test_too_short_and_too_long_are_left_out(
    flite: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MAX_S", 1.1)
    make_shard(tmp_path, 0, seed=1)
    lengths = {len(each.text.split()) for each in Shard.open(tmp_path, 0).utterances}
    assert lengths == {9}


def test_a_text_is_said_as_the_corpus_has_it(flite: None) -> None:
    samples = say("one two three", "rms")
    assert len(samples) == pytest.approx((LEAD_S + 0.3 + TAIL_S) * FLITE_HZ, abs=80)
    assert (samples == np.float32(2_000 / 32_768)).all()
