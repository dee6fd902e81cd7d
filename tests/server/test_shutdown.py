"""Stopping a real process: the first signal drains, a second one ends, and either leaves a clean log."""

import asyncio
import json
import socket
import time
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.server.process import COMMAND, ServerProcess, clean_environment, server_process
from tests.server.waiting import until

SHORT = "Please hold the line. "
LONG = (
    "The quick brown fox jumps over the lazy dog, and then it goes home to sleep for a very long while. " * 3
)


async def say(connection: ClientConnection, text: str, **start: Any) -> None:
    """Start a call and wait until it is heard."""
    await connection.send(json.dumps({"type": "start", **start}))
    await connection.send(json.dumps({"type": "text", "text": text}))
    await connection.send('{"type": "flush"}')
    while not isinstance(await connection.recv(), bytes):
        pass


async def hear_out(connection: ClientConnection) -> list[dict[str, Any]]:
    """Control messages until the server closes."""
    heard = []
    try:
        while True:
            message = await asyncio.wait_for(connection.recv(), 10)
            if isinstance(message, str):
                heard.append(json.loads(message))
    except ConnectionClosed:
        return heard


def assert_no_trace(running: ServerProcess) -> None:
    trace = [line for line in running.log if "Traceback" in line or "Exception" in line]
    assert not trace, "\n".join(running.log)


async def test_an_idle_server_ends_at_once_with_0() -> None:
    async with server_process() as running:
        async with httpx.AsyncClient(base_url=running.url) as client:
            assert (await client.get("/ready")).json()["ready"]
            running.ask_to_stop()  # the client's connection is still open
            assert await running.exit_code(2) == 0
        assert_no_trace(running)


async def test_a_call_under_way_is_played_to_its_end_while_newcomers_are_refused() -> None:
    flags = ("--log-format", "json")
    async with server_process(*flags) as running, httpx.AsyncClient(base_url=running.url) as client:
        async with connect(running.stream_url) as connection, connect(running.stream_url) as newcomer:
            await say(connection, SHORT)
            running.ask_to_stop()
            await asyncio.sleep(0.3)
            refused = await client.post("/v1/audio/speech", json={"input": SHORT})
            assert refused.status_code == 503
            assert refused.json()["error"]["code"] == "draining"
            assert int(refused.headers["retry-after"]) >= 1
            assert (await client.get("/ready")).status_code == 503
            assert (await client.get("/health")).status_code == 200
            await newcomer.send('{"type": "start"}')
            assert [each["code"] for each in await hear_out(newcomer)] == ["shutting_down"]
            assert newcomer.close_code == 1_001
            heard = await hear_out(connection)
            assert [each["type"] for each in heard] == ["utterance_ended", "error"]
            assert heard[0]["reason"] == "completed"
            assert (heard[1]["code"], heard[1]["fatal"]) == ("shutting_down", True)
            assert connection.close_code == 1_001
        assert await running.exit_code(3) == 0
        assert_no_trace(running)
    lines = [json.loads(line) for line in running.log]
    events = [(each["event"], each["call_id"]) for each in lines if "call_id" in each]
    call_id = events[0][1]
    assert events == [("call started", call_id), ("first audio", call_id), ("call ended", call_id)]
    assert {"time", "level", "logger", "event"} <= set(lines[0])
    assert "draining" in [each["event"] for each in lines]


async def test_an_rtp_call_kept_open_is_hung_up_with_a_goodbye() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtcp:
        rtcp.bind(("127.0.0.1", 0))
        rtcp.setblocking(False)
        port = rtcp.getsockname()[1] - 1
        async with server_process() as running, httpx.AsyncClient(base_url=running.url) as client:
            body = {"to": f"rtp:127.0.0.1:{port}", "text": "Yes.", "hang_up": False}
            assert (await client.post("/v1/calls", json=body)).status_code == 201
            running.ask_to_stop()
            assert await running.exit_code(4) == 0
            assert_no_trace(running)
            goodbye = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(rtcp, 2_048), 1)
    assert bytes([0x81, 203]) in goodbye


async def test_draining_lasts_drain_s_at_most() -> None:
    async with server_process("--drain-s", "0.3") as running, connect(running.stream_url) as connection:
        await say(connection, LONG)
        began = time.monotonic()
        running.ask_to_stop()
        await hear_out(connection)
        assert await running.exit_code(3) == 0
        assert 0.3 <= time.monotonic() - began < 3
        assert_no_trace(running)


async def test_a_second_signal_ends_at_once() -> None:
    async with server_process() as running, connect(running.stream_url) as connection:
        await say(connection, LONG)
        running.ask_to_stop()
        await asyncio.sleep(0.3)
        began = time.monotonic()
        running.ask_to_stop()
        await running.exit_code(2)
        assert time.monotonic() - began < 1.5
        assert_no_trace(running)


async def test_a_client_that_reads_nothing_does_not_hold_up_the_end() -> None:
    async with server_process("--drain-s", "0.1") as running:
        with socket.socket() as stuck:
            stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            stuck.connect(("127.0.0.1", running.port))
            ask_for_much(stuck)
            await asyncio.sleep(0.5)
            running.ask_to_stop()
            assert await running.exit_code(6) == 0


async def test_a_connection_that_reads_nothing_is_dropped_by_the_kernel() -> None:
    """Our place is free at once, but closing alone would keep the socket for as long as its client likes."""
    async with server_process("--slow-reader-s", "0.2") as running:
        with socket.socket() as stuck:
            stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            stuck.connect(("127.0.0.1", running.port))
            ask_for_much(stuck)
            assert kernel_knows(running.port, stuck)
            await until(lambda: not kernel_knows(running.port, stuck))


def ask_for_much(client: socket.socket) -> None:
    """Some minutes of audio, never read."""
    body = json.dumps({"input": LONG * 12, "response_format": "pcm", "speed": 0.25}).encode()
    head = "POST /v1/audio/speech HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    client.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)


def kernel_knows(port: int, client: socket.socket) -> bool:
    """Whether the server's half of a connection is still in the kernel's list."""
    pair = f":{port:04X} 0100007F:{client.getsockname()[1]:04X} "
    return pair in Path("/proc/net/tcp").read_text()


async def test_a_port_that_is_taken_is_said_and_ends_with_another_status() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            *("serve", "--port", str(taken.getsockname()[1])),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=clean_environment(),
        )
        said, logged = await asyncio.wait_for(process.communicate(), 15)
    assert process.returncode == 3
    assert b"address already in use" in logged
    assert not said
    assert b"Traceback" not in logged
