"""Takes the headers of RTP packets off one socket by the thousand, with the kernel's arrival stamps.

A receiver that woke for each packet would need a core of its own and blame the sender for its own delays.
This one sleeps, then drains the socket by recvmmsg(2); the instant of each packet is SO_TIMESTAMPNS, taken
when the packet reached the socket. Linux alone has these.
"""

import ctypes
import os
import socket
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.errors import LineFailed
from benchmarks.targets.stamp import SO_TIMESTAMPNS

PACKET = np.dtype(
    [("at_ns", "<i8"), ("ssrc", "<u4"), ("timestamp", "<u4"), ("sequence", "<u2"), ("marker", "?")]
)
"""What is kept of a packet: 19 bytes."""

_BATCH = 1024
_SO_RCVBUFFORCE = 33
_RECEIVE_BUFFER_BYTES = 32 << 20
_HEADER = np.dtype(
    [("flags", "u1"), ("kind", "u1"), ("sequence", ">u2"), ("timestamp", ">u4"), ("ssrc", ">u4")]
)
# struct timespec inside struct cmsghdr, recvmmsg(2) and iovec of 64-bit Linux.
_STAMP = np.dtype(
    [("bytes", "<u8"), ("level", "<i4"), ("type", "<i4"), ("seconds", "<i8"), ("nanoseconds", "<i8")]
)
_VECTOR = np.dtype([("base", "<u8"), ("bytes", "<u8")])
_MESSAGE = np.dtype(
    {
        "names": ["vectors", "vector_count", "control", "control_bytes", "received_bytes"],
        "formats": ["<u8", "<u8", "<u8", "<u8", "<u4"],
        "offsets": [16, 24, 32, 40, 56],
        "itemsize": 64,
    }
)
_NS_PER_S = 1_000_000_000


class Capture:
    """One UDP socket on 127.0.0.1 and room for `capacity` packets; more are not kept."""

    def __init__(self, capacity: int) -> None:
        """Raises LineFailed where the system has no recvmmsg of this shape."""
        if sys.platform != "linux" or ctypes.sizeof(ctypes.c_void_p) != 8:
            raise LineFailed("bench line needs 64-bit Linux: it reads the kernel's arrival stamps")
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._socket = _open_socket()
        self._packets: NDArray[Any] = np.zeros(capacity, PACKET)
        self._count = 0
        self._headers = np.zeros(_BATCH, _HEADER)
        self._stamps = np.zeros(_BATCH, _STAMP)
        self._vectors = np.zeros(_BATCH, _VECTOR)
        self._messages = np.zeros(_BATCH, _MESSAGE)
        self._vectors["base"] = _addresses(self._headers)
        self._vectors["bytes"] = _HEADER.itemsize  # the rest of each datagram is cut off unread
        self._messages["vectors"] = _addresses(self._vectors)
        self._messages["vector_count"] = 1
        self._messages["control"] = _addresses(self._stamps)

    @property
    def port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port

    @property
    def packets(self) -> NDArray[Any]:
        """What has come so far, in the order of arrival: (n,) of PACKET."""
        return self._packets[: self._count]

    def drain(self) -> None:
        """Take everything that waits."""
        # The stamps are of the wall clock; everyone else here counts monotonic time.
        wall_ahead_ns = time.time_ns() - time.monotonic_ns()
        while (count := self._receive()) > 0:
            self._keep(count, wall_ahead_ns)

    def dropped(self) -> int:
        """Packets that the kernel threw away because this end was too slow: no fault of the sender."""
        wanted = f"{self.port:04X}"
        with open("/proc/net/udp") as table:
            rows = [line.split() for line in table.readlines()[1:]]
        return sum(int(row[-1]) for row in rows if row[1].endswith(":" + wanted))

    def close(self) -> None:
        self._socket.close()

    def _receive(self) -> int:
        self._messages["control_bytes"] = _STAMP.itemsize
        received: int = self._libc.recvmmsg(
            self._socket.fileno(),
            ctypes.c_void_p(self._messages.ctypes.data),
            _BATCH,
            socket.MSG_DONTWAIT,
            None,
        )
        if received < 0 and ctypes.get_errno() not in (11, 4):  # EAGAIN, EINTR
            raise LineFailed(f"recvmmsg: {os.strerror(ctypes.get_errno())}")
        return received

    def _keep(self, count: int, wall_ahead_ns: int) -> None:
        whole = self._messages["received_bytes"][:count] == _HEADER.itemsize
        headers, stamps = self._headers[:count][whole], self._stamps[:count][whole]
        room = self._packets[self._count : self._count + len(headers)]
        headers, stamps = headers[: len(room)], stamps[: len(room)]
        room["at_ns"] = stamps["seconds"] * _NS_PER_S + stamps["nanoseconds"] - wall_ahead_ns
        for name in ("ssrc", "timestamp", "sequence"):
            room[name] = headers[name]
        room["marker"] = headers["kind"] >= 0x80
        self._count += len(room)


def _open_socket() -> socket.socket:
    """Non-blocking, on an even port, stamped, with the largest buffer that is granted."""
    while True:
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.bind(("127.0.0.1", 0))
        if opened.getsockname()[1] % 2 == 0:
            break
        opened.close()
    opened.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER_BYTES)
    except PermissionError:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
    return opened


def _addresses(rows: NDArray[Any]) -> NDArray[np.uint64]:
    """Where each row lies in memory."""
    return np.arange(len(rows), dtype=np.uint64) * np.uint64(rows.itemsize) + np.uint64(rows.ctypes.data)
