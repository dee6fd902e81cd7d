"""What a person chose for a run: the options of `run` and `overhead`, and what follows from them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from benchmarks.arrivals import Load, Pattern
from benchmarks.texts import TextSet
from telephony.format import AudioFormat

_PROTOCOLS = ("http", "ws", "rtp", "engine")
_PACED_JITTER_BUFFER_MS = 60

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Chosen:
    """The options of `run` and `overhead`, as the command line has them."""

    target: str
    protocol: str
    rate: float
    duration: float
    warmup: float
    pattern: str
    burst_requests: int
    seed: int
    text_set: str
    voice: str
    encoding: str
    sample_rate: int | None
    pacing: str
    engine: str
    profile: str
    rtp_host: str
    jitter_buffer_ms: int | None
    timeout_s: float
    allow_remote: bool
    out: Path

    @property
    def load(self) -> Load:
        pattern = Pattern(self.pattern)
        return Load(self.rate, self.duration, self.seed, pattern, self.warmup, self.burst_requests)

    @property
    def audio_format(self) -> AudioFormat:
        """What is asked for; the engine gives floats at 24 kHz, whatever was asked."""
        if self.protocol == "engine":
            return AudioFormat.of("pcm16", 24_000)
        return AudioFormat.of(self.encoding, self.sample_rate)

    @property
    def paced(self) -> bool:
        """Whether the audio comes at the pace of its playing, and so needs a jitter buffer."""
        return self.protocol == "rtp" or (self.protocol == "ws" and self.pacing == "realtime")

    @property
    def replay_buffer_ms(self) -> int:
        if self.jitter_buffer_ms is not None:
            return self.jitter_buffer_ms
        return _PACED_JITTER_BUFFER_MS if self.paced else 0

    @property
    def options(self) -> dict[str, Any]:
        """What of the rest has a meaning for this protocol."""
        per_protocol = {
            "ws": {"pacing": self.pacing},
            "rtp": {"rtp_host": self.rtp_host},
            "engine": {"engine": self.engine, "profile": self.profile},
        }
        return {"voice": self.voice, **per_protocol.get(self.protocol, {})}


def load_options(command: Command) -> Command:
    """The options that `run` and `overhead` share."""
    folder = click.Path(file_okay=False, path_type=Path)
    positive, count = click.FloatRange(0, 86_400, min_open=True), click.IntRange(1, 10_000)
    chosen = [
        click.option(
            "--target", default="http://127.0.0.1:8000", show_default=True, help="The server's URL."
        ),
        click.option("--protocol", type=click.Choice(_PROTOCOLS), default="http", show_default=True),
        click.option("--rate", type=positive, default=20.0, show_default=True, help="Requests per second."),
        click.option("--duration", type=positive, default=30.0, show_default=True, help="Seconds measured."),
        click.option("--warmup", type=click.FloatRange(0, 3600), default=5.0, show_default=True),
        click.option("--pattern", type=click.Choice([p.value for p in Pattern]), default="poisson"),
        click.option("--burst-requests", type=count, default=10, help="Requests of each burst."),
        click.option("--seed", type=int, default=1, show_default=True, help="Of arrivals and texts."),
        click.option("--texts", "text_set", type=click.Choice([t.value for t in TextSet]), default="mixed"),
        click.option("--voice", default="default", show_default=True),
        click.option("--encoding", type=click.Choice(["mulaw", "alaw", "pcm16"]), default="mulaw"),
        click.option("--sample-rate", type=int, default=None, help="8000; for pcm16 also 16000 and 24000."),
        click.option("--pacing", type=click.Choice(["realtime", "fast"]), default="realtime", help="Of ws."),
        click.option("--engine", default="preview", show_default=True, help="Backend of --protocol engine."),
        click.option("--profile", default="balanced", show_default=True, help="Of --protocol engine."),
        click.option("--rtp-host", default="127.0.0.1", help="Our address, that RTP is sent to."),
        click.option("--jitter-buffer-ms", type=click.IntRange(0, 1000), help="Of the replay."),
        click.option(
            "--timeout", "timeout_s", type=positive, default=60.0, help="Seconds a request may take."
        ),
        click.option("--allow-remote", is_flag=True, help="Load a machine that is not this one."),
        click.option(
            "--out", type=folder, default=Path("out/bench"), show_default=True, help="For the files."
        ),
    ]
    for option in reversed(chosen):
        command = option(command)
    return command
