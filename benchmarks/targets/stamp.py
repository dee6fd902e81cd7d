"""How long a datagram waited in its socket before we read it: the kernel stamps it as it arrives.

Without this, every delay of the load generator's own event loop would be blamed on the server.
"""

import socket
import struct
import sys
import time

SO_TIMESTAMPNS = 35  # asm-generic/socket.h; also the type of its control message
_TIMESPEC = struct.Struct("@qq")
_CONTROL_BYTES = 64
_NS_PER_S = 1_000_000_000


def stamp_arrivals(listening: socket.socket) -> None:
    """Ask for stamps. Where there are none, ages are 0."""
    if sys.platform == "linux":
        listening.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


def receive_aged(listening: socket.socket, max_bytes: int) -> tuple[bytes, int]:
    """One datagram and its age in nanoseconds. Raises BlockingIOError when none waits."""
    datagram, control, _, _ = listening.recvmsg(max_bytes, _CONTROL_BYTES)
    for level, kind, stamp in control:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS and len(stamp) == _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack(stamp)
            # The wall clock may step between the two readings: an age is never negative.
            return datagram, max(0, time.time_ns() - seconds * _NS_PER_S - nanoseconds)
    return datagram, 0
