"""The session description that a receiver of ours is given."""

import pytest

from telephony.errors import SdpError, UnsupportedFormat
from telephony.format import TELEPHONE, AudioFormat
from telephony.sdp import describe_sender


def test_the_whole_text_of_a_pcmu_sender() -> None:
    described = describe_sender(TELEPHONE, ("127.0.0.1", 17000), local_host="127.0.0.1", session_id=42)
    assert described.serialize() == (
        "v=0\r\n"
        "o=- 42 0 IN IP4 127.0.0.1\r\n"
        "s=-\r\n"
        "c=IN IP4 127.0.0.1\r\n"
        "t=0 0\r\n"
        "m=audio 17000 RTP/AVP 0\r\n"
        "a=rtpmap:0 PCMU/8000\r\n"
        "a=ptime:20\r\n"
        "a=sendonly\r\n"
    )


def test_a_law_and_another_ptime_are_named() -> None:
    lines = describe_sender(
        AudioFormat.of("alaw", ptime_ms=30), ("192.0.2.9", 4000), local_host="192.0.2.1", session_id=1
    ).serialize()
    assert "m=audio 4000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=ptime:30\r\n" in lines


def test_the_connection_is_the_receiver_and_the_origin_is_us() -> None:
    lines = describe_sender(
        TELEPHONE, ("2001:db8::9", 4000), local_host="192.0.2.1", session_id=1
    ).serialize()
    assert "o=- 1 0 IN IP4 192.0.2.1\r\n" in lines
    assert "c=IN IP6 2001:db8::9\r\n" in lines


@pytest.mark.parametrize(
    ("remote", "direction", "sentence"),
    [
        (("127.0.0.1", 0), "sendonly", "port: 0 is not a UDP port"),
        (("127.0.0.1", 65536), "sendonly", "port: 65536 is not a UDP port"),
        (("phone.example", 4000), "sendonly", "host: 'phone.example' is not a numeric address"),
        (("127.0.0.1\r\na=x", 4000), "sendonly", "host: '127.0.0.1\\r\\na=x' is not a numeric address"),
        (
            ("127.0.0.1", 4000),
            "send",
            "direction: 'send' is not one of sendonly, recvonly, sendrecv, inactive",
        ),
    ],
)
def test_what_cannot_be_described_is_refused_by_field(
    remote: tuple[str, int], direction: str, sentence: str
) -> None:
    with pytest.raises(SdpError) as caught:
        describe_sender(
            TELEPHONE, remote, local_host="127.0.0.1", session_id=1, direction=direction
        ).serialize()
    assert str(caught.value) == sentence


def test_an_encoding_without_a_static_type_is_refused() -> None:
    with pytest.raises(UnsupportedFormat, match="encoding: 'pcm16'"):
        describe_sender(AudioFormat.of("pcm16"), ("127.0.0.1", 4000), local_host="127.0.0.1", session_id=1)
