from benchmarks.replay import Stall, late_deliveries, replay
from tests.benchmarks.made import MS, deliveries

FRAME = 160  # 20 ms at 8 kHz


def frames(*at_ms: int) -> tuple[tuple[int, int, int], ...]:
    return tuple((at, k * FRAME, FRAME) for k, at in enumerate(at_ms))


def test_audio_that_is_always_early_never_stalls() -> None:
    playback = replay(deliveries(*frames(100, 101, 102)), 8000)
    assert playback.stalls == ()
    assert playback.played_ns == (100 * MS, 120 * MS, 140 * MS)


def test_audio_that_comes_exactly_when_due_does_not_stall() -> None:
    assert replay(deliveries(*frames(100, 120, 140)), 8000).stalls == ()


def test_a_stall_is_as_long_as_the_delivery_is_late_and_moves_what_follows() -> None:
    playback = replay(deliveries(*frames(100, 150, 160, 165)), 8000)
    assert playback.stalls == (Stall(120 * MS, 30 * MS),)
    assert playback.played_ns == (100 * MS, 150 * MS, 170 * MS, 190 * MS)


def test_a_second_stall_counts_from_the_moved_deadline() -> None:
    playback = replay(deliveries(*frames(100, 150, 200)), 8000)
    assert playback.stalls == (Stall(120 * MS, 30 * MS), Stall(170 * MS, 30 * MS))
    assert playback.stalled_ns == 60 * MS
    assert playback.longest_stall_ns == 30 * MS


def test_a_jitter_buffer_delays_all_and_hides_what_is_shorter() -> None:
    late = deliveries(*frames(100, 150, 160))
    assert replay(late, 8000, 30 * MS).stalls == ()
    assert replay(late, 8000, 30 * MS).played_ns == (130 * MS, 150 * MS, 170 * MS)
    assert replay(late, 8000, 29 * MS).longest_stall_ns == 1 * MS


def test_what_was_lost_takes_its_time_and_is_no_stall() -> None:
    playback = replay(deliveries((100, 0, FRAME), (140, 2 * FRAME, FRAME)), 8000)
    assert playback.stalls == ()


def test_a_reordered_packet_is_due_at_its_place_in_the_audio() -> None:
    playback = replay(deliveries((100, 0, FRAME), (145, FRAME, FRAME), (140, 2 * FRAME, FRAME)), 8000)
    assert playback.stalls == (Stall(120 * MS, 25 * MS),)


def test_a_sample_is_heard_inside_its_delivery() -> None:
    playback = replay(deliveries(*frames(100, 150)), 8000)
    assert playback.heard_ns(0) == 100 * MS
    assert playback.heard_ns(80) == 110 * MS
    assert playback.heard_ns(FRAME) == 150 * MS
    assert playback.heard_ns(FRAME + 8) == 151 * MS


def test_a_telephone_does_not_wait_for_late_packets() -> None:
    late = deliveries(*frames(100, 150, 170, 160))
    assert late_deliveries(late, 8000, 0) == 2
    assert late_deliveries(late, 8000, 29 * MS) == 2
    assert late_deliveries(late, 8000, 30 * MS) == 0
