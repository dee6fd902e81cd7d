"""`talkspurt say`: every way in and out, and every mistake named by its option."""

import asyncio
import io
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import av
import pytest
from click.testing import CliRunner, Result

from engines import EngineConfig, open_engine
from server.cli.say import say
from telephony.encoder import LineEncoder
from telephony.format import AudioFormat
from telephony.rtp import RtpPacket
from tests.server.process import clean_environment

TEXT = "Your appointment is on Tuesday, at half past four."


def run(*arguments: str | Path, text: str | bytes = "") -> Result:
    """With the preview voice, which opens at once, unless another engine is named."""
    return CliRunner().invoke(say, ["--engine", "preview", *map(str, arguments)], input=text)


def spoken(out: Path, *arguments: str | Path, text: str | bytes = "") -> bytes:
    done = run(*arguments, "--out", out, text=text)
    assert done.exit_code == 0, done.output
    return out.read_bytes()


def duration_s(wav: bytes) -> tuple[float, int]:
    """(duration, rate) by a decoder, not by our header."""
    with av.open(io.BytesIO(wav)) as container:
        track = container.streams.audio[0]
        samples = sum(frame.samples for frame in container.decode(track))  # type: ignore[union-attr,misc]
        return samples / track.rate, track.rate


FORMATS = [
    ([], 24_000, 2),
    (["--rate", "8000"], 8_000, 2),
    (["--rate", "16000"], 16_000, 2),
    (["--format", "pcm16"], 24_000, 2),
    (["--format", "pcm16", "--rate", "8000"], 8_000, 2),
    (["--format", "mulaw"], 8_000, 1),
    (["--format", "alaw"], 8_000, 1),
]


@pytest.mark.parametrize(("options", "rate_hz", "sample_bytes"), FORMATS)
def test_wav_and_raw_in_each_format_last_alike(
    options: list[str], rate_hz: int, sample_bytes: int, tmp_path: Path
) -> None:
    wav = spoken(tmp_path / "a.wav", TEXT, *options)
    raw = spoken(tmp_path / "a.raw", TEXT, *options)
    assert wav[44:] == raw
    assert duration_s(wav) == (len(raw) / sample_bytes / rate_hz, rate_hz)
    assert 2 < len(raw) / sample_bytes / rate_hz < 5


@pytest.mark.parametrize(("encoding", "rate_hz"), [("mulaw", 8_000), ("pcm16", 24_000)])
def test_the_file_holds_all_that_the_engine_made(encoding: str, rate_hz: int, tmp_path: Path) -> None:
    made = spoken(tmp_path / "a.raw", TEXT, "--format", encoding)
    assert made == asyncio.run(encoded(AudioFormat.of(encoding, rate_hz)))


async def encoded(audio_format: AudioFormat) -> bytes:
    """A telephone's level for a telephone's rate alone."""
    engine = open_engine(EngineConfig.resolve("throughput", backend="preview", max_utterances=1))
    nominal_dbov = engine.voices["default"].nominal_dbov
    encoder = LineEncoder(audio_format, nominal_dbov, level=audio_format.rate_hz == 8_000)
    try:
        async with engine.speak(TEXT) as speech:
            payloads = [payload async for chunk in speech for payload in encoder.push(chunk.samples)]
    finally:
        engine.close()
    return b"".join(payloads + encoder.flush())


