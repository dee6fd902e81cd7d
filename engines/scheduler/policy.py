"""Which work is most urgent: pure ranking by playback deadlines, with its reason.

Order: (1) work without which a listener runs dry: the deadline, less the measured time of the
steps up to the next audio, has come; (2) work of calls not yet heard, window before prefill
before decode, because that is time to first audio; (3) calls whose buffer is under the lead,
soonest dry first; (4) everyone in turn.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple


class Urgency(IntEnum):
    """Why a piece of work ranks where it does; lower goes first."""

    DEADLINE = 1
    UNHEARD = 2
    PRESSING = 3
    TURN = 4


class StepKind(IntEnum):
    """What a step does, in the order in which it brings a call's first audio nearer."""

    WINDOW = 1
    PREFILL = 2
    DECODE = 3


class Candidate(NamedTuple):
    """Work that could be done now, for one utterance. A tuple: a plan makes hundreds of them."""

    kind: StepKind
    utterance_id: int
    arrived_ns: int
    runs_dry_ns: int | None  # None: not yet heard
    last_served: int
    reserve_ns: int  # time kept for the steps between here and the next audio


Rank = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class DeadlinePolicy:
    """Ranks candidates."""

    lead_ns: int

    def urgency(self, work: Candidate, now_ns: int) -> Urgency:
        if work.runs_dry_ns is None:
            return Urgency.UNHEARD
        if work.runs_dry_ns - work.reserve_ns <= now_ns:
            return Urgency.DEADLINE
        if work.runs_dry_ns - self.lead_ns <= now_ns:
            return Urgency.PRESSING
        return Urgency.TURN

    def rank(self, work: Candidate, now_ns: int) -> Rank:
        """Sort key: urgency, then what that urgency goes by, then the id, so that no tie is left."""
        urgency = self.urgency(work, now_ns)
        if urgency is Urgency.UNHEARD:
            return urgency, work.kind, work.arrived_ns, work.utterance_id
        if urgency is Urgency.TURN:
            return urgency, work.last_served, work.kind, work.utterance_id
        assert work.runs_dry_ns is not None, "only heard work has a deadline"
        return urgency, work.runs_dry_ns, work.kind, work.utterance_id
