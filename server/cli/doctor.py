"""`talkspurt doctor`: what is installed, which engines can run, which ports are free."""

import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import click

from engines import BACKENDS, EngineConfig, open_backend
from engines.errors import BackendUnavailable, ConfigError
from telephony.net.ports import RTP_PORTS

_PACKAGES = (
    "talkspurt",
    "numpy",
    "fastapi",
    "uvicorn",
    "websockets",
    "uvloop",
    "av",
    "espeakng-loader",
    "torch",
    "onnxruntime",
    "tensorrt",
    "vllm",
)
_PROGRAMS = ("ffmpeg", "ffplay", "aplay", "paplay", "tshark", "sipp", "nvidia-smi")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; ``ok`` is None where there is no good or bad."""

    section: str
    name: str
    ok: bool | None
    detail: str


def examine(host: str, port: int, model: str | None = None) -> Iterator[Finding]:
    """Look at this machine. Starts nothing that lasts."""
    yield Finding("machine", "python", None, f"{platform.python_version()} on {platform.platform()}")
    yield Finding("machine", "processors", None, str(_processors()))
    for package in _PACKAGES:
        yield _package(package)
    for backend in sorted(BACKENDS):
        yield _engine(backend, model)
    for program in _PROGRAMS:
        path = shutil.which(program)
        yield Finding("programs", program, None, path or "not installed")
    yield _port("tcp", socket.SOCK_STREAM, host, port)
    for each in (RTP_PORTS[0], RTP_PORTS[-1]):
        yield _port("udp", socket.SOCK_DGRAM, host, each)


def _processors() -> int | None:
    """Those that this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()


def _package(name: str) -> Finding:
    try:
        return Finding("packages", name, None, version(name))
    except PackageNotFoundError:
        return Finding("packages", name, None, "not installed")


def _engine(name: str, model: str | None) -> Finding:
    """Whether it opens: by itself, or with ``model`` where it speaks one."""
    try:
        backend = open_backend(EngineConfig(backend=name))
    except ConfigError as error:
        if model is None:
            return Finding("engines", name, None, str(error))
        return _model_engine(name, model)
    except (BackendUnavailable, ImportError) as error:
        return Finding("engines", name, False, str(error))
    return Finding("engines", name, True, f"voices: {', '.join(backend.voices)}")


def _model_engine(name: str, model: str) -> Finding:
    try:
        backend = open_backend(EngineConfig(backend=name, model=model))
    except (BackendUnavailable, ConfigError, ImportError) as error:
        return Finding("engines", name, False, str(error))
    runs = ", ".join(f"{key} {value}" for key, value in backend.details.items())
    return Finding("engines", name, True, f"{runs}; voices: {', '.join(backend.voices)}")


def _port(kind: str, socket_kind: socket.SocketKind, host: str, port: int) -> Finding:
    name = f"{kind} {host}:{port}"
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket_kind) as probe:
            if socket_kind is socket.SOCK_STREAM:
                # As the server does: a port in TIME_WAIT is free.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        return Finding("ports", name, False, error.strerror or str(error))
    return Finding("ports", name, True, "free")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65_535), default=8_000, show_default=True)
@click.option("--model", metavar="DIR", help="A model to open, of weights or of exported graphs.")
def doctor(host: str, port: int, model: str | None) -> None:
    """Show what is installed, what can run, which ports are free. Fails when no engine can run."""
    findings = list(examine(host, port, model))
    section = ""
    for finding in findings:
        if finding.section != section:
            section = finding.section
            click.secho(f"\n{section}", bold=True)
        mark = {True: "yes", False: "no ", None: "   "}[finding.ok]
        click.echo(f"  {mark} {finding.name:24} {finding.detail}")
    if not any(finding.ok for finding in findings if finding.section == "engines"):
        raise SystemExit(1)
