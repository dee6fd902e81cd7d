"""Every error this package raises.

TelephonyError
├── UnsupportedFormat   an encoding, rate or ptime that no line speaks
├── IllegalMove         an act that the playout's state does not allow
├── PlayoutFull         more pushed than the playout has room for; nothing of it was taken
└── WireError           bytes from the network that are not what they claim to be
    ├── RtpError
    ├── RtcpError
    └── SdpError
"""


class TelephonyError(ValueError):
    """Base of all errors that telephony raises; the message names the field and the value."""


class UnsupportedFormat(TelephonyError):
    """The requested audio format cannot be produced."""

    def __init__(self, field: str, value: object, allowed: str) -> None:
        super().__init__(f"{field}: {value!r} is not supported; use {allowed}")
        self.field = field
        self.value = value


class IllegalMove(TelephonyError):
    """The playout is not in a state to do this; the message names where it is and where it was sent."""

    def __init__(self, here: str, there: str) -> None:
        super().__init__(f"playout cannot go from {here} to {there}")
        self.here = here
        self.there = there


class PlayoutFull(TelephonyError):
    """The push, mark or finish did not fit and was not taken: ask for the room first."""


class WireError(TelephonyError):
    """Received bytes are truncated, inconsistent or of an unknown version."""


class RtpError(WireError):
    """Not an RTP packet (RFC 3550 section 5.1)."""


class RtcpError(WireError):
    """Not an RTCP compound packet (RFC 3550 section 6)."""


class SdpError(WireError):
    """Not a session description (RFC 8866), or one without audio."""
