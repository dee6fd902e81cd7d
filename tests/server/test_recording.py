"""Any audio file becomes mono at 24 kHz, and anything else one error; nothing else is opened."""

import io
import logging
import wave
from pathlib import Path

import numpy as np
import pytest

from engines.contract import Samples
from engines.errors import InvalidRequest
from engines.voices.loudness import TARGET_LUFS, normalise
from server.recording import MAX_DECODED_S, decode_recording, enroll_recording, spoken_dbov
from tests.fakes.voice import FakeEnroller
from tests.server.recordings import TONE_HZ, recording

RATE_HZ = 24_000

FILES = [
    ("wav", "pcm_s16le", 24_000, "mono"),
    ("wav", "pcm_s16le", 44_100, "stereo"),
    ("wav", "pcm_s24le", 48_000, "mono"),
    ("wav", "pcm_f32le", 16_000, "mono"),
    ("wav", "pcm_mulaw", 8_000, "mono"),
    ("wav", "pcm_s16le", 48_000, "5.1"),
    ("mp3", "libmp3lame", 44_100, "stereo"),
    ("flac", "flac", 96_000, "mono"),
    ("ogg", "libopus", 48_000, "mono"),
    ("webm", "libopus", 48_000, "stereo"),
    ("ipod", "aac", 44_100, "stereo"),
    ("adts", "aac", 44_100, "mono"),
    ("aiff", "pcm_s16be", 44_100, "stereo"),
    ("caf", "pcm_s16le", 22_050, "mono"),
]


def bare_wave(rate_hz: int, samples: int) -> bytes:
    body = io.BytesIO()
    with wave.open(body, "wb") as file:
        file.setparams((1, 2, rate_hz, samples, "NONE", "not compressed"))
        file.writeframes(bytes(2 * samples))
    return body.getvalue()


def tone_amplitude(samples: Samples) -> float:
    """Of the tone, away from the ends: by its correlation with one."""
    middle = samples[RATE_HZ : 5 * RATE_HZ].astype(np.float64)
    wave = np.exp(-2j * np.pi * TONE_HZ / RATE_HZ * np.arange(len(middle)))
    return float(2 * abs(np.mean(middle * wave)))


@pytest.mark.parametrize(("container", "codec", "rate_hz", "layout"), FILES)
def test_every_usual_file_is_decoded_to_its_channels_mean_at_24_khz(
    container: str, codec: str, rate_hz: int, layout: str
) -> None:
    samples = decode_recording(recording(6.0, container, codec, rate_hz, layout))
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert len(samples) == pytest.approx(6 * RATE_HZ, abs=0.05 * RATE_HZ)
    mean = {"mono": 0.1, "stereo": 0.15, "5.1": 0.35}[layout]
    written = 0.95 if codec == "libmp3lame" else 1.0  # LAME's own scale, there in any decoding of its file
    assert tone_amplitude(samples) == pytest.approx(mean * written, rel=0.02)


def test_what_needs_no_conversion_comes_as_it_is() -> None:
    samples = decode_recording(recording(6.0, "wav", "pcm_f32le", RATE_HZ))
    at = np.arange(6 * RATE_HZ)
    assert np.array_equal(samples, (0.1 * np.sin(2 * np.pi * TONE_HZ / RATE_HZ * at)).astype(np.float32))


