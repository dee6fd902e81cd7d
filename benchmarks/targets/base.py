"""What the load generator needs of a target, and the guard that keeps load on this machine."""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Protocol
from urllib.parse import urlsplit

from benchmarks.errors import RemoteTarget
from benchmarks.record import Journal, Outcome, Verdict

MAX_AUDIO_BYTES = 64 << 20
"""Bound of one answer: a server that never ends its audio fails."""

MAX_REASON_CHARS = 200


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to make."""

    index: int
    text: str


class Target(Protocol):
    """One protocol of one server. Used on one event loop, by many requests at once."""

    async def open(self) -> None:
        """Make ready what all requests share."""
        ...

    async def describe(self) -> dict[str, Any]:
        """What the server says of itself; empty when it does not."""
        ...

    async def request(self, ask: Ask, journal: Journal) -> Verdict:
        """Carry one request out and take its instants down.

        A refusal and a failure are answers. It may be cancelled at any point, and leaves nothing open.
        """
        ...

    async def close(self) -> None: ...


def failed(reason: str) -> Verdict:
    """The request failed; of a long reason the beginning is kept."""
    return Verdict(Outcome.FAILED, reason[:MAX_REASON_CHARS])


def refused(reason: str) -> Verdict:
    """The server had no room, and said so."""
    return Verdict(Outcome.REFUSED, reason[:MAX_REASON_CHARS])


def require_loopback(url: str, allow_remote: bool) -> str:
    """The URL without a slash at its end. Raises RemoteTarget unless it is of this machine, or allowed.

    Names are not resolved: only `localhost` and loopback addresses are of this machine for certain.
    """
    host = urlsplit(url).hostname or ""
    if not allow_remote and not is_loopback(host):
        raise RemoteTarget(
            f"{host or url!r} is not this machine. Load may only be put on machines of your own: "
            "repeat with --allow-remote if this is one."
        )
    return url.rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether the host is this machine without asking anybody."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
