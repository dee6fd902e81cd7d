import numpy as np

from benchmarks.record import COMPLETED, Deliveries, Journal, Outcome, Verdict
from telephony.format import AudioFormat
from tests.fakes.speech_audio import silence_then_tone

MULAW = AudioFormat.of("mulaw")


class Clock:
    def __init__(self) -> None:
        self.at_ns = 0

    def __call__(self) -> int:
        return self.at_ns


def test_a_journal_keeps_every_instant_of_a_stream_in_pieces() -> None:
    clock = Clock()
    journal = Journal(MULAW, clock)
    audio = silence_then_tone(MULAW, silence_ms=20, tone_ms=20)
    for at_ns, act in [
        (10, journal.dispatched),
        (20, journal.admitted),
        (30, lambda: journal.received(audio[:100])),
        (45, lambda: journal.received(audio[100:])),
        (50, journal.finished),
    ]:
        clock.at_ns = at_ns
        act()
    clock.at_ns = 99
    record = journal.close(4, True, 12, 1, 2, COMPLETED)
    assert (record.scheduled_ns, record.started_ns, record.dispatched_ns, record.admitted_ns) == (
        1,
        2,
        10,
        20,
    )
    assert (record.first_byte_ns, record.first_speech_ns, record.finished_ns) == (30, 30, 50)
    assert record.deliveries == Deliveries((30, 45), (0, 100), (100, 220))
    assert record.first_audible_sample == 160
    assert record.received_bytes == 320


def test_an_instant_is_stamped_once_even_at_zero() -> None:
    clock = Clock()
    journal = Journal(MULAW, clock)
    journal.dispatched()
    clock.at_ns = 5
    journal.dispatched()
    assert journal.dispatched_ns == 0


def test_half_a_sample_is_a_byte_but_not_a_delivery() -> None:
    clock = Clock()
    journal = Journal(AudioFormat.of("pcm16", 8000), clock)
    journal.received(b"\x01")
    clock.at_ns = 7
    journal.received(b"\x02\x03\x04")
    record = journal.close(0, True, 1, 0, 0, COMPLETED)
    assert record.first_byte_ns == 0
    assert record.first_speech_ns == 7
    assert record.deliveries == Deliveries((7,), (0,), (2,))


def test_chunks_of_floats_are_deliveries() -> None:
    journal = Journal(AudioFormat.of("pcm16", 24_000), Clock())
    journal.chunk(np.full(480, 0.5, np.float32))
    record = journal.close(0, True, 1, 0, 0, COMPLETED)
    assert record.deliveries.samples == (480,)
    assert record.first_audible_sample == 0


def test_a_request_that_failed_is_finished_when_it_is_closed() -> None:
    clock = Clock()
    journal = Journal(MULAW, clock)
    clock.at_ns = 8
    record = journal.close(0, False, 1, 0, 0, Verdict(Outcome.FAILED, "cut"))
    assert (record.finished_ns, record.outcome, record.reason) == (8, Outcome.FAILED, "cut")
    assert record.deliveries == Deliveries()


def test_a_stream_ends_behind_what_was_lost_inside_it() -> None:
    assert Deliveries((1, 2), (0, 480), (160, 160)).end_sample == 640
    assert Deliveries().end_sample == 0