def test_text_comes_from_an_argument_a_file_or_standard_input_alike(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text(TEXT)
    wanted = spoken(tmp_path / "a.wav", TEXT)
    assert spoken(tmp_path / "b.wav", "--file", file) == wanted
    assert spoken(tmp_path / "c.wav", "-", text=TEXT) == wanted
    assert spoken(tmp_path / "d.wav", text=TEXT) == wanted
    file.write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    assert spoken(tmp_path / "e.wav", "--file", file) == wanted, "a byte order mark is not spoken"


def test_voice_and_seed_are_taken(tmp_path: Path) -> None:
    wanted = spoken(tmp_path / "a.wav", TEXT)
    assert spoken(tmp_path / "b.wav", TEXT, "--seed", "7", "--profile", "latency") == wanted
    assert spoken(tmp_path / "c.wav", TEXT, "--voice", "preview-low") != wanted


def test_a_long_text_is_spoken_in_bounded_memory(tmp_path: Path) -> None:
    """Twenty kilobytes are twenty minutes: 120 MB, were it all held as the engine makes it."""
    text = (TEXT + " ") * (20_000 // len(TEXT))
    file = tmp_path / "long.txt"
    file.write_text(text)
    short_kb = peak_memory_kb(TEXT, "--out", os.fspath(tmp_path / "short.raw"))
    long_kb = peak_memory_kb("--file", os.fspath(file), "--out", os.fspath(tmp_path / "long.raw"))
    assert (tmp_path / "long.raw").stat().st_size > 40_000_000
    assert long_kb - short_kb < 40_000


def peak_memory_kb(*arguments: str) -> int:
    program = (
        "import resource, sys\n"
        "from server.cli.main import talkspurt\n"
        "talkspurt.main(['say', '--engine', 'preview', *sys.argv[1:]], standalone_mode=False)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        env=clean_environment(),
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


# RTP


def test_rtp_prints_the_sdp_then_sends_the_speech_to_its_end(tmp_path: Path) -> None:
    wanted = spoken(tmp_path / "a.raw", "One, two.", "--format", "alaw")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.bind(("127.0.0.1", 0))
        phone.settimeout(2)
        packets: list[RtpPacket] = []
        listening = threading.Thread(target=listen, args=(phone, packets))
        listening.start()
        port = phone.getsockname()[1]
        done = run("One, two.", "--rtp", f"127.0.0.1:{port}", "--format", "alaw")
        listening.join()
    assert done.exit_code == 0, done.output
    assert f"m=audio {port} RTP/AVP 8\r\n" in done.stdout_bytes.decode()
    first = next(index for index, packet in enumerate(packets) if packet.marker)
    assert b"".join(packet.payload for packet in packets[first:])[: len(wanted)] == wanted


def listen(phone: socket.socket, packets: list[RtpPacket]) -> None:
    """Until two seconds pass without a packet."""
    try:
        while True:
            packets.append(RtpPacket.parse(phone.recv(2_048)))
            phone.settimeout(0.3)
    except TimeoutError:
        return


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_sdp_only_prints_it_and_sends_nothing(host: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.bind(("127.0.0.1", 0))
        phone.setblocking(False)
        port = phone.getsockname()[1]
        done = run(TEXT, "--rtp", f"{host}:{port}", "--sdp-only")
        assert done.exit_code == 0, done.output
        with pytest.raises(BlockingIOError):
            phone.recv(2_048)
    lines = done.stdout_bytes.decode().split("\r\n")
    assert lines[0] == "v=0"
    assert f"m=audio {port} RTP/AVP 0" in lines
    assert ("c=IN IP6 ::1" in lines) == (host == "[::1]")


# Mistakes


MISTAKES: list[tuple[list[str], str]] = [
    ([TEXT], "--out"),
    ([TEXT, "--out", "a.wav", "--play"], "--play"),
    ([TEXT, "--out", "a.wav", "--rtp", "127.0.0.1:5004"], "--rtp"),
    ([TEXT, "--out", "a.wav", "--sdp-only"], "--sdp-only"),
    ([TEXT, "--play", "--format", "mulaw"], "--format"),
    ([TEXT, "--play", "--rate", "8000"], "--rate"),
    ([TEXT, "--out", "."], "--out"),
    ([TEXT, "--out", "nowhere/a.wav"], "--out"),
    ([TEXT, "--out", "a.wav", "--format", "opus"], "--format"),
    ([TEXT, "--out", "a.wav", "--rate", "11025"], "--rate"),
    ([TEXT, "--out", "a.wav", "--rate", "0"], "--rate"),
    ([TEXT, "--out", "a.wav", "--format", "mulaw", "--rate", "16000"], "--rate"),
    ([TEXT, "--out", "a.wav", "--voice", "nobody"], "--voice"),
    ([TEXT, "--out", "a.wav", "--engine", "steam"], "--engine"),
    ([TEXT, "--out", "a.wav", "--profile", "fastest"], "--profile"),
    ([TEXT, "--out", "a.wav", "--seed", "-1"], "--seed"),
    ([TEXT, "--out", "a.wav", "--colour", "red"], "--colour"),
    ([TEXT, "--out", "a.wav", "--file", "text.txt"], "--file"),
    (["--out", "a.wav", "--file", "nowhere.txt"], "--file"),
    (["--out", "a.wav", "--file", "latin.txt"], "--file"),
    ([TEXT, "--rtp", "127.0.0.1"], "--rtp"),
    ([TEXT, "--rtp", "127.0.0.1:0"], "--rtp"),
    ([TEXT, "--rtp", "127.0.0.1:65535"], "--rtp"),
    ([TEXT, "--rtp", "127.0.0.1:٥٠٠٤"], "--rtp"),
    ([TEXT, "--rtp", ":5004"], "--rtp"),
    ([TEXT, "--rtp", "nowhere.invalid:5004"], "--rtp"),
    ([TEXT, "--rtp", "127.0.0.1:5004", "--format", "pcm16"], "--format"),
    ([TEXT, "--rtp", "127.0.0.1:5004", "--rate", "16000"], "--rate"),
    ([" ... ", "--out", "a.wav"], "text"),
    (["", "--out", "a.wav"], "text"),
]


@pytest.mark.parametrize(("arguments", "named"), MISTAKES, ids=lambda each: " ".join(each)[-40:])
def test_each_mistake_names_its_option_and_leaves_no_file(
    arguments: list[str], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT)
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    done = run(*arguments)
    assert done.exit_code in (1, 2), done.output
    assert isinstance(done.exception, SystemExit), "an error in words, not a trace"
    assert named in done.stderr.splitlines()[-1], done.stderr
    assert not (tmp_path / "a.wav").exists()


def test_play_without_a_player_says_which_would_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    done = run(TEXT, "--play")
    assert done.exit_code == 1
    assert "--play needs one of ffplay" in done.stderr


def test_play_hands_24_khz_to_the_first_player_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = spoken(tmp_path / "a.raw", TEXT)
    player = tmp_path / "aplay"
    player.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\nexec /bin/cat > {tmp_path}/heard\n')
    player.chmod(0o755)
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    done = run(TEXT, "--play")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "heard").read_bytes() == wanted
    assert "-r 24000" in (tmp_path / "arguments").read_text()
