"""The line encoder: whole payloads in the line's own code, the same under any cutting."""

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from telephony.encoder import LineEncoder, encode_payloads
from telephony.format import AudioFormat, Encoding
from telephony.g711 import decode_alaw, decode_mulaw
from tests.telephony.cutting import cut, cut_sizes, streamed

FORMATS = [
    AudioFormat.of("mulaw"),
    AudioFormat.of("alaw"),
    AudioFormat.of("pcm16", 8_000),
    AudioFormat.of("pcm16", 16_000),
    AudioFormat.of("pcm16", 24_000),
    AudioFormat.of("mulaw", ptime_ms=30),
]
MULAW, ALAW, PCM_8K, PCM_16K, PCM_24K, _ = FORMATS
CHUNK_SAMPLES = 9_600


def noise(samples: int, dbov: float = -23, seed: int = 0) -> NDArray[np.float32]:
    audio = np.random.default_rng(seed).standard_normal(samples)
    return (audio * 10 ** (dbov / 20)).astype(np.float32)


def encoded(encoder: LineEncoder, *chunks: NDArray[np.float32]) -> bytes:
    payloads: list[bytes] = streamed(chunks, encoder.push, encoder.flush)
    return b"".join(payloads)


def rms(audio: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(audio.astype(np.float64) ** 2)))


def decoded(audio_format: AudioFormat, line: bytes) -> NDArray[np.int16]:
    if audio_format.encoding is Encoding.PCM16:
        return np.frombuffer(line, "<i2").astype(np.int16)
    codes = np.frombuffer(line, np.uint8)
    return decode_mulaw(codes) if audio_format.encoding is Encoding.MULAW else decode_alaw(codes)


@given(
    sizes=cut_sizes, samples=st.integers(0, 6_000), audio_format=st.sampled_from(FORMATS), level=st.booleans()
)
@settings(max_examples=100, deadline=None)
def test_any_cutting_gives_the_same_payloads(
    sizes: list[int], samples: int, audio_format: AudioFormat, level: bool
) -> None:
    audio = noise(samples, dbov=-12)
    whole, parts = (LineEncoder(audio_format, level=level) for _ in range(2))
    at_once = streamed([audio], whole.push, whole.flush)
    assert streamed(cut(audio, sizes), parts.push, parts.flush) == at_once
    assert {len(payload) for payload in at_once} <= {audio_format.payload_bytes}


@pytest.mark.parametrize("audio_format", FORMATS)
def test_all_the_audio_comes_out_and_less_than_two_frames_more(audio_format: AudioFormat) -> None:
    audio = noise(10 * CHUNK_SAMPLES + 77)
    line = encoded(LineEncoder(audio_format), audio)
    frames = len(line) // audio_format.payload_bytes
    assert 0 <= frames * audio_format.ptime_ms - len(audio) / 24 < 2 * audio_format.ptime_ms


def test_a_chunk_gives_all_but_the_frame_that_the_lookahead_keeps_open() -> None:
    encoder = LineEncoder(MULAW)
    assert [len(encoder.push(noise(CHUNK_SAMPLES))) for _ in range(3)] == [19, 20, 20]
    # The held 5 ms complete the open frame; the filter's tail of 2.5 ms begins another.
    assert [len(payload) for payload in encoder.flush()] == [160, 160]
    assert encoder.flush() == []


@pytest.mark.parametrize("audio_format", FORMATS)
def test_silence_is_the_payload_of_silence(audio_format: AudioFormat) -> None:
    payloads = LineEncoder(audio_format).push(np.zeros(CHUNK_SAMPLES, np.float32))
    assert set(payloads) == {audio_format.silence}


@pytest.mark.parametrize("audio_format", FORMATS)
def test_flush_fills_the_last_frame_with_silence(audio_format: AudioFormat) -> None:
    encoder = LineEncoder(audio_format, level=False)
    (payload,) = streamed([noise(24)], encoder.push, encoder.flush)
    assert payload[-8:] == audio_format.silence[-8:]


def test_white_noise_fills_the_speech_band_and_fades_towards_4_khz() -> None:
    line = encoded(LineEncoder(PCM_8K), noise(20 * CHUNK_SAMPLES))
    frequencies_hz, power = scipy.signal.welch(decoded(PCM_8K, line), 8_000, nperseg=256)
    power_db = 10 * np.log10(power)
    speech_band_db = power_db[(frequencies_hz >= 200) & (frequencies_hz <= 3_400)]
    assert np.ptp(speech_band_db) < 2
    assert power_db[-1] < speech_band_db.min() - 8


