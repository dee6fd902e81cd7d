"""Rankings written out, with their reasons: who is served first, and why."""

from itertools import product

import pytest

from engines.scheduler.policy import Candidate, DeadlinePolicy, StepKind, Urgency

NOW_NS = 10_000
POLICY = DeadlinePolicy(lead_ns=1_000)


def work(
    utterance_id: int = 1,
    kind: StepKind = StepKind.WINDOW,
    dry_ns: int | None = None,
    arrived_ns: int = 0,
    last_served: int = 0,
    reserve_ns: int = 100,
) -> Candidate:
    return Candidate(kind, utterance_id, arrived_ns, dry_ns, last_served, reserve_ns)


def served(*works: Candidate) -> list[int]:
    """Utterances in the order in which they are served."""
    return [each.utterance_id for each in sorted(works, key=lambda each: POLICY.rank(each, NOW_NS))]


@pytest.mark.parametrize(
    ("dry_ns", "urgency"),
    [
        (None, Urgency.UNHEARD),
        (NOW_NS - 5_000, Urgency.DEADLINE),  # already silent
        (NOW_NS + 100, Urgency.DEADLINE),  # the reserve begins now
        (NOW_NS + 101, Urgency.PRESSING),
        (NOW_NS + 1_000, Urgency.PRESSING),  # just under the lead
        (NOW_NS + 1_001, Urgency.TURN),
    ],
)
def test_urgency_follows_from_when_the_listener_runs_dry(dry_ns: int | None, urgency: Urgency) -> None:
    assert POLICY.urgency(work(dry_ns=dry_ns), NOW_NS) is urgency


def test_a_longer_way_to_audio_makes_work_urgent_sooner() -> None:
    dry_ns = NOW_NS + 500
    assert POLICY.urgency(work(dry_ns=dry_ns, reserve_ns=499), NOW_NS) is Urgency.PRESSING
    assert POLICY.urgency(work(dry_ns=dry_ns, reserve_ns=500), NOW_NS) is Urgency.DEADLINE


def test_deadline_before_unheard_before_pressing_before_turn() -> None:
    turn, pressing = work(1, dry_ns=NOW_NS + 5_000), work(2, dry_ns=NOW_NS + 600)
    unheard, deadline = work(3), work(4, dry_ns=NOW_NS + 50)
    assert served(turn, pressing, unheard, deadline) == [4, 3, 2, 1]


def test_among_deadlines_the_soonest_dry_goes_first_whatever_its_kind() -> None:
    window, decode = (
        work(1, dry_ns=NOW_NS + 20),
        work(2, StepKind.DECODE, dry_ns=NOW_NS + 10),
    )
    assert served(window, decode) == [2, 1]


def test_at_the_same_deadline_what_is_nearest_to_audio_goes_first() -> None:
    dry_ns = NOW_NS + 10
    decode, prefill, window = (
        work(1, StepKind.DECODE, dry_ns),
        work(2, StepKind.PREFILL, dry_ns),
        work(3, StepKind.WINDOW, dry_ns),
    )
    assert served(decode, prefill, window) == [3, 2, 1]


def test_calls_not_yet_heard_go_window_then_prefill_then_decode() -> None:
    # A window is heard at once; a prefill lets a call join the decodes that all share.
    decode, prefill, window = work(1, StepKind.DECODE), work(2, StepKind.PREFILL), work(3, StepKind.WINDOW)
    assert served(decode, prefill, window) == [3, 2, 1]


def test_among_calls_not_yet_heard_who_came_first_goes_first() -> None:
    assert served(work(1, arrived_ns=30), work(2, arrived_ns=10), work(3, arrived_ns=20)) == [2, 3, 1]


def test_among_pressing_calls_the_soonest_dry_goes_first() -> None:
    assert served(work(1, dry_ns=NOW_NS + 900), work(2, dry_ns=NOW_NS + 800)) == [2, 1]


def test_calls_with_enough_audio_take_turns() -> None:
    dry_ns = NOW_NS + 9_000
    assert served(work(1, dry_ns=dry_ns, last_served=8), work(2, dry_ns=dry_ns + 1, last_served=3)) == [2, 1]


def test_a_call_that_has_run_dry_goes_before_one_that_will() -> None:
    assert served(work(1, dry_ns=NOW_NS + 1), work(2, dry_ns=NOW_NS - 1)) == [2, 1]


def test_no_two_pieces_of_work_rank_alike() -> None:
    works = [
        work(utterance_id, kind, dry_ns, arrived_ns, last_served)
        for utterance_id, kind, dry_ns, arrived_ns, last_served in product(
            (1, 2), StepKind, (None, NOW_NS, NOW_NS + 500, NOW_NS + 5_000), (0, 1), (0, 1)
        )
    ]
    ranks: dict[object, set[tuple[int, StepKind]]] = {}
    for each in works:
        ranks.setdefault(POLICY.rank(each, NOW_NS), set()).add((each.utterance_id, each.kind))
    assert all(len(owners) == 1 for owners in ranks.values())
