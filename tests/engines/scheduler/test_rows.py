"""What a row carries: its segment's own seed."""

from engines.scheduler.rows import segment_seed


def test_the_first_segment_has_the_utterance_s_seed() -> None:
    assert segment_seed(7, 0) == 7


def test_every_segment_has_a_seed_of_its_own() -> None:
    seeds = {segment_seed(seed, segment) for seed in range(50) for segment in range(50)}
    assert len(seeds) == 2_500


def test_seeds_fit_a_counter_s_key_whatever_was_asked_for() -> None:
    assert all(0 <= segment_seed(seed, 9) < 1 << 64 for seed in (-1, 0, 1 << 64, 1 << 70))