@pytest.mark.parametrize("audio_format", [MULAW, PCM_8K])
def test_hiss_above_the_telephone_band_is_60_db_down(audio_format: AudioFormat) -> None:
    band = scipy.signal.firwin(401, [4_700, 11_500], fs=24_000, pass_zero=False)
    hiss = scipy.signal.lfilter(band, [1.0], noise(5 * CHUNK_SAMPLES, dbov=-14)).astype(np.float32)
    line = decoded(audio_format, encoded(LineEncoder(audio_format, level=False), hiss))
    assert rms(line / 32768) < rms(hiss) / 1_000


@pytest.mark.parametrize("audio_format", FORMATS)
def test_a_tone_arrives_at_the_target_level(audio_format: AudioFormat) -> None:
    seconds = np.arange(4 * 24_000) / 24_000
    tone: NDArray[np.float32] = (0.03 * np.sin(2 * np.pi * 1_000 * seconds)).astype(np.float32)
    line = decoded(audio_format, encoded(LineEncoder(audio_format, -32, -20), tone))
    settled = line[3 * audio_format.rate_hz : -audio_format.frame_samples * 2].astype(float)
    assert 20 * np.log10(rms(settled) / 32768) == pytest.approx(-20, abs=0.2)


def test_without_levelling_24_khz_keeps_every_sample() -> None:
    samples = np.random.default_rng(0).integers(-32768, 32768, 4 * PCM_24K.frame_samples).astype(np.int16)
    line = encoded(LineEncoder(PCM_24K, level=False), samples.astype(np.float32) / np.float32(32768))
    assert decoded(PCM_24K, line).tolist() == samples.tolist()


def test_without_levelling_what_is_over_full_scale_is_clipped() -> None:
    loud = np.array([1.0, 2.0, -1.0, -2.0, 0.99999] * 96, np.float32)
    line = encoded(LineEncoder(PCM_24K, level=False), loud)
    assert decoded(PCM_24K, line)[:5].tolist() == [32767, 32767, -32768, -32768, 32767]


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("level", [True, False])
def test_a_sample_that_is_not_finite_is_silence(broken: float, level: bool) -> None:
    audio, mended = noise(CHUNK_SAMPLES), noise(CHUNK_SAMPLES)
    audio[500:620] = broken
    mended[500:620] = 0
    expected = encoded(LineEncoder(MULAW, level=level), mended)
    assert encoded(LineEncoder(MULAW, level=level), audio) == expected
    assert np.isnan(audio[500]) or np.isinf(audio[500])


@pytest.mark.parametrize("audio_format", FORMATS)
def test_clear_drops_all_that_is_held(audio_format: AudioFormat) -> None:
    encoder = LineEncoder(audio_format)
    encoder.push(noise(1_111))
    encoder.clear()
    assert encoder.flush() == []
    assert set(encoder.push(np.zeros(CHUNK_SAMPLES, np.float32))) == {audio_format.silence}


def test_without_levelling_clear_makes_it_as_new() -> None:
    used = LineEncoder(MULAW, level=False)
    used.push(noise(1_111, seed=1))
    used.clear()
    assert encoded(used, noise(3_000)) == encoded(LineEncoder(MULAW, level=False), noise(3_000))


def test_after_clear_the_voice_keeps_its_level() -> None:
    encoder = LineEncoder(PCM_8K, nominal_dbov=-26)
    encoder.push(noise(5 * 24_000, dbov=-40))
    encoder.clear()
    line = decoded(PCM_8K, encoded(encoder, noise(24_000, dbov=-40)))
    # White noise loses two thirds of its band, 4.8 dB or a little more.
    assert 20 * np.log10(rms(line / 32768)) == pytest.approx(-28.2, abs=1)


@pytest.mark.parametrize(
    ("encoding", "payloads"),
    [
        (Encoding.MULAW, [b"\xff\xce", b"\x7f\x00"]),
        (Encoding.ALAW, [b"\xd5\xfa", b"\x55\x2a"]),
        (Encoding.PCM16, [b"\x00\x00\xe8\x03", b"\xff\xff\x00\x80"]),
    ],
)
def test_payloads_are_one_frame_each_and_pcm_is_little_endian(
    encoding: Encoding, payloads: list[bytes]
) -> None:
    frames = np.array([[0, 1_000], [-1, -32_768]], np.int16)
    assert encode_payloads(frames, encoding) == payloads
    assert encode_payloads(frames[:0], encoding) == []
