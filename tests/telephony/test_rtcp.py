"""RTCP compounds against captured datagrams, their broken siblings, and any bytes at all."""

import random
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.errors import RtcpError
from telephony.rtcp import (
    Goodbye,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    SdesChunk,
    SenderReport,
    SourceDescription,
    ntp_middle,
    ntp_stamp,
    parse_compound,
    report_interval_ns,
    serialize_compound,
)

VECTORS = Path(__file__).parents[1] / "vectors"
S_NS = 1_000_000_000

u32 = st.integers(0, 0xFFFFFFFF)
blocks = st.lists(
    st.builds(
        ReportBlock,
        u32,
        st.integers(0, 255).map(lambda part: part / 256),
        st.integers(-(2**23), 2**23 - 1),
        u32,
        u32,
        u32,
        u32,
    ),
    max_size=31,
).map(tuple)
reports = st.builds(SenderReport, u32, st.integers(0, 2**64 - 1), u32, u32, u32, blocks) | st.builds(
    ReceiverReport, u32, blocks
)
texts = st.binary(max_size=20)
descriptions = st.builds(
    SourceDescription,
    st.lists(
        st.builds(SdesChunk, u32, st.lists(st.tuples(st.integers(1, 8), texts), max_size=4).map(tuple)),
        max_size=31,
    ).map(tuple),
)
goodbyes = st.builds(Goodbye, st.lists(u32, max_size=31).map(tuple), texts)


def test_captured_sender_report_has_its_fields_and_its_bytes() -> None:
    datagram = (VECTORS / "rtcp_sr_ffmpeg.bin").read_bytes()
    (report,) = parse_compound(datagram)
    assert report == SenderReport(0xB4A49F14, 0xEEABEC9C8E147AE1, 794058520, 0, 0)
    assert report.serialize() == datagram


def test_captured_receiver_report_has_its_fields_and_its_bytes() -> None:
    datagram = (VECTORS / "rtcp_rr_sdes_gstreamer.bin").read_bytes()
    block = ReportBlock(0x71640E01, 0.0, -1, 21306, 3, 0xEF1C23E5, 144820)
    report = ReceiverReport(0x1A01F9ED, (block,))
    items = ((1, b"user532602128@host-11365e1e"), (6, b"GStreamer"))
    description = SourceDescription((SdesChunk(0x1A01F9ED, items),))
    assert parse_compound(datagram) == [report, description]
    assert serialize_compound(report, description) == datagram


def test_compound_by_hand_has_its_fields_and_its_bytes() -> None:
    datagram = (VECTORS / "rtcp_sr_sdes_bye.bin").read_bytes()
    report = SenderReport(
        0x11223344,
        0xE0000000_80000000,
        160,
        1,
        160,
        (ReportBlock(0x55667788, 0.25, -1, 65537, 8, 0x00008000, 65536),),
    )
    description = SourceDescription((SdesChunk(0x11223344, ((1, b"a@b"), (6, b"tool"))),))
    goodbye = Goodbye((0x11223344,), b"done")
    assert parse_compound(datagram) == [report, description, goodbye]
    assert serialize_compound(report, description, goodbye) == datagram


@given(reports, descriptions, st.lists(reports | goodbyes, max_size=3))
def test_parse_reads_what_serialize_writes(
    report: SenderReport | ReceiverReport, description: SourceDescription, rest: list[RtcpPacket]
) -> None:
    assert parse_compound(serialize_compound(report, description, *rest)) == [report, description, *rest]


RR = b"\x80\xc9\x00\x01" + bytes(4)


