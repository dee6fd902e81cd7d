"""Where `talkspurt say` puts its audio: a file that was there is only replaced by audio, a player may die."""

import contextlib
import io
import os
import shutil
import socket
import wave
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from server.cli.output import FileOutput, PlayerOutput, RtpOutput
from server.container import wav_header
from telephony.format import TELEPHONE, AudioFormat
from telephony.rtp import RtpPacket

FRAMES = [bytes([number]) * 160 for number in range(1, 6)]


async def test_a_wav_file_has_the_length_of_what_was_pushed(tmp_path: Path) -> None:
    path = tmp_path / "said.WAV"
    output = FileOutput(path, TELEPHONE)
    await output.push(FRAMES[:2])
    await output.push([])
    await output.push(FRAMES[2:])
    await output.close()
    assert path.read_bytes() == wav_header(TELEPHONE, 800) + b"".join(FRAMES)


async def test_any_other_name_holds_bare_samples(tmp_path: Path) -> None:
    path = tmp_path / "said.ulaw"
    output = FileOutput(path, TELEPHONE)
    await output.push(FRAMES)
    await output.close()
    assert path.read_bytes() == b"".join(FRAMES)


async def test_a_pcm_wav_reads_in_pythons_own_wave(tmp_path: Path) -> None:
    path = tmp_path / "said.wav"
    output = FileOutput(path, AudioFormat.of("pcm16", 16_000))
    await output.push([bytes(640)] * 3)
    await output.close()
    with wave.open(io.BytesIO(path.read_bytes())) as file:
        assert (file.getframerate(), file.getnframes()) == (16_000, 960)


async def test_without_audio_a_file_is_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "kept.wav"
    path.write_text("precious")
    await FileOutput(path, TELEPHONE).close()
    assert path.read_text() == "precious"
    await FileOutput(tmp_path / "none.wav", TELEPHONE).close()
    assert not (tmp_path / "none.wav").exists()


async def test_a_file_that_cannot_be_written_is_named_by_its_option(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "said.wav"
    with pytest.raises(click.ClickException, match=f"^--out {path}: No such file or directory$"):
        await FileOutput(path, TELEPHONE).push(FRAMES)


def install_player(directory: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """The only player there is."""
    player = directory / "aplay"
    player.write_text(f"#!{shutil.which('sh')}\n{script}\n")
    player.chmod(0o755)
    monkeypatch.setenv("PATH", os.fspath(directory))


async def test_a_player_gets_every_byte_and_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = tmp_path / "heard"
    install_player(tmp_path, monkeypatch, f"{shutil.which('cat')} > {heard}")
    output = PlayerOutput()
    for _ in range(3):
        await output.push(FRAMES)
    await output.close()
    assert heard.read_bytes() == b"".join(FRAMES) * 3


async def test_a_player_that_stops_is_an_error_and_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_player(tmp_path, monkeypatch, "exit 1")
    output = PlayerOutput()
    with pytest.raises(click.ClickException, match="the player stopped"):
        await push_on(output)
    await output.close()


async def push_on(output: PlayerOutput) -> None:
    for _ in range(1_000):  # small ones, so that some are still unwritten when it stops
        await output.push(FRAMES)


def test_without_a_player_the_choice_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    with pytest.raises(click.ClickException, match=r"--play needs one of ffplay, aplay, .*none is installed"):
        PlayerOutput()


async def test_rtp_sends_each_frame_once_and_drains_before_it_closes() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.bind(("127.0.0.1", 0))
        phone.setblocking(False)
        output = await RtpOutput.open(phone.getsockname(), TELEPHONE)
        await output.push(FRAMES)
        await output.close()
        payloads = [packet.payload for packet in received(phone)]
    assert [payload for payload in payloads if payload != TELEPHONE.silence] == FRAMES


def received(phone: socket.socket) -> Iterator[RtpPacket]:
    with contextlib.suppress(BlockingIOError):
        while True:
            yield RtpPacket.parse(phone.recv(2_048))


async def test_rtp_to_nowhere_is_named_by_its_option() -> None:
    with pytest.raises(click.ClickException, match=r"^--rtp nowhere\.invalid:5004: "):
        await RtpOutput.open(("nowhere.invalid", 5_004), TELEPHONE)
