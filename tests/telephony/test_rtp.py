"""RTP packets against captured datagrams, their broken siblings, and any bytes at all."""

import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.errors import RtpError, UnsupportedFormat
from telephony.format import AudioFormat
from telephony.rtp import RtpExtension, RtpPacket, seq_add, seq_after, static_payload_type, ts_add, ts_after

VECTORS = Path(__file__).parents[1] / "vectors"

packets = st.builds(
    RtpPacket,
    payload_type=st.integers(0, 127).filter(lambda kind: kind not in range(72, 77)),
    sequence_number=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFFFFFF),
    ssrc=st.integers(0, 0xFFFFFFFF),
    payload=st.binary(max_size=200),
    marker=st.booleans(),
    csrcs=st.lists(st.integers(0, 0xFFFFFFFF), max_size=15).map(tuple),
    extension=st.none()
    | st.builds(
        RtpExtension,
        st.integers(0, 0xFFFF),
        st.integers(0, 8).flatmap(lambda words: st.binary(min_size=4 * words, max_size=4 * words)),
    ),
    padding_bytes=st.integers(0, 255),
)


def test_captured_pcmu_packet_has_its_fields_and_its_bytes() -> None:
    datagram = (VECTORS / "rtp_pcmu_ffmpeg.bin").read_bytes()
    packet = RtpPacket.parse(datagram)
    assert packet == RtpPacket(
        payload_type=0, sequence_number=1646, timestamp=794058520, ssrc=0xB4A49F14, payload=datagram[12:]
    )
    assert len(packet.payload) == 160
    assert packet.serialize() == datagram


def test_packet_with_every_optional_part_has_its_fields_and_its_bytes() -> None:
    datagram = (VECTORS / "rtp_all_parts.bin").read_bytes()
    packet = RtpPacket.parse(datagram)
    assert packet == RtpPacket(
        payload_type=101,
        sequence_number=65535,
        timestamp=0xFFFFFFFF,
        ssrc=0xDEADBEEF,
        payload=b"\x05\x8a\x03\x20",
        marker=True,
        csrcs=(1, 2),
        extension=RtpExtension(0xBEDE, b"\x10\x7f\x00\x00"),
        padding_bytes=4,
    )
    assert packet.serialize() == datagram


@pytest.mark.parametrize(
    ("datagram", "sentence"),
    [
        (b"", "RTP header is truncated"),
        (b"\x80" + bytes(10), "RTP header is truncated"),
        (b"\x40" + bytes(11), "RTP version is not 2"),
        (b"\x80\xc8" + bytes(10), "RTP payload type is an RTCP packet type"),
        (b"\x82" + bytes(18), "RTP CSRC list is truncated"),
        (b"\x90" + bytes(14), "RTP extension header is truncated"),
        (b"\x90" + bytes(11) + b"\xbe\xde\x00\x02" + bytes(7), "RTP extension is truncated"),
        (b"\xa0" + bytes(11), "RTP padding length is invalid"),
        (b"\xa0" + bytes(14) + b"\x00", "RTP padding length is invalid"),
        (b"\xa0" + bytes(14) + b"\x05", "RTP padding length is invalid"),
    ],
)
def test_malformed_datagrams_have_one_sentence_each(datagram: bytes, sentence: str) -> None:
    with pytest.raises(RtpError) as caught:
        RtpPacket.parse(datagram)
    assert str(caught.value) == sentence


@given(packets)
def test_parse_reads_what_serialize_writes(packet: RtpPacket) -> None:
    assert RtpPacket.parse(packet.serialize()) == packet


@given(st.binary(max_size=64) | st.binary(max_size=64).map(lambda tail: b"\xb3\x00" + tail))
def test_any_bytes_are_a_packet_or_an_rtp_error(datagram: bytes) -> None:
    try:
        packet = RtpPacket.parse(datagram)
    except RtpError:
        return
    assert len(packet.serialize()) == len(datagram)


@given(packets, st.data())
def test_every_cut_of_a_packet_is_a_packet_or_an_rtp_error(packet: RtpPacket, data: st.DataObject) -> None:
    datagram = packet.serialize()
    with suppress(RtpError):
        RtpPacket.parse(datagram[: data.draw(st.integers(0, len(datagram)))])


@pytest.mark.parametrize(
    ("one", "other", "after"),
    [
        (1, 0, True),
        (0, 1, False),
        (0, 0, False),
        (0, 65535, True),
        (65535, 0, False),
        (32767, 0, True),
        (32768, 0, False),
    ],
)
def test_sequence_numbers_are_compared_on_the_circle(one: int, other: int, after: bool) -> None:
    assert seq_after(one, other) is after


def test_timestamps_are_compared_on_the_circle() -> None:
    assert ts_after(100, 2**32 - 60)
    assert not ts_after(2**32 - 60, 100)


@given(st.integers(0, 0xFFFF), st.integers(1, 0x7FFF))
def test_adding_packets_goes_forward_across_the_wrap(sequence_number: int, packets: int) -> None:
    later = seq_add(sequence_number, packets)
    assert seq_after(later, sequence_number)
    assert seq_add(later, -packets) == sequence_number
    struct.pack("!H", later)


def test_adding_samples_wraps_at_32_bits() -> None:
    assert ts_add(2**32 - 160, 160) == 0
    assert ts_add(0, -160) == 2**32 - 160


def test_static_payload_types_are_those_of_rfc_3551() -> None:
    assert [static_payload_type(AudioFormat.of(each)) for each in ("mulaw", "alaw")] == [0, 8]
    with pytest.raises(UnsupportedFormat, match="encoding: 'pcm16'"):
        static_payload_type(AudioFormat.of("pcm16"))
