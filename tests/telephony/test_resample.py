"""The resampler: its filters through the real class, its delay, and exactness under any cutting."""

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from telephony.errors import UnsupportedFormat
from telephony.resample import INPUT_BITS, PEAK, Resampler
from telephony.taps import TAP_BITS, TO_8K, TO_16K
from tests.telephony.cutting import cut, cut_sizes, streamed

SOURCE_HZ = 24_000
LINE_RATES = [8_000, 16_000]
TAPS = {8_000: (TO_8K, 1), 16_000: (TO_16K, 2)}
UNITY = 1 << TAP_BITS


def noise(samples: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(-1, 1, samples).astype(np.float32)


def resampled(chunks: list[NDArray[np.float32]], rate_hz: int) -> NDArray[np.float32]:
    resampler = Resampler(rate_hz)
    return np.concatenate(streamed(chunks, resampler.push, resampler.flush))


def tone_gain_db(frequency_hz: float, rate_hz: int) -> float:
    """Output power over input power of a long tone, wherever in the band it lands."""
    tone = np.sin(2 * np.pi * frequency_hz / SOURCE_HZ * np.arange(6_000) + 0.3).astype(np.float32)
    (out,) = Resampler(rate_hz).push(tone)
    settled = out[len(out) // 6 :].astype(np.float64) * np.hanning(len(out) - len(out) // 6)
    whole = tone.astype(np.float64)[1_000:] * np.hanning(5_000)
    return float(10 * np.log10(np.mean(settled**2) / np.mean(whole**2)))


@pytest.mark.parametrize(("rate_hz", "edge_hz"), [(8_000, 3_400), (16_000, 7_200)])
def test_the_speech_band_passes_within_a_fifth_of_a_decibel(rate_hz: int, edge_hz: int) -> None:
    gains_db = [tone_gain_db(frequency_hz, rate_hz) for frequency_hz in range(200, edge_hz + 1, 50)]
    assert max(gains_db) - min(gains_db) <= 0.2
    assert max(map(abs, gains_db)) <= 0.2


@pytest.mark.parametrize(("rate_hz", "stop_hz"), [(8_000, 4_600), (16_000, 8_600)])
def test_what_would_fold_into_the_speech_band_is_80_db_down(rate_hz: int, stop_hz: int) -> None:
    gains_db = [tone_gain_db(frequency_hz, rate_hz) for frequency_hz in range(stop_hz, 12_000, 100)]
    assert max(gains_db) <= -80


def test_the_top_of_the_telephone_band_where_it_would_meet_itself_is_nearly_empty() -> None:
    gains_db = [tone_gain_db(frequency_hz, 8_000) for frequency_hz in range(3_800, 4_201, 20)]
    assert max(gains_db) <= -27
    assert np.mean(10 ** (np.array(gains_db) / 10)) <= 10**-3.8


@pytest.mark.parametrize(
    ("rate_hz", "edges_hz", "weights", "taps_hz"),
    [
        (8_000, [0, 3_400, 3_835, 4_250, 4_600, 12_000], [1, 1, 130], 24_000),
        (16_000, [0, 7_200, 8_400, 24_000], [1, 30], 48_000),
    ],
)
def test_remez_designs_the_shipped_taps_again(
    rate_hz: int, edges_hz: list[int], weights: list[int], taps_hz: int
) -> None:
    taps, up = TAPS[rate_hz]
    gains = [1] + [0] * (len(weights) - 1)
    designed = scipy.signal.remez(len(taps), edges_hz, gains, weight=weights, fs=taps_hz, maxiter=200)
    # One unit of tolerance, for another build of scipy may round a tie the other way.
    assert np.abs(designed / designed.sum() * up * UNITY - taps).max() <= 1


@pytest.mark.parametrize("rate_hz", LINE_RATES)
def test_taps_are_small_symmetric_integers_of_unit_gain(rate_hz: int) -> None:
    taps, up = TAPS[rate_hz]
    assert np.abs(taps).max() < UNITY
    assert taps.tolist() == taps[::-1].tolist()
    for phase in range(up):
        assert 20 * np.log10(taps[phase::up].sum() / UNITY) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("rate_hz", LINE_RATES)
def test_no_sum_leaves_the_exact_integers_of_float64(rate_hz: int) -> None:
    taps, up = TAPS[rate_hz]
    largest = max(int(np.abs(taps[phase::up]).sum()) for phase in range(up))
    assert largest * int(PEAK * 2**INPUT_BITS) < 2**53


@pytest.mark.parametrize("rate_hz", LINE_RATES)
@pytest.mark.parametrize("amplitude", [1e-5, 1, 5])
def test_every_output_is_the_exact_sum_of_integers_rounded_once(rate_hz: int, amplitude: float) -> None:
    taps, up = TAPS[rate_hz]
    source = noise(3_000) * np.float32(amplitude)
    integers = np.rint(np.clip(source.astype(np.float64), -PEAK, PEAK) * 2**INPUT_BITS).astype(np.int64)
    raised = np.zeros(len(integers) * up, np.int64)
    raised[::up] = integers
    (out,) = Resampler(rate_hz).push(source)
    exact = np.convolve(raised, taps)[::3][: len(out)] * 2.0 ** -(INPUT_BITS + TAP_BITS)
    assert out.tobytes() == exact.astype(np.float32).tobytes()


@pytest.mark.parametrize("rate_hz", LINE_RATES)
def test_it_agrees_with_a_float64_polyphase_filter(rate_hz: int) -> None:
    taps, up = TAPS[rate_hz]
    source = noise(5_000)
    (out,) = Resampler(rate_hz).push(source)
    reference = scipy.signal.upfirdn(taps / UNITY, source.astype(np.float64), up, 3)[: len(out)]
    assert np.abs(out - reference).max() < 1e-6


@pytest.mark.parametrize(("rate_hz", "expected_delay_ms"), [(8_000, 2.5), (16_000, 2.0)])
def test_an_impulse_peaks_after_the_stated_delay(rate_hz: int, expected_delay_ms: float) -> None:
    at_samples = 300
    impulse = np.zeros(900, np.float32)
    impulse[at_samples] = 1
    out = resampled([impulse], rate_hz)
    peak_s = int(np.argmax(out)) / rate_hz
    delay_ms = 1000 * (peak_s - at_samples / SOURCE_HZ)
    assert delay_ms == pytest.approx(expected_delay_ms, abs=1e-9)
    assert Resampler(rate_hz).delay_samples == expected_delay_ms * SOURCE_HZ / 1000


@pytest.mark.parametrize(("rate_hz", "frame_samples"), [(8_000, 160), (16_000, 320), (24_000, 480)])
def test_each_20_ms_give_exactly_20_ms_from_the_first_push_on(rate_hz: int, frame_samples: int) -> None:
    resampler = Resampler(rate_hz)
    for mel_frames in (1, 1, 2, 25, 50, 1):
        (out,) = resampler.push(noise(480 * mel_frames))
        assert out.shape == (frame_samples * mel_frames,)
        assert out.dtype == np.float32


@given(sizes=cut_sizes, samples=st.integers(0, 9_000), rate_hz=st.sampled_from([8_000, 16_000, 24_000]))
@settings(max_examples=60, deadline=None)
def test_any_cutting_gives_the_same_bits(sizes: list[int], samples: int, rate_hz: int) -> None:
    source = noise(samples)
    source[: samples // 4] = 0
    whole, parts = Resampler(rate_hz), Resampler(rate_hz)
    at_once = streamed([source], whole.push, whole.flush)
    in_pieces = streamed(cut(source, sizes), parts.push, parts.flush)
    empty = np.zeros(0, np.float32)
    assert np.concatenate([empty, *in_pieces]).tobytes() == np.concatenate([empty, *at_once]).tobytes()


@pytest.mark.parametrize("rate_hz", LINE_RATES)
def test_a_minute_in_one_push_has_the_bits_of_a_minute_in_chunks(rate_hz: int) -> None:
    source = noise(60 * SOURCE_HZ)
    chunks = cut(source, [960 * 7] * 300)
    assert resampled([source], rate_hz).tobytes() == resampled(chunks, rate_hz).tobytes()


@given(samples=st.integers(1, 400), rate_hz=st.sampled_from([8_000, 16_000, 24_000]))
@settings(max_examples=60, deadline=None)
def test_flush_brings_the_tail_and_not_a_sample_more(samples: int, rate_hz: int) -> None:
    delay_samples = Resampler(rate_hz).delay_samples
    expected = -(-(samples + delay_samples) * rate_hz // SOURCE_HZ)
    assert len(resampled([noise(samples)], rate_hz)) == expected


@pytest.mark.parametrize("rate_hz", LINE_RATES)
def test_the_last_sample_pushed_is_heard_after_flush(rate_hz: int) -> None:
    source = np.zeros(480, np.float32)
    source[-1] = 1
    resampler = Resampler(rate_hz)
    resampler.push(source)
    (tail,) = resampler.flush()
    assert tail.max() > 0.1


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 24_000])
def test_nothing_in_gives_nothing_out(rate_hz: int) -> None:
    resampler = Resampler(rate_hz)
    assert resampler.push(np.zeros(0, np.float32)) == []
    assert resampler.flush() == []
    resampler.push(noise(480))
    resampler.flush()
    assert resampler.flush() == []


def test_two_samples_are_not_yet_an_output() -> None:
    resampler = Resampler(8_000)
    assert [len(resampler.push(noise(1))) for _ in range(6)] == [0, 0, 1, 0, 0, 1]


@pytest.mark.parametrize("rate_hz", LINE_RATES)
@pytest.mark.parametrize("act", ["clear", "flush"])
def test_after_clear_or_flush_it_is_as_new(rate_hz: int, act: str) -> None:
    used = Resampler(rate_hz)
    used.push(noise(1_001, seed=1))
    getattr(used, act)()
    assert used.flush() == []
    again = streamed([noise(961)], used.push, used.flush)
    assert np.concatenate(again).tobytes() == resampled([noise(961)], rate_hz).tobytes()


def test_samples_beyond_the_peak_are_clipped_to_it() -> None:
    steady = np.full(2_000, 1e6, np.float32)
    assert resampled([steady], 8_000)[300] == pytest.approx(PEAK, rel=1e-3)
    assert resampled([-steady], 8_000)[300] == pytest.approx(-PEAK, rel=1e-3)


def test_24_khz_passes_unchanged() -> None:
    source = noise(777)
    assert resampled(cut(source, [100, 1, 300]), 24_000).tobytes() == source.tobytes()


@pytest.mark.parametrize("rate_hz", [0, 11_025, 48_000])
def test_other_rates_are_refused_by_name(rate_hz: int) -> None:
    with pytest.raises(UnsupportedFormat, match="sample_rate"):
        Resampler(rate_hz)
