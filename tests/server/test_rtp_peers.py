"""Real receivers on the other end of the line: ffmpeg hears the SDP we print, tshark judges the pacing."""

import asyncio
import re
import signal
import socket
import sys
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.peers import require_program
from tests.server.running import running_server
from tests.server.waiting import until

pytestmark = pytest.mark.peer

TEXT = "Your appointment is on Tuesday, the third of March, at half past four. Please bring your card."


def free_even_port() -> int:
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port % 2 == 0 and port < 65_000:
            return port


@asynccontextmanager
async def program(*command: str, ready: Callable[[bytearray], bool]) -> AsyncIterator[None]:
    """Run from when ``ready`` says it listens until the block ends, then interrupt it."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    said = bytearray()
    rest = asyncio.ensure_future(collect(process.stderr, said))
    try:
        for _ in range(400):
            if ready(said):
                break
            assert process.returncode is None, f"{command[0]} ended: {said.decode(errors='replace')}"
            await asyncio.sleep(0.05)
        else:
            pytest.fail(f"{command[0]} does not listen: {said.decode(errors='replace')}")
        await asyncio.sleep(0.3)
        yield
    finally:
        if process.returncode is None:  # our BYE ends ffmpeg by itself
            process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.wait(), 20)
        await rest


async def collect(pipe: asyncio.StreamReader, said: bytearray) -> None:
    while piece := await pipe.read(4096):
        said += piece


def udp_port_is_bound(port: int) -> bool:
    """Whether anyone listens there, by the kernel's own list."""
    return any(f":{port:04X} " in line for line in Path("/proc/net/udp").read_text().splitlines())


async def call_and_wait(client: httpx.AsyncClient, port: int) -> None:
    body = {"to": f"rtp:127.0.0.1:{port}", "text": TEXT}
    answer = await client.post("/v1/calls", json=body)
    assert answer.status_code == 201, answer.text
    call_id = answer.json()["call_id"]

    async def ended() -> bool:
        return (await client.get(f"/v1/calls/{call_id}")).status_code == 404

    await until(ended, timeout_s=20)
    await asyncio.sleep(0.3)


async def utterance_s(client: httpx.AsyncClient) -> float:
    """How long the same text is, from the other door."""
    answer = await client.post("/v1/audio/speech", json={"input": TEXT, "encoding": "mulaw"})
    return len(answer.content) / 8_000


async def test_ffmpeg_hears_the_whole_utterance_by_the_printed_sdp_and_nothing_above_the_band(
    tmp_path: Path,
) -> None:
    ffmpeg, port = require_program("ffmpeg"), free_even_port()
    async with running_server() as running, httpx.AsyncClient(base_url=running.url) as client:
        sdp, heard = tmp_path / "call.sdp", tmp_path / "heard.wav"
        sdp.write_text(await printed_sdp(port))
        receive = [ffmpeg, "-nostdin", "-protocol_whitelist", "file,udp,rtp", "-analyzeduration", "0"]
        receive += ["-probesize", "32", "-i", str(sdp), "-c:a", "pcm_s16le", "-y", str(heard)]
        async with program(*receive, ready=lambda said: udp_port_is_bound(port)):
            await call_and_wait(client, port)
        wanted_s = await utterance_s(client)
    with wave.open(str(heard)) as file:
        assert file.getframerate() == 8_000
        pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(float)
    speech = np.trim_zeros(pcm, "f")  # comfort silence until the engine's first audio
    assert abs(len(speech) / 8_000 - wanted_s) <= 0.040
    power = np.abs(np.fft.rfft(pcm)) ** 2
    hz = np.fft.rfftfreq(len(pcm), 1 / 8_000)
    above, band = power[hz > 3_800].sum(), power[(hz > 300) & (hz < 3_400)].sum()
    assert 10 * np.log10(above / band) < -40


async def printed_sdp(port: int) -> str:
    """What `talkspurt say --rtp HOST:PORT --sdp-only` prints."""
    command = ["-m", "server.cli", "say", "--rtp", f"127.0.0.1:{port}", "--sdp-only", "-"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0
    return printed.decode()


async def test_tshark_counts_no_lost_packet_no_sequence_error_and_little_jitter(tmp_path: Path) -> None:
    tshark, port = require_program("tshark"), free_even_port()
    capture = tmp_path / "call.pcapng"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.bind(("127.0.0.1", port))
        async with running_server() as running, httpx.AsyncClient(base_url=running.url) as client:
            listen = [tshark, "-q", "-i", "lo", "-f", f"udp port {port}", "-w", str(capture)]
            async with program(*listen, ready=lambda said: b"Capturing on" in said):
                await call_and_wait(client, port)
            wanted_s = await utterance_s(client)
    judge = [tshark, "-r", str(capture), "-d", f"udp.port=={port},rtp", "-q", "-z", "rtp,streams"]
    process = await asyncio.create_subprocess_exec(
        *judge, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    table, _ = await process.communicate()
    stream = next(line for line in table.decode().splitlines() if "g711U" in line)
    # ... SSRC payload packets lost (percent) min/mean/max delta, min/mean/max jitter, problems
    found = re.search(r"g711U\s+(\d+)\s+(-?\d+) \([\d.]+%\)\s+([\d. ]+)(.*)", stream)
    assert found is not None, stream
    packets, lost, numbers = int(found[1]), int(found[2]), [float(each) for each in found[3].split()]
    assert lost == 0
    assert -0.040 <= packets * 0.020 - wanted_s <= 0.200, "the utterance, after a little comfort silence"
    mean_delta_ms, mean_jitter_ms = numbers[1], numbers[4]
    assert mean_delta_ms == pytest.approx(20, abs=0.5)
    assert mean_jitter_ms < 5
    assert "X" not in found[4], f"tshark saw a problem: {stream}"
