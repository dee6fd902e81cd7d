"""The WebSocket protocol, as PROTOCOL.md tells it."""

import json
import re
from pathlib import Path
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection

import server
from tests.server.running import running_server

PROTOCOL = Path(server.__file__).parent / "PROTOCOL.md"


def transcript() -> list[tuple[str, str]]:
    """(direction, content) of each line of the page's transcript."""
    block = re.search(r"```transcript\n(.*?)```", PROTOCOL.read_text(), re.DOTALL)
    assert block is not None, "PROTOCOL.md holds a transcript"
    return [(line[0], line[2:]) for line in block.group(1).splitlines()]


def matches(wanted: Any, got: Any) -> bool:
    if wanted == "*":
        return True
    if isinstance(wanted, dict):
        return (
            isinstance(got, dict)
            and wanted.keys() == got.keys()
            and all(matches(value, got[key]) for key, value in wanted.items())
        )
    return bool(wanted == got)


class Listener:
    """Reads a connection: control messages in order, with the audio that came before each."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.audio = bytearray()
        self.messages: list[bytes] = []

    async def control(self) -> dict[str, Any]:
        """The next control message; audio ahead of it is collected."""
        while True:
            message = await self.connection.recv()
            if isinstance(message, str):
                value: dict[str, Any] = json.loads(message)
                return value
            self.messages.append(message)
            self.audio += message

    async def until(self, kind: str) -> dict[str, Any]:
        while (message := await self.control())["type"] != kind:
            pass
        return message

    async def say(self, **message: Any) -> None:
        await self.connection.send(json.dumps(message))


async def test_the_transcript_of_the_protocol_page_happens_word_by_word() -> None:
    async with running_server() as running, websockets.connect(running.stream_url) as connection:
        listener = Listener(connection)
        lines = transcript()
        for index, (direction, content) in enumerate(lines):
            if direction == ">":
                await connection.send(content)
            elif content == "[audio]":
                first = await connection.recv()
                assert isinstance(first, bytes)
                assert len(first) == 160
                if lines[index + 1][0] == ">":
                    continue  # the client speaks while audio still comes
            elif content.startswith("close "):
                await connection.wait_closed()
                assert connection.close_code == int(content.split()[1])
            else:
                got = await listener.control()
                assert matches(json.loads(content), got), f"{content} was expected, {got} came"