@pytest.mark.parametrize(
    ("datagram", "sentence"),
    [
        (b"", "RTCP header is truncated"),
        (RR + b"\x80", "RTCP header is truncated"),
        (b"\x40" + RR[1:], "RTCP version is not 2"),
        (RR[:-1], "RTCP length passes the end of the datagram"),
        (b"\x81\xca\x00\x02" + bytes(8), "RTCP compound does not begin with a report"),
        (b"\x81" + RR[1:], "RTCP report is truncated"),
        (b"\x80\xc8\x00\x01" + bytes(4), "RTCP report is truncated"),
        (b"\xa0\xc9\x00\x02" + bytes(7) + b"\x04" + RR, "RTCP padding is invalid"),
        (b"\xa0\xc9\x00\x02" + bytes(7) + b"\x05", "RTCP padding is invalid"),
        (b"\xa0\xc9\x00\x00", "RTCP padding is invalid"),
        (RR + b"\x81\xca\x00\x00", "RTCP SDES chunk is truncated"),
        (RR + b"\x81\xca\x00\x02" + bytes(4) + b"\x01\x03ab", "RTCP SDES item is truncated"),
        (RR + b"\x81\xca\x00\x02" + bytes(4) + b"\x01\x02ab", "RTCP SDES chunk has no end"),
        (RR + b"\x81\xcb\x00\x00", "RTCP BYE is truncated"),
        (RR + b"\x81\xcb\x00\x02" + bytes(4) + b"\x04abc", "RTCP BYE reason is truncated"),
    ],
)
def test_malformed_datagrams_have_one_sentence_each(datagram: bytes, sentence: str) -> None:
    with pytest.raises(RtcpError) as caught:
        parse_compound(datagram)
    assert str(caught.value) == sentence


def test_padding_on_the_last_packet_is_taken_off() -> None:
    assert parse_compound(b"\xa0\xc9\x00\x02" + bytes(7) + b"\x04") == [ReceiverReport(0)]


def test_packets_of_unknown_type_are_skipped() -> None:
    application = b"\x80\xcc\x00\x02" + bytes(4) + b"name"
    assert parse_compound(RR + application + RR) == [ReceiverReport(0), ReceiverReport(0)]


@given(
    st.binary(max_size=60).flatmap(
        lambda tail: st.sampled_from((tail, RR + b"\x81" + tail, b"\xa1\xc8" + tail))
    )
)
def test_any_bytes_are_a_compound_or_an_rtcp_error(datagram: bytes) -> None:
    with suppress(RtcpError):
        assert all(isinstance(packet, RtcpPacket) for packet in parse_compound(datagram))


def test_ntp_stamps_count_from_1900_in_fixed_point() -> None:
    assert ntp_stamp(0) == 2_208_988_800 << 32
    assert ntp_stamp(S_NS // 2) & 0xFFFFFFFF == 1 << 31
    # RFC 5905 figure 4: 1999-12-31 00:00 UTC.
    assert ntp_stamp(946_598_400 * S_NS) >> 32 == 3_155_587_200


def test_ntp_stamps_wrap_in_2036() -> None:
    assert ntp_stamp((2**32 - 2_208_988_800) * S_NS) == 0


def test_round_trip_is_the_example_of_rfc_3550_figure_2() -> None:
    block = ReportBlock(1, 0.0, 0, 0, 0, last_sr=0xB7052000, delay_since_last_sr=0x00054000)
    arrived_wall_ns = (0xB710 + (0xB44D << 16) - 2_208_988_800) * S_NS + S_NS // 2
    assert ntp_middle(ntp_stamp(arrived_wall_ns)) == 0xB7108000
    assert block.round_trip_ms(arrived_wall_ns) == 6125.0


def test_round_trip_is_unknown_before_a_sender_report_and_after_a_clock_step() -> None:
    assert ReportBlock(1, 0.0, 0, 0, 0, 0, 0).round_trip_ms(10**18) is None
    assert ReportBlock(1, 0.0, 0, 0, 0, ntp_middle(ntp_stamp(10**18)), 0).round_trip_ms(10**18 - S_NS) is None


def test_reports_are_five_seconds_apart_on_average_and_never_in_step() -> None:
    rng = random.Random(1)
    intervals_ns = [report_interval_ns(rng) for _ in range(2000)]
    assert 2.5 * S_NS <= min(intervals_ns) <= max(intervals_ns) <= 7.5 * S_NS
    assert sum(intervals_ns) / 2000 == pytest.approx(5 * S_NS, rel=0.03)
    assert report_interval_ns(rng, first=True) <= 3.75 * S_NS
