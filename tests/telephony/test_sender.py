"""The packets and reports of one SSRC, read back with the parsers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.format import TELEPHONE, AudioFormat
from telephony.playout import Playout, Tick
from telephony.rtcp import Goodbye, ReceiverReport, SenderReport, SourceDescription, ntp_stamp, parse_compound
from telephony.rtp import RtpPacket
from telephony.sender import RtpSender, Silence

SILENCE = TELEPHONE.silence
SPEECH = bytes(range(160))
QUIET = Tick(SILENCE, False, False, ())
FIRST = Tick(SPEECH, True, True, ())
NEXT = Tick(SPEECH, True, False, ())


def make_sender(
    silence: Silence = Silence.PACKETS, first_sequence: int = 7, first_timestamp: int = 1000
) -> RtpSender:
    return RtpSender(TELEPHONE, 0, 0xABCD, first_sequence, first_timestamp, cname="a@b", silence=silence)


def sent(sender: RtpSender, ticks: list[Tick]) -> list[RtpPacket]:
    datagrams = [sender.packet(tick) for tick in ticks]
    return [RtpPacket.parse(datagram) for datagram in datagrams if datagram is not None]


def test_packets_of_a_talkspurt_written_out() -> None:
    assert sent(make_sender(), [FIRST, NEXT]) == [
        RtpPacket(0, 7, 1000, 0xABCD, SPEECH, marker=True),
        RtpPacket(0, 8, 1160, 0xABCD, SPEECH),
    ]


def test_silence_is_sent_as_packets_without_a_marker() -> None:
    packets = sent(make_sender(), [FIRST, QUIET, QUIET, FIRST])
    assert [packet.sequence_number for packet in packets] == [7, 8, 9, 10]
    assert [packet.timestamp for packet in packets] == [1000, 1160, 1320, 1480]
    assert [packet.marker for packet in packets] == [True, False, False, True]
    assert [packet.payload for packet in packets] == [SPEECH, SILENCE, SILENCE, SPEECH]


def test_timestamps_run_on_through_silence_that_is_not_sent() -> None:
    packets = sent(make_sender(Silence.NONE), [QUIET, FIRST, NEXT, QUIET, QUIET, QUIET, FIRST])
    assert [packet.sequence_number for packet in packets] == [7, 8, 9]
    assert [packet.timestamp for packet in packets] == [1160, 1320, 1960]
    assert [packet.marker for packet in packets] == [True, False, True]


def test_sequence_number_and_timestamp_wrap() -> None:
    packets = sent(make_sender(first_sequence=65535, first_timestamp=2**32 - 160), [FIRST, NEXT])
    assert [(packet.sequence_number, packet.timestamp) for packet in packets] == [
        (65535, 2**32 - 160),
        (0, 0),
    ]


@given(st.lists(st.booleans(), max_size=60), st.sampled_from(Silence))
def test_time_on_the_wire_is_time_on_the_clock(spoken: list[bool], silence: Silence) -> None:
    playout, sender = (
        Playout(TELEPHONE),
        make_sender(silence, first_sequence=65500, first_timestamp=2**32 - 999),
    )
    numbers = []
    for n, speak in enumerate(spoken):
        if speak:
            playout.push([SPEECH])
            playout.finish()
        datagram = sender.packet(playout.tick(n))
        if datagram is None:
            continue
        packet = RtpPacket.parse(datagram)
        numbers.append(packet.sequence_number)
        assert packet.timestamp == (2**32 - 999 + 160 * n) % 2**32
        assert packet.marker == (speak and (n == 0 or not spoken[n - 1]))
    assert numbers == [(65500 + n) % 2**16 for n in range(len(numbers))]
    assert len(numbers) == (len(spoken) if silence is Silence.PACKETS else sum(spoken))


def test_skipped_ticks_move_the_timestamp_and_not_the_sequence_number() -> None:
    sender = make_sender()
    sender.packet(FIRST)
    sender.skip(250)
    (packet,) = sent(sender, [NEXT])
    assert (packet.sequence_number, packet.timestamp) == (8, 1000 + 160 * 251)


@pytest.mark.parametrize(
    ("rate_hz", "ptime_ms", "step"), [(8000, 20, 160), (8000, 30, 240), (16000, 20, 320)]
)
def test_timestamps_step_by_the_samples_of_a_frame(rate_hz: int, ptime_ms: int, step: int) -> None:
    audio_format = AudioFormat.of("pcm16", rate_hz, ptime_ms)
    sender = RtpSender(audio_format, 96, 1, 0, 0, cname="a@b")
    packets = sent(sender, 2 * [Tick(audio_format.silence, False, False, ())])
    assert [packet.timestamp for packet in packets] == [0, step]
    assert [packet.payload_type for packet in packets] == [96, 96]


def test_sender_report_counts_what_was_sent_and_stamps_the_last_tick() -> None:
    sender = make_sender()
    sent(sender, [FIRST, NEXT, QUIET])
    assert parse_compound(sender.report(10**18)) == [
        SenderReport(0xABCD, ntp_stamp(10**18), 1320, packets=3, octets=480),
        SourceDescription.of_cname(0xABCD, "a@b"),
    ]


def test_receiver_report_once_nothing_was_sent_for_two_reports() -> None:
    sender = make_sender(Silence.NONE)
    kinds = []
    for ticks in ([FIRST], [QUIET], [QUIET], [QUIET], [FIRST]):
        sent(sender, ticks)
        kinds.append(type(parse_compound(sender.report(0))[0]))
    assert kinds == [SenderReport, SenderReport, ReceiverReport, ReceiverReport, SenderReport]


def test_bye_comes_last_in_a_whole_compound() -> None:
    sender = make_sender()
    sent(sender, [FIRST])
    assert parse_compound(sender.bye(0)) == [
        SenderReport(0xABCD, ntp_stamp(0), 1000, packets=1, octets=160),
        SourceDescription.of_cname(0xABCD, "a@b"),
        Goodbye((0xABCD,)),
    ]
