"""Session descriptions, pure: the text that tells a peer where the audio is and how it is written.

Source: RFC 8866; payload types and names from RFC 3551. Only the writer exists so far.
"""

from dataclasses import dataclass
from ipaddress import ip_address

from telephony.errors import SdpError
from telephony.format import AudioFormat, Encoding
from telephony.rtp import static_payload_type

SDP_TYPE = "application/sdp"
_RTP_NAMES = {Encoding.MULAW: "PCMU", Encoding.ALAW: "PCMA"}
_DIRECTIONS = ("sendonly", "recvonly", "sendrecv", "inactive")


@dataclass(frozen=True, slots=True)
class AudioMedia:
    """One m=audio section: a port and the one codec spoken on it."""

    port: int
    payload_type: int
    rtp_name: str
    clock_rate_hz: int
    ptime_ms: int
    direction: str

    def lines(self) -> list[str]:
        """The m-line and its attributes."""
        return [
            f"m=audio {self.port} RTP/AVP {self.payload_type}",
            f"a=rtpmap:{self.payload_type} {self.rtp_name}/{self.clock_rate_hz}",
            f"a=ptime:{self.ptime_ms}",
            f"a={self.direction}",
        ]


@dataclass(frozen=True, slots=True)
class SessionDescription:
    """A description of one audio session. Build ours with :func:`describe_sender`."""

    session_id: int
    origin_host: str
    connection_host: str
    media: AudioMedia
    version: int = 0
    name: str = "-"

    def serialize(self) -> str:
        """The text, CRLF-terminated, in the order that RFC 8866 section 5 fixes."""
        lines = [
            "v=0",
            f"o=- {self.session_id} {self.version} IN {_address(self.origin_host)}",
            f"s={self.name}",
            f"c=IN {_address(self.connection_host)}",
            "t=0 0",
            *self.media.lines(),
        ]
        return "".join(f"{line}\r\n" for line in lines)


def describe_sender(
    audio_format: AudioFormat,
    remote: tuple[str, int],
    *,
    local_host: str,
    session_id: int,
    direction: str = "sendonly",
) -> SessionDescription:
    """Describe the RTP we send from `local_host` to `remote`, for the receiver that will listen there.

    Hosts are numeric. Raises SdpError naming the field; UnsupportedFormat for what RTP does not carry here.
    """
    host, port = remote
    if not 0 < port < 1 << 16:
        raise SdpError(f"port: {port!r} is not a UDP port")
    if direction not in _DIRECTIONS:
        raise SdpError(f"direction: {direction!r} is not one of {', '.join(_DIRECTIONS)}")
    media = AudioMedia(
        port,
        static_payload_type(audio_format),
        _RTP_NAMES[audio_format.encoding],
        audio_format.rate_hz,
        audio_format.ptime_ms,
        direction,
    )
    return SessionDescription(session_id, local_host, host, media)


def _address(host: str) -> str:
    """`IP4 host` or `IP6 host`."""
    try:
        return f"IP{ip_address(host).version} {host}"
    except ValueError:
        raise SdpError(f"host: {host!r} is not a numeric address") from None
