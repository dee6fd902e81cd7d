"""A pair of UDP sockets: RTP on an even port and RTCP on the next (RFC 3550 section 11)."""

import contextlib
import errno
import random
import socket

RTP_PORTS = range(16_384, 32_768, 2)
"""Even ports below Linux's ephemeral range: open them and their odd neighbours in the firewall."""

# RFC 4594: telephony is Expedited Forwarding, DSCP 46; the two low bits of the octet are ECN.
_EXPEDITED_FORWARDING = 46 << 2


def open_port_pair(
    family: int, host: str, ports: range, rng: random.Random
) -> tuple[socket.socket, socket.socket]:
    """Bind (rtp, rtcp) on the first free pair of `ports`, beginning anywhere; both non-blocking, marked EF.

    OSError when no pair is free, or the host is not ours.
    """
    assert all(each % 2 == 0 for each in (ports.start, ports.step)), "RTP ports are even"
    offset = rng.randrange(len(ports))
    for index in range(len(ports)):
        port = ports[(offset + index) % len(ports)]
        try:
            return _bind_pair(family, host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, f"no free pair of UDP ports in {ports.start}-{ports.stop} on {host}")


def _bind_pair(family: int, host: str, port: int) -> tuple[socket.socket, socket.socket]:
    with contextlib.ExitStack() as undo:
        pair = []
        for each in (port, port + 1):
            bound = undo.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            bound.setblocking(False)
            bound.bind((host, each))
            _mark_expedited(bound)
            pair.append(bound)
        undo.pop_all()
        return pair[0], pair[1]


def _mark_expedited(bound: socket.socket) -> None:
    """Ask for Expedited Forwarding; a host that forbids it sends best effort."""
    with contextlib.suppress(OSError):
        if bound.family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _EXPEDITED_FORWARDING)
        else:
            bound.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _EXPEDITED_FORWARDING)
