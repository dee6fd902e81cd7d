"""Where `talkspurt say` puts its audio: a file, a player, or an RTP stream."""

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

import click

from server.container import wav_header
from server.line import wait_for_lead
from telephony.format import AudioFormat
from telephony.net.clock import Ticker
from telephony.net.udp import CallOptions, RtpCall

# Each reads 24 kHz mono s16le from standard input.
_PLAYERS = {
    "ffplay": "ffplay -loglevel error -nodisp -autoexit -f s16le -ar 24000 -i -",
    "aplay": "aplay -q -t raw -f S16_LE -r 24000 -c 1 -",
    "paplay": "paplay --raw --format=s16le --rate=24000 --channels=1",
    "play": "play -q -t raw -e signed -b 16 -r 24000 -c 1 -",
}


class Output(Protocol):
    """Takes encoded frames as they are synthesised."""

    async def push(self, payloads: Sequence[bytes]) -> None: ...

    async def close(self) -> None: ...


class FileOutput:
    """A file: WAVE when its name ends in .wav, bare samples otherwise. Without audio it is left as it was."""

    def __init__(self, path: Path, audio_format: AudioFormat) -> None:
        self._path = path
        self._format = audio_format
        self._wav = path.suffix.lower() == ".wav"
        self._file: BinaryIO | None = None
        self._bytes = 0

    async def push(self, payloads: Sequence[bytes]) -> None:
        try:
            file = self._file or self._open()
            self._bytes += sum(len(payload) for payload in payloads)
            file.writelines(payloads)
        except OSError as error:
            raise click.ClickException(f"--out {self._path}: {error.strerror}") from None

    async def close(self) -> None:
        if self._file is None:
            return
        with self._file:
            if self._wav:
                self._file.seek(0)
                self._file.write(wav_header(self._format, self._bytes))

    def _open(self) -> BinaryIO:
        self._file = self._path.open("wb")
        if self._wav:
            self._file.write(wav_header(self._format, 0))
        return self._file


class PlayerOutput:
    """The first player that is installed."""

    def __init__(self) -> None:
        name = next((each for each in _PLAYERS if shutil.which(each)), None)
        if name is None:
            raise click.ClickException(f"--play needs one of {', '.join(_PLAYERS)}; none is installed")
        self._player = subprocess.Popen(_PLAYERS[name].split(), stdin=subprocess.PIPE)

    async def push(self, payloads: Sequence[bytes]) -> None:
        assert self._player.stdin is not None, "it was opened with a pipe"
        try:
            await asyncio.to_thread(self._player.stdin.write, b"".join(payloads))
        except BrokenPipeError:
            raise click.ClickException("the player stopped") from None

    async def close(self) -> None:
        assert self._player.stdin is not None, "it was opened with a pipe"
        with contextlib.suppress(BrokenPipeError):  # it stopped with something unwritten
            self._player.stdin.close()
        await asyncio.to_thread(self._player.wait)


class RtpOutput:
    """Paced packets to one address."""

    def __init__(self, call: RtpCall) -> None:
        self._call = call

    @classmethod
    async def open(cls, remote: tuple[str, int], audio_format: AudioFormat) -> "RtpOutput":
        try:
            return cls(await RtpCall.open(Ticker(), remote, audio_format, CallOptions()))
        except OSError as error:
            raise click.ClickException(f"--rtp {remote[0]}:{remote[1]}: {error}") from None

    async def push(self, payloads: Sequence[bytes]) -> None:
        self._call.push(payloads)
        await wait_for_lead(lambda: self._call.lead_frames, self._call.playout.format.ptime_ms)

    async def close(self) -> None:
        self._call.finish()
        await self._call.close(drain=True)
