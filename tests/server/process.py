"""`talkspurt serve` as a process, for what only a process has: signals, exit codes, logs, its own loop."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

COMMAND = (sys.executable, "-m", "server.cli")
START_TIMEOUT_S = 20.0


def clean_environment(**variables: str) -> dict[str, str]:
    """This process's environment with no TALKSPURT_ variable but ``variables``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TALKSPURT_")}
    return {**kept, **variables}


@dataclass
class ServerProcess:
    """A server under way, and every line it has logged."""

    process: asyncio.subprocess.Process
    port: int
    log: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def stream_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/stream"

    def ask_to_stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    async def exit_code(self, timeout_s: float) -> int:
        return await asyncio.wait_for(self.process.wait(), timeout_s)


@asynccontextmanager
async def server_process(*flags: str, **variables: str) -> AsyncIterator[ServerProcess]:
    """Start on a free port and wait for the greeting; killed on leaving, if it has not ended by then.

    It speaks with the preview voice unless told otherwise.
    """
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *("serve", "--port", "0", *flags),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=clean_environment(**{"TALKSPURT_ENGINE": "preview", **variables}),
    )
    running = ServerProcess(process, 0)
    reading = asyncio.ensure_future(_read_log(process, running.log))
    try:
        running.port = await asyncio.wait_for(_greeted_port(process, running.log), START_TIMEOUT_S)
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await reading


async def _greeted_port(process: asyncio.subprocess.Process, log: list[str]) -> int:
    assert process.stdout is not None, "it was opened with a pipe"
    while line := await process.stdout.readline():
        if found := re.search(rb"speaking at http://127\.0\.0\.1:(\d+) ", line):
            return int(found[1])
    raise AssertionError(f"the server ended: {log}")


async def _read_log(process: asyncio.subprocess.Process, log: list[str]) -> None:
    assert process.stderr is not None, "it was opened with a pipe"
    async for line in process.stderr:
        log.append(line.decode().rstrip("\n"))  # noqa: PERF401 - read while it grows