def test_no_more_is_decoded_than_a_recording_may_be_long() -> None:
    content = recording(120, "mp3", "libmp3lame", 16_000)
    assert len(decode_recording(content)) == MAX_DECODED_S * RATE_HZ
    unreadable_later = content[: len(content) // 2] + bytes([0xFF, 0xFB, 0x90, 0x64]) * (len(content) // 8)
    assert len(decode_recording(unreadable_later)) == MAX_DECODED_S * RATE_HZ


def test_a_file_that_is_mostly_damaged_is_refused() -> None:
    content = recording(20, "mp3", "libmp3lame", 16_000)
    with pytest.raises(InvalidRequest):
        decode_recording(content[: len(content) // 2] + bytes([0xFF, 0xFB, 0x90, 0x64]) * (len(content) // 8))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"not a recording " * 1_000,
        recording()[:50],
        recording(container="ipod", codec="aac")[:9_000],
        bare_wave(24_000, 0),
        bare_wave(1, 4_500),
        bare_wave(2_000_000, 4_500),
    ],
)
def test_what_is_no_audio_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_recording(content)
    assert caught.value.field == "file"
    assert f"{len(content)} bytes" in str(caught.value)


@pytest.mark.parametrize(
    "playlist",
    [
        "ffconcat version 1.0\nfile secret.wav\n",
        "ffconcat version 1.0\nfile '{folder}/secret.wav'\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\nsecret.wav\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\nfile://{folder}/secret.wav\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    ],
)
def test_a_file_that_names_others_opens_none(
    playlist: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret.wav").write_bytes(recording())
    monkeypatch.chdir(tmp_path)  # the first of them is read from there, by ffmpeg's own choice of formats
    with pytest.raises(InvalidRequest):
        decode_recording(playlist.format(folder=tmp_path).encode())


def test_a_container_that_is_none_of_ours_is_not_opened() -> None:
    with pytest.raises(InvalidRequest):
        decode_recording(recording(container="avi"))


def test_tags_in_no_known_encoding_do_no_harm() -> None:
    named = recording(metadata={"title": "Amy in Leeds"}).replace(b"Amy in Leeds", b"Amy \xff\xfe Leeds")
    assert b"\xff\xfe" in named
    assert len(decode_recording(named)) == 6 * RATE_HZ


def test_a_damaged_packet_is_left_out_as_players_do() -> None:
    whole = recording(container="mp3", codec="libmp3lame", rate_hz=44_100)
    damaged = bytearray(whole)
    at = len(whole) // 2
    damaged[at : at + 400] = bytes(400)
    samples = decode_recording(bytes(damaged))
    assert 5.5 * RATE_HZ < len(samples) <= 6.1 * RATE_HZ


def test_nothing_is_written_to_the_log_for_a_damaged_file(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InvalidRequest):
        decode_recording(recording(container="flac", codec="flac")[:3_000])
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert capfd.readouterr() == ("", "")


# The level of the voice


def talk(dbov: float, seconds: int = 10) -> Samples:
    """Noise, a second on and half a second off, at an active level."""
    random = np.random.default_rng(3)
    noise = random.standard_normal(seconds * RATE_HZ) * 10 ** (dbov / 20)
    at_s = np.arange(len(noise)) / RATE_HZ
    return (noise * (at_s % 1.5 < 1.0)).astype(np.float32)


@pytest.mark.parametrize("dbov", [-40.0, -26.0, -15.0])
def test_the_level_is_that_of_the_recording_brought_to_the_model_s_loudness(dbov: float) -> None:
    recorded = talk(dbov)
    levelled = normalise(recorded, TARGET_LUFS).astype(np.float64)
    active = levelled[levelled != 0]
    active_dbov = 10 * np.log10(np.mean(active**2))
    assert spoken_dbov(recorded) == pytest.approx(active_dbov, abs=1.5)
    assert spoken_dbov(recorded) == pytest.approx(spoken_dbov(talk(-26.0)), abs=0.11)


def test_a_quiet_end_counts_no_more_than_a_loud_one() -> None:
    quiet, loud = talk(-36.0, 6), talk(-26.0, 6)
    one, other = spoken_dbov(np.concatenate((quiet, loud))), spoken_dbov(np.concatenate((loud, quiet)))
    assert one == pytest.approx(other, abs=2.0)


def test_what_is_enrolled_keeps_the_sum_of_its_recording() -> None:
    enroller = FakeEnroller()
    enroller.gate.set()
    content = recording()
    conditioning, dbov = enroll_recording(content, enroller.enroll)
    assert np.array_equal(enroller.recordings[0], decode_recording(content))
    assert conditioning.origin["seconds"] == 12.5
    assert len(conditioning.origin["recording_sha256"]) == 64
    assert dbov == spoken_dbov(decode_recording(content))
