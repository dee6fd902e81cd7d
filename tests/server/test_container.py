"""Containers: what goes in comes out of a decoder, in a stream, however the input is cut."""

import io
import struct
import wave

import av
import numpy as np
import pytest

from engines.contract import Samples
from engines.rates import SAMPLE_RATE_HZ
from server.container import COMPRESSED, CompressedContainer, RawContainer, wav_header
from telephony.encoder import LineEncoder
from telephony.format import RATES_HZ, AudioFormat, Encoding

FORMATS = [AudioFormat.of(encoding.value, rate) for encoding, rates in RATES_HZ.items() for rate in rates]


def sweep(seconds: float) -> Samples:
    at = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return (0.4 * np.sin(2 * np.pi * (200 * at + 150 * at**2))).astype(np.float32)


def wrap(container: RawContainer | CompressedContainer, samples: Samples, cut_samples: int) -> bytes:
    pieces = [
        container.push(samples[start : start + cut_samples]) for start in range(0, len(samples), cut_samples)
    ]
    return b"".join([*pieces, container.flush()])


def raw(audio_format: AudioFormat, wav: bool = False) -> RawContainer:
    return RawContainer(audio_format, LineEncoder(audio_format, level=False), wav)


# Compressed


@pytest.mark.parametrize("response_format", COMPRESSED)
def test_a_decoder_finds_the_codec_the_rate_and_the_duration(response_format: str) -> None:
    body = wrap(CompressedContainer(response_format), sweep(1.5), 9_600)
    with av.open(io.BytesIO(body)) as decoder:
        track = decoder.streams.audio[0]
        samples = sum(frame.samples for frame in decoder.decode(track))  # type: ignore[union-attr,misc]
        codec = track.codec_context.name
        assert samples / track.rate == pytest.approx(1.5, abs=0.1)
        assert track.layout.nb_channels == 1
    assert codec in {"mp3": {"mp3", "mp3float"}, "opus": {"opus", "libopus"}}.get(
        response_format, {response_format}
    )


@pytest.mark.parametrize("response_format", COMPRESSED)
def test_bytes_come_before_the_end(response_format: str) -> None:
    container = CompressedContainer(response_format)
    assert container.push(sweep(0.4)), "the first chunk of an utterance is 400 ms"
    container.flush()


@pytest.mark.parametrize("response_format", sorted(set(COMPRESSED) - {"opus"}))
@pytest.mark.parametrize("cut_samples", [777, 24_000])
def test_cuts_of_the_input_do_not_show_in_the_file(response_format: str, cut_samples: int) -> None:
    whole = wrap(CompressedContainer(response_format), sweep(1.2), 1 << 30)
    assert wrap(CompressedContainer(response_format), sweep(1.2), cut_samples) == whole


def test_flac_keeps_every_sample_and_clips_at_full_scale() -> None:
    samples = np.array([0.0, 0.5, -0.5, 1.0, -1.0, 1.7, -1.7] * 1_000, np.float32)
    with av.open(io.BytesIO(wrap(CompressedContainer("flac"), samples, 500))) as decoder:
        decoded = np.concatenate([frame.to_ndarray()[0] for frame in decoder.decode(audio=0)])  # type: ignore[union-attr]
    wanted = np.clip(np.rint(samples * 32_767), -32_768, 32_767)
    assert np.array_equal(decoded, wanted)


def test_a_chunk_of_no_samples_is_no_bytes() -> None:
    container = CompressedContainer("flac")
    assert container.push(np.zeros(0, np.float32)) == b""
    container.push(sweep(0.1))
    container.flush()


# Raw and WAVE


@pytest.mark.parametrize("audio_format", FORMATS, ids=str)
def test_wav_is_a_header_before_the_raw_bytes_and_decodes_to_its_duration(audio_format: AudioFormat) -> None:
    plain = wrap(raw(audio_format), sweep(1.0), 9_600)
    body = wrap(raw(audio_format, wav=True), sweep(1.0), 9_600)
    assert body[44:] == plain
    with av.open(io.BytesIO(body)) as decoder:
        track = decoder.streams.audio[0]
        samples = sum(frame.samples for frame in decoder.decode(track))  # type: ignore[union-attr,misc]
        assert track.rate == audio_format.rate_hz
        assert samples / track.rate == pytest.approx(1.0, abs=0.045)


@pytest.mark.parametrize("audio_format", FORMATS, ids=str)
def test_raw_is_whole_frames_however_the_input_is_cut(audio_format: AudioFormat) -> None:
    whole = wrap(raw(audio_format), sweep(0.7), 1 << 30)
    assert len(whole) % audio_format.payload_bytes == 0
    assert wrap(raw(audio_format), sweep(0.7), 777) == whole


def test_the_wav_header_comes_once_and_at_once() -> None:
    container = raw(AudioFormat.of("mulaw"), wav=True)
    assert container.push(sweep(0.001)) == wav_header(AudioFormat.of("mulaw"), 0xFFFF_FFFF)
    assert b"RIFF" not in container.push(sweep(0.5)) + container.flush()


@pytest.mark.parametrize("rate_hz", RATES_HZ[Encoding.PCM16])
def test_a_header_of_known_length_reads_in_pythons_own_wave(rate_hz: int) -> None:
    audio_format = AudioFormat.of("pcm16", rate_hz)
    with wave.open(io.BytesIO(wav_header(audio_format, 8) + bytes(8))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (rate_hz, 1, 2)
        assert file.getnframes() == 4


@pytest.mark.parametrize(("encoding", "tag", "bits"), [("pcm16", 1, 16), ("alaw", 6, 8), ("mulaw", 7, 8)])
def test_the_header_names_its_codec_as_rfc_2361_does(encoding: str, tag: int, bits: int) -> None:
    header = wav_header(AudioFormat.of(encoding), 160)
    riff, size, wave_tag, *_ = struct.unpack("<4sI4s", header[:12])
    assert (riff, size, wave_tag) == (b"RIFF", 196, b"WAVE")
    kind, channels, rate_hz, byte_rate, block, sample_bits = struct.unpack("<HHIIHH", header[20:36])
    assert (kind, channels, rate_hz, sample_bits) == (tag, 1, 8_000, bits)
    assert (byte_rate, block) == (8_000 * bits // 8, bits // 8)
    assert header[36:] == b"data" + struct.pack("<I", 160)
