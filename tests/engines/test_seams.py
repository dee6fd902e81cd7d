"""Seams: what of a window is heard, what its next is given, and how one takes over from the other."""

import numpy as np
import pytest

from engines import seams
from engines.contract import Samples
from engines.seams import SILENT_MEL, Seam, Span, Vocoded

RISE = (1 - np.cos(np.linspace(0, np.pi, 480))) / 2


def vocoded(frames: int, first: int = 0) -> Vocoded:
    """Frames that show their number, from ``first`` on, divided by 1 (mel), 100, 10 (source) and 1000."""
    number = np.arange(first, first + frames, dtype=np.float32)
    samples = np.repeat(number[:, None], 480, 1)
    mel, hundredth, tenth = np.repeat(number[None], 80, 0), np.float32(0.01), np.float32(0.1)
    return Vocoded(mel, samples * hundredth, samples * tenth, number * np.float32(0.001))


def ones(tokens: int) -> Samples:
    return np.ones(tokens * 960, np.float32)


def seam(provisional_samples: int = 480, level: float = 0.0) -> Seam:
    audio = np.full(provisional_samples, level, np.float32)
    nothing = np.zeros(0, np.float32)
    return Seam(nothing, nothing, 0.0, nothing, audio)


def test_a_plan_counts_two_frames_a_token() -> None:
    assert seams.plan(before_tokens=110, new_tokens=10, lookahead_tokens=3) == Span(220, 20, 6)
    assert seams.plan(110, 10, 3).frames == 26
    assert seams.plan(0, 1, 0) == Span(0, 2, 0)


def test_a_window_keeps_its_last_heard_frames_and_the_provisional_ones_after_them() -> None:
    kept = Seam.after(Span(0, 20, 6), vocoded(26), None)
    assert kept.mel_cache[0].tolist() == list(range(4, 20))
    assert kept.source_cache[:, 0] * 10 == pytest.approx(np.arange(4, 20))
    assert kept.phase == pytest.approx(0.019)
    assert kept.provisional_mel[0].tolist() == [20, 21, 22, 23]
    assert kept.provisional_audio.tolist() == pytest.approx([0.2] * 480)


def test_a_short_window_keeps_what_the_one_before_kept_too() -> None:
    before = Seam.after(Span(0, 20, 6), vocoded(26), None)
    kept = Seam.after(Span(0, 4, 6), vocoded(10, first=20), before)
    assert kept.mel_cache[0].tolist() == list(range(8, 24))
    assert kept.source_cache[:, 0] * 10 == pytest.approx(np.arange(8, 24))


def test_before_a_short_first_window_there_was_silence() -> None:
    kept = Seam.after(Span(0, 4, 6), vocoded(10), None)
    assert kept.mel_cache[0].tolist() == pytest.approx([SILENT_MEL] * 12 + [0, 1, 2, 3])
    assert kept.source_cache[:, 0] * 10 == pytest.approx([0] * 12 + [0, 1, 2, 3])


def test_a_seam_keeps_nothing_of_the_batch_alive() -> None:
    window = vocoded(26)
    kept = Seam.after(Span(0, 20, 6), window, None)
    window.mel[:], window.audio[:], window.source[:] = -1, -1, -1
    assert kept.mel_cache.min() == 4
    assert all(each.base is None for each in (kept.mel_cache, kept.source_cache, kept.provisional_audio))


def test_provisional_mel_falls_away_over_four_frames() -> None:
    mel, weight = seams.mel_fade(Seam.after(Span(0, 20, 6), vocoded(26), None))
    assert mel[0].tolist() == [20, 21, 22, 23]
    assert weight.tolist() == pytest.approx([0.8, 0.6, 0.4, 0.2])


def test_with_less_lookahead_it_falls_away_faster() -> None:
    mel, weight = seams.mel_fade(Seam.after(Span(0, 20, 2), vocoded(22), None))
    assert mel[0].tolist() == [20, 21, 0, 0]
    assert weight.tolist() == pytest.approx([2 / 3, 1 / 3, 0, 0])


@pytest.mark.parametrize("before", [None, Seam.after(Span(0, 20, 0), vocoded(20), None)])
def test_without_provisional_frames_nothing_is_faded(before: Seam | None) -> None:
    mel, weight = seams.mel_fade(before)
    assert mel.shape == (80, 4)
    assert not mel.any()
    assert weight.tolist() == [0, 0, 0, 0]


def test_a_segment_begins_with_20_ms_of_silence_and_20_ms_of_fading_in() -> None:
    heard = seams.join(ones(2), None, final=False)
    assert not heard[:480].any()
    assert heard[480:960] == pytest.approx(RISE, abs=1e-6)
    assert heard[960:].tolist() == [1] * 960


def test_a_segment_ends_with_20_ms_of_fading_out() -> None:
    heard = seams.join(ones(2), seam(0), final=True)
    assert heard[:-480].tolist() == [1] * 1_440
    assert heard[-480:] == pytest.approx(RISE[::-1], abs=1e-6)


def test_a_segment_of_one_token_fades_in_and_out() -> None:
    heard = seams.join(ones(1), None, final=True)
    assert len(heard) == 960
    assert heard[480:] == pytest.approx(RISE * RISE[::-1], abs=1e-6)


def test_a_seam_is_crossed_in_20_ms() -> None:
    heard = seams.join(ones(2), seam(level=0.5), final=False)
    assert heard[0] == 0.5
    assert heard[:480] == pytest.approx(RISE + (1 - RISE) * 0.5, abs=1e-6)
    assert heard[480:].tolist() == [1] * 1_440


def test_crossing_to_the_same_is_no_change() -> None:
    assert seams.join(ones(2), seam(level=1.0), final=False) == pytest.approx(ones(2), abs=1e-6)


def test_what_was_vocoded_is_left_as_it_was() -> None:
    samples = ones(2)
    seams.join(samples, None, final=True)
    assert samples.tolist() == [1] * 1_920
