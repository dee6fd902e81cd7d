"""The leveller: the level of ITU-T P.56, a ceiling that holds to the sample, pauses that stay pauses."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from telephony.errors import UnsupportedFormat
from telephony.level import CEILING_DBFS, MAX_GAIN_DB, Leveller, _powers
from tests.telephony.cutting import cut, cut_sizes, streamed

RATE_HZ = 24_000
BLOCK_SAMPLES = 240
CEILING = 10 ** (CEILING_DBFS / 20)
EMPTY = np.zeros(0, np.float32)

Audio = NDArray[np.float32]


def active_dbov(audio: NDArray[np.floating]) -> float:
    """Active speech level by ITU-T P.56 method B, written from the Recommendation: the tests' own ruler."""
    decay = math.exp(-1 / (RATE_HZ * 0.03))
    envelope = np.abs(audio.astype(np.float64))
    for _ in range(2):
        envelope = scipy.signal.lfilter([1 - decay], [1, -decay], envelope)
    energy = float(np.sum(audio.astype(np.float64) ** 2))
    positions = np.arange(len(audio))
    lowest_db, highest_db = -80.0, 0.0
    # The level over a threshold falls as the threshold rises: halve towards the one 15.9 dB below it.
    while highest_db - lowest_db > 0.05:
        threshold_db = (lowest_db + highest_db) / 2
        last_over = np.maximum.accumulate(
            np.where(envelope >= 10 ** (threshold_db / 20), positions, -RATE_HZ)
        )
        active_samples = np.count_nonzero(positions - last_over < RATE_HZ // 5)
        if active_samples and 10 * math.log10(energy / active_samples) - threshold_db > 15.9:
            lowest_db = threshold_db
        else:
            highest_db = threshold_db
    return (lowest_db + highest_db) / 2 + 15.9


def speech(seconds: float, dbov: float, seed: int = 0) -> Audio:
    """Syllables of hissing vowels with short gaps, at an active level."""
    rng = np.random.default_rng(seed)
    samples = int(seconds * RATE_HZ)
    contour: list[float] = []
    while len(contour) < samples:
        length = int(RATE_HZ * rng.uniform(0.1, 0.25))
        loudness = 0.0 if rng.random() < 0.1 else 10 ** (rng.normal(0, 2) / 20)
        contour += (loudness * np.sin(np.pi * np.arange(length) / length)).tolist()
    vowel = np.sin(2 * np.pi * 140 / RATE_HZ * np.arange(samples)) + 0.3 * rng.standard_normal(samples)
    audio: NDArray[np.float64] = np.array(contour[:samples]) * vowel
    audio *= 10 ** ((dbov - active_dbov(audio)) / 20)
    return audio.astype(np.float32)


def noise(samples: int, dbov: float, seed: int = 0) -> Audio:
    audio = np.random.default_rng(seed).standard_normal(samples)
    return (audio * 10 ** (dbov / 20)).astype(np.float32)


def levelled(leveller: Leveller, chunks: Sequence[Audio]) -> Audio:
    return np.concatenate([EMPTY, *streamed(chunks, leveller.push, leveller.flush)])


@pytest.mark.parametrize("difference_db", [-6, -3, 0, 3, 6])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_voice_off_its_nominal_level_reaches_the_target(difference_db: int, seed: int) -> None:
    out = levelled(Leveller(nominal_dbov=-26), [speech(8, -26 + difference_db, seed)])
    assert active_dbov(out[:RATE_HZ]) == pytest.approx(-23, abs=6)
    assert active_dbov(out[2 * RATE_HZ :]) == pytest.approx(-23, abs=1)


@pytest.mark.parametrize("target_dbov", [-30, -26, -19, -16])
def test_the_target_can_be_chosen(target_dbov: float) -> None:
    out = levelled(Leveller(target_dbov=target_dbov), [speech(10, -26)])
    assert active_dbov(out[3 * RATE_HZ :]) == pytest.approx(target_dbov, abs=1)


@pytest.mark.parametrize("dbov", [-46, -12])
def test_a_voice_far_from_nominal_still_arrives(dbov: float) -> None:
    out = levelled(Leveller(nominal_dbov=-26), [speech(10, dbov)])
    assert active_dbov(out[5 * RATE_HZ :]) == pytest.approx(-23, abs=1)


def test_the_estimate_is_the_active_level_of_p56() -> None:
    leveller = Leveller(nominal_dbov=-40)
    leveller.push(speech(10, -31))
    assert leveller.active_dbov == pytest.approx(-31, abs=1.5)


def test_a_known_voice_begins_at_the_target() -> None:
    out = levelled(Leveller(nominal_dbov=-38), [speech(1, -38)])
    assert active_dbov(out) == pytest.approx(-23, abs=1)


def test_the_first_syllable_does_not_pump() -> None:
    leveller = Leveller(nominal_dbov=-26)
    leveller.push(noise(RATE_HZ // 10, -16))
    assert leveller.active_dbov == pytest.approx(-26, abs=1.5)


def test_the_gain_moves_by_6_db_in_a_second_at_most() -> None:
    leveller = Leveller(nominal_dbov=-26)
    gains_db = [leveller.gain_db]
    blocks_a_second = RATE_HZ // BLOCK_SAMPLES
    for chunk in cut(speech(6, -50), [BLOCK_SAMPLES] * (6 * blocks_a_second)):
        leveller.push(chunk)
        gains_db.append(leveller.gain_db)
    assert np.abs(np.diff(gains_db)).max() <= 6 / blocks_a_second + 1e-9
    assert max(gains_db) <= MAX_GAIN_DB


@pytest.mark.parametrize(("nominal_dbov", "gain_db"), [(-70, 24), (10, -24), (-23, 0)])
def test_the_gain_is_bounded_from_the_start(nominal_dbov: float, gain_db: float) -> None:
    assert Leveller(nominal_dbov).gain_db == gain_db


def test_a_known_gain_is_applied_to_the_bit() -> None:
    quiet = np.full(600, 1e-4, np.float32)
    assert levelled(Leveller(nominal_dbov=-23), [quiet]).tobytes() == quiet.tobytes()


def test_silence_is_not_amplified() -> None:
    leveller = Leveller(nominal_dbov=-23)
    out = levelled(leveller, [noise(10 * RATE_HZ, -60)])
    assert leveller.gain_db == 0
    assert 10 * np.log10(np.mean(out**2)) == pytest.approx(-60, abs=0.1)
    assert not levelled(leveller, [np.zeros(RATE_HZ, np.float32)]).any()


@pytest.mark.parametrize("pause_dbov", [-120, -60, -48])
def test_a_long_pause_does_not_change_the_gain(pause_dbov: float) -> None:
    leveller = Leveller(nominal_dbov=-26)
    leveller.push(speech(6, -26))
    before_db = leveller.gain_db
    leveller.push(noise(RATE_HZ, pause_dbov))
    soon_db = leveller.gain_db
    leveller.push(noise(20 * RATE_HZ, pause_dbov))
    assert leveller.gain_db == soon_db
    assert soon_db == pytest.approx(before_db, abs=1)


@given(
    seed=st.integers(0, 1_000),
    bursts=st.lists(st.tuples(st.integers(0, 9_000), st.integers(1, 900)), min_size=1, max_size=6),
    boost_db=st.floats(0, 30),
    nominal_dbov=st.sampled_from([-50.0, -26.0, -10.0]),
)
@settings(max_examples=60, deadline=None)
def test_no_burst_puts_a_sample_over_the_ceiling(
    seed: int, bursts: list[tuple[int, int]], boost_db: float, nominal_dbov: float
) -> None:
    audio = noise(9_600, -20, seed)
    for start, length in bursts:
        audio[start : start + length] *= np.float32(10 ** (boost_db / 20))
    assert np.abs(levelled(Leveller(nominal_dbov), [audio])).max() <= CEILING


@pytest.mark.parametrize("at_samples", [0, 239, 240, 241, 479, 599])
def test_a_single_full_scale_sample_anywhere_stays_under_the_ceiling(at_samples: int) -> None:
    audio = np.zeros(600, np.float32)
    audio[at_samples] = -4
    out = levelled(Leveller(nominal_dbov=-40), [audio])
    assert 0.99 * CEILING < -out[at_samples] <= CEILING


def test_the_limiter_turns_down_along_a_ramp_before_the_burst() -> None:
    audio = np.full(4 * BLOCK_SAMPLES, 0.01, np.float32)
    audio[2 * BLOCK_SAMPLES :] = 1
    out = levelled(Leveller(nominal_dbov=-23), [audio])
    gains = out / audio
    ramp = gains[BLOCK_SAMPLES : 2 * BLOCK_SAMPLES]
    assert gains[:BLOCK_SAMPLES] == pytest.approx(1, abs=0.02)
    assert np.diff(ramp).max() < 0
    assert np.abs(np.diff(gains)).max() < 0.01
    assert out[2 * BLOCK_SAMPLES :] == pytest.approx(CEILING, rel=1e-3)


def test_the_limiter_lets_go_slowly_after_the_burst() -> None:
    leveller = Leveller(nominal_dbov=-23)
    audio = np.full(RATE_HZ, 0.001, np.float32)
    audio[:BLOCK_SAMPLES] = 2
    gains = levelled(leveller, [audio]) / audio
    # 40 dB/s: a tenth of a second later it has given back 4 dB of the 9.
    assert 20 * np.log10(gains[BLOCK_SAMPLES + 2_400] / gains[BLOCK_SAMPLES]) == pytest.approx(4, abs=1)
    assert gains[-1] == pytest.approx(10 ** (leveller.gain_db / 20), rel=1e-4)


def test_a_constant_offset_is_kept() -> None:
    offset = np.full(RATE_HZ, 1e-3, np.float32)
    assert levelled(Leveller(nominal_dbov=-26), [offset]) == pytest.approx(1e-3 * 10 ** (3 / 20), rel=1e-5)


def test_one_block_is_held_and_flush_brings_it() -> None:
    leveller = Leveller()
    audio = np.ones(BLOCK_SAMPLES, np.float32)
    assert leveller.push(audio) == []
    assert [len(each) for each in leveller.push(audio)] == [BLOCK_SAMPLES]
    assert [len(each) for each in leveller.push(audio[:50])] == []
    assert [len(each) for each in leveller.flush()] == [BLOCK_SAMPLES, 50]
    assert leveller.flush() == []


def test_the_power_of_a_block_is_exact_and_so_the_same_in_any_company() -> None:
    blocks = noise(50 * BLOCK_SAMPLES, -6).reshape(50, BLOCK_SAMPLES)
    whole = np.rint(blocks.astype(np.float64) * 2**20).astype(np.int64)
    exact = [int(total) / (BLOCK_SAMPLES * 2**40) for total in (whole**2).sum(axis=1)]
    assert _powers(blocks) == exact
    assert [_powers(block[None])[0] for block in blocks] == exact


@given(sizes=cut_sizes, samples=st.integers(0, 9_000), seed=st.integers(0, 1_000))
@settings(max_examples=60, deadline=None)
def test_any_cutting_gives_the_same_bits(sizes: list[int], samples: int, seed: int) -> None:
    audio = noise(samples, -10, seed)
    audio[samples // 2 :] *= np.float32(0.05)
    at_once = levelled(Leveller(), [audio])
    assert levelled(Leveller(), cut(audio, sizes)).tobytes() == at_once.tobytes()
    assert len(at_once) == samples


def test_long_speech_in_single_blocks_has_the_bits_of_one_push() -> None:
    audio = speech(4, -33)
    pieces = cut(audio, [BLOCK_SAMPLES] * 800)
    assert levelled(Leveller(), pieces).tobytes() == levelled(Leveller(), [audio]).tobytes()


@pytest.mark.parametrize("act", ["clear", "flush"])
def test_the_estimate_outlives_clear_and_flush(act: str) -> None:
    leveller = Leveller(nominal_dbov=-26)
    leveller.push(speech(6, -38))
    known_dbov, gain_db = leveller.active_dbov, leveller.gain_db
    getattr(leveller, act)()
    assert (leveller.active_dbov, leveller.gain_db) == pytest.approx((known_dbov, gain_db), abs=0.05)
    assert active_dbov(levelled(leveller, [speech(1, -38, seed=5)])) == pytest.approx(-23, abs=1.5)


def test_clear_drops_the_audio_held() -> None:
    leveller = Leveller(nominal_dbov=-23)
    leveller.push(np.ones(BLOCK_SAMPLES + 7, np.float32))
    leveller.clear()
    assert leveller.flush() == []
    assert not levelled(leveller, [np.zeros(600, np.float32)]).any()


def test_a_much_quieter_utterance_is_heard_as_speech_and_not_as_a_pause() -> None:
    leveller = Leveller(nominal_dbov=-26)
    levelled(leveller, [speech(4, -20)])
    levelled(leveller, [speech(4, -42)])
    assert leveller.active_dbov == pytest.approx(-42, abs=1.5)


@pytest.mark.parametrize("target_dbov", [-31, -15.9, 0])
def test_a_target_no_line_wants_is_refused_by_name(target_dbov: float) -> None:
    with pytest.raises(UnsupportedFormat, match="target_dbov"):
        Leveller(target_dbov=target_dbov)
