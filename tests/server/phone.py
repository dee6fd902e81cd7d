"""The other end of an RTP call: two UDP ports in a row, and everything that came to them."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from telephony.rtcp import Goodbye, SenderReport, parse_compound
from telephony.rtp import RtpPacket
from tests.server.waiting import until


@dataclass
class Phone:
    """Two UDP ports in a row, and everything that came to them."""

    rtp: socket.socket
    rtcp: socket.socket
    packets: list[RtpPacket] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    """SSRCs that said goodbye."""
    sent_packets: list[int] = field(default_factory=list)
    """As the sender reports them."""

    @property
    def to(self) -> str:
        return f"rtp:127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        return int(self.rtp.getsockname()[1])

    def read_rtp(self) -> None:
        self.packets.append(RtpPacket.parse(self.rtp.recv(2_048)))

    def read_rtcp(self) -> None:
        for each in parse_compound(self.rtcp.recv(2_048)):
            if isinstance(each, Goodbye):
                self.left += each.ssrcs
            elif isinstance(each, SenderReport):
                self.sent_packets.append(each.packets)

    @property
    def talkspurt(self) -> list[RtpPacket]:
        """From the packet with the marker on."""
        first = next(index for index, packet in enumerate(self.packets) if packet.marker)
        return self.packets[first:]

    async def until(self, packets: int) -> None:
        await until(lambda: len(self.packets) >= packets)

    async def until_markers(self, count: int = 1) -> None:
        await until(lambda: sum(packet.marker for packet in self.packets) >= count)


def port_pair() -> tuple[socket.socket, socket.socket]:
    while True:
        pair = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        try:
            pair[0].bind(("127.0.0.1", 0))
            pair[1].bind(("127.0.0.1", pair[0].getsockname()[1] + 1))
        except OSError:
            for each in pair:
                each.close()
        else:
            return pair[0], pair[1]


@asynccontextmanager
async def ringing() -> AsyncIterator[Phone]:
    phone = Phone(*port_pair())
    loop = asyncio.get_running_loop()
    for each, read in ((phone.rtp, phone.read_rtp), (phone.rtcp, phone.read_rtcp)):
        each.setblocking(False)
        loop.add_reader(each, read)
    try:
        yield phone
    finally:
        for each in (phone.rtp, phone.rtcp):
            loop.remove_reader(each)
            each.close()


def open_udp_sockets() -> int:
    """UDP sockets of this process, by the kernel's own list."""
    inodes = {line.split()[9] for line in Path("/proc/net/udp").read_text().splitlines()[1:]}
    count = 0
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{descriptor}")
        except FileNotFoundError:  # the listing's own
            continue
        count += target.startswith("socket:[") and target[8:-1] in inodes
    return count
