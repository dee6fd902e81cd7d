"""`talkspurt say`: speak a text in this process, into a file, a player or an RTP stream."""

import asyncio
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from engines import EngineConfig, EngineError, SpeechEngine, SpeechRequest, open_engine
from engines.config import DEFAULT_ENGINE, PROFILES
from engines.errors import ConfigError, InvalidRequest
from engines.rates import SAMPLE_RATE_HZ
from server.cli.output import FileOutput, Output, PlayerOutput, RtpOutput
from server.line import open_encoder
from telephony.errors import TelephonyError, UnsupportedFormat
from telephony.format import AudioFormat, Encoding
from telephony.sdp import describe_sender

_OPTIONS = {"sample_rate": "rate", "encoding": "format", "backend": "engine"}
"""What a field of the engine or a format is called here."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """What was asked for, checked."""

    text: str
    request: SpeechRequest
    audio_format: AudioFormat


def _read_text(text: str | None, file: str | None) -> str:
    if text is not None and file is not None:
        raise click.UsageError("give a text or --file, not both")
    if file is not None:
        return _decoded(Path(file).read_bytes(), "--file")
    if text == "-" or (text is None and not sys.stdin.isatty()):
        return _decoded(sys.stdin.buffer.read(), "standard input")
    if text is None:
        raise click.UsageError("give a text, --file FILE, or text on standard input")
    return text


def _decoded(raw: bytes, origin: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{origin}: not UTF-8 text: {error}") from None


def _host_port(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, int] | None:
    if value is None:
        return None
    host, _, port = value.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65_534:
        raise click.BadParameter(f"{value!r} is not HOST:PORT with a port of 1 to 65534")
    host = host.removeprefix("[").removesuffix("]")
    try:
        # Resolved once: what the SDP tells and where packets go must be one address.
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_DGRAM)
    except (OSError, ValueError):
        raise click.BadParameter(f"{value!r} names a host that does not resolve") from None
    return str(found[0][4][0]), int(port)


@click.command()
@click.argument("text", required=False)
@click.option("--file", type=click.Path(exists=True, dir_okay=False), help="Read the text from a file.")
@click.option("--out", type=click.Path(dir_okay=False, writable=True), help="Write a .wav, or bare samples.")
@click.option("--format", "encoding", type=click.Choice([each.value for each in Encoding]), help="Encoding.")
@click.option(
    "--rate", type=click.IntRange(min=1), help="Sample rate: 8000, or 8000, 16000, 24000 for pcm16."
)
@click.option("--rtp", callback=_host_port, metavar="HOST:PORT", help="Send paced RTP; prints the SDP first.")
@click.option("--sdp-only", is_flag=True, help="With --rtp: print the SDP and send nothing.")
@click.option("--play", is_flag=True, help="Play it, where a player is installed.")
@click.option("--voice", default="default", show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
@click.option("--engine", default=DEFAULT_ENGINE, show_default=True, help="Which backend speaks.")
@click.option("--profile", type=click.Choice(PROFILES), default="throughput", show_default=True)
@click.option("--model", metavar="DIR", help="What the engines onnx and pytorch speak.")
@click.option("--voices", metavar="DIR", help="Enrolled voices.")
@click.option(
    "--prompt-cache/--no-prompt-cache",
    default=None,
    help="S3Gen's prompt once a voice: faster, not exact; or as its model says.",
)
@click.option("--t3-int8", is_flag=True, help="T3 with 8-bit weights.")
@click.option("--temperature", type=click.FloatRange(0, 2), help="How freely T3 chooses.")
def say(
    text: str | None,
    file: str | None,
    out: str | None,
    encoding: str | None,
    rate: int | None,
    rtp: tuple[str, int] | None,
    sdp_only: bool,
    play: bool,
    voice: str,
    seed: int,
    engine: str,
    profile: str,
    **model_settings: Any,
) -> None:
    """Speak TEXT (or - for standard input)."""
    if [out is not None, rtp is not None, play].count(True) != 1:
        raise click.UsageError("say where: one of --out FILE, --rtp HOST:PORT, --play")
    if sdp_only and rtp is None:
        raise click.UsageError("--sdp-only needs --rtp")
    if play and (encoding is not None or rate is not None):
        raise click.UsageError("--play takes no --format and no --rate: a player gets what the voice makes")
    try:
        audio_format = _format_for(encoding, rate, rtp is not None, play)
        if rtp is not None:
            click.echo(_sdp(rtp, audio_format), nl=False)
            if sdp_only:
                return
        spoken = Spoken(_read_text(text, file), SpeechRequest(voice, seed), audio_format)
        config = EngineConfig.resolve(
            profile,
            backend=engine,
            max_utterances=1,
            max_text_chars=max(1, len(spoken.text)),
            **model_settings,
        )
        asyncio.run(_say(spoken, config, out, rtp))
    except (InvalidRequest, ConfigError, UnsupportedFormat) as error:
        option = _OPTIONS.get(error.field, error.field).replace("_", "-")
        raise click.ClickException(f"--{option}: {str(error).removeprefix(f'{error.field}: ')}") from None
    except (EngineError, TelephonyError) as error:
        raise click.ClickException(str(error)) from None


def _format_for(encoding: str | None, rate: int | None, rtp: bool, play: bool) -> AudioFormat:
    if play:
        return AudioFormat.of("pcm16", SAMPLE_RATE_HZ)
    if rtp:
        if encoding == Encoding.PCM16.value:
            raise UnsupportedFormat("encoding", encoding, "mulaw or alaw over RTP")
        return AudioFormat.of(encoding or "mulaw", rate)
    if encoding is None:
        return AudioFormat.of("pcm16", SAMPLE_RATE_HZ if rate is None else rate)
    default = SAMPLE_RATE_HZ if encoding == Encoding.PCM16.value else None
    return AudioFormat.of(encoding, rate or default)


def _sdp(remote: tuple[str, int], audio_format: AudioFormat) -> str:
    return describe_sender(audio_format, remote, local_host=remote[0], session_id=1).serialize()


async def _say(spoken: Spoken, config: EngineConfig, out: str | None, rtp: tuple[str, int] | None) -> None:
    engine = open_engine(config)
    try:
        if out is not None:
            output: Output = FileOutput(Path(out), spoken.audio_format)
        elif rtp is not None:
            output = await RtpOutput.open(rtp, spoken.audio_format)
        else:
            output = PlayerOutput()
        try:
            await _speak(engine, spoken, output)
        finally:
            await output.close()
    finally:
        engine.close()


async def _speak(engine: SpeechEngine, spoken: Spoken, output: Output) -> None:
    chars, samples = 0, 0
    # The bar shows itself on a terminal only (disable=None).
    with tqdm(total=len(spoken.text), unit="char", disable=None, leave=False) as progress:
        async with engine.speak(spoken.text, spoken.request) as speech:
            encoder = open_encoder(engine, spoken.audio_format, spoken.request.voice)
            async for chunk in speech:
                await output.push(encoder.push(chunk.samples))
                samples += len(chunk.samples)
                if chunk.ends_segment:
                    progress.update(chunk.span.end_char - chars)
                    chars = chunk.span.end_char
    if not samples:
        raise click.ClickException(f"text: {spoken.text[:60]!r} holds nothing to speak")
    await output.push(encoder.flush())
