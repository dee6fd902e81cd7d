import pytest

from benchmarks.reception import RtpReception
from benchmarks.record import Deliveries, Journal, Reception
from telephony.format import AudioFormat
from telephony.rtp import RtpPacket
from tests.fakes.speech_http import LEADING_SILENCE_MS, make_datagrams

MULAW = AudioFormat.of("mulaw")
MS = 1_000_000


def receive(*arrivals: tuple[int, bytes]) -> Journal:
    """(arrival in ms, datagram) of each."""
    reception = RtpReception(MULAW)
    for at_ms, datagram in arrivals:
        reception.push(datagram, at_ms * MS)
    journal = Journal(MULAW, lambda: 0)
    reception.report(journal)
    return journal


def in_pace(order: list[int]) -> list[tuple[int, bytes]]:
    datagrams = make_datagrams("mulaw")
    return [(20 * k, datagrams[index]) for k, index in enumerate(order)]


def counts(journal: Journal) -> tuple[int, int, int, int, int]:
    found = journal.reception
    assert found is not None
    return found.packets, found.lost, found.reordered, found.duplicates, found.foreign


def test_a_whole_stream_over_both_wraps_has_no_faults() -> None:
    journal = receive(*in_pace([0, 1, 2, 3, 4]))
    assert journal.reception == Reception(5, 0, 0, 0, 0, 0.0)
    assert journal.deliveries == Deliveries(
        (0, 20 * MS, 40 * MS, 60 * MS, 80 * MS), (0, 160, 320, 480, 640), (160,) * 5
    )
    assert journal.onset.first_audible_sample == LEADING_SILENCE_MS * 8
    assert journal.first_byte_ns == 0
    assert journal.received_bytes == 800


def test_speech_begins_with_the_marked_packet() -> None:
    assert receive(*in_pace([0, 1, 2, 3, 4])).first_speech_ns == 40 * MS


def test_without_a_marker_speech_begins_with_the_first_packet() -> None:
    assert receive(*in_pace([0, 1])).first_speech_ns == 0


def test_a_lost_packet_is_counted_and_leaves_its_time() -> None:
    journal = receive(*in_pace([0, 1, 3, 4]))
    assert counts(journal) == (4, 1, 0, 0, 0)
    assert journal.deliveries.first_sample == (0, 160, 480, 640)


def test_a_lost_packet_is_silence_before_the_onset() -> None:
    journal = receive(*in_pace([0, 3, 4]))
    assert journal.onset.first_audible_sample == 480


def test_two_packets_in_the_wrong_order_are_one_reordering_and_no_loss() -> None:
    journal = receive(*in_pace([0, 2, 1, 3, 4]))
    assert counts(journal) == (5, 0, 1, 0, 0)
    assert journal.deliveries.first_sample == (0, 160, 320, 480, 640)
    assert journal.deliveries.at_ns[1] == 40 * MS


def test_the_first_packet_may_come_late() -> None:
    journal = receive(*in_pace([1, 0, 2]))
    assert counts(journal) == (3, 0, 1, 0, 0)
    assert journal.deliveries.first_sample == (0, 160, 320)
    assert journal.first_byte_ns == 0


def test_a_packet_that_comes_twice_is_taken_once() -> None:
    journal = receive(*in_pace([0, 1, 1, 2]))
    assert counts(journal) == (3, 0, 0, 1, 0)
    assert journal.received_bytes == 480


def test_what_is_not_of_this_stream_is_foreign() -> None:
    other = RtpPacket(0, 1, 1, 99, b"\xff" * 160).serialize()
    journal = receive((0, b"?"), *in_pace([0, 1]), (50, other))
    assert counts(journal) == (2, 0, 0, 0, 2)


def test_nothing_is_received_from_nothing() -> None:
    journal = receive()
    assert counts(journal) == (0, 0, 0, 0, 0)
    assert journal.first_byte_ns is None
    assert journal.deliveries == Deliveries()


def test_jitter_follows_rfc_3550() -> None:
    # Transit differences of 0, 8 and 8 ms = 0, 64 and 64 samples: J = 4, then 4 + (64 - 4) / 16 = 7.75.
    datagrams = make_datagrams("mulaw")
    journal = receive((0, datagrams[0]), (20, datagrams[1]), (48, datagrams[2]), (60, datagrams[3]))
    assert journal.reception is not None
    assert journal.reception.jitter_ms == pytest.approx(7.75 / 8)
