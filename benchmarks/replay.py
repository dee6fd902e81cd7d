"""Pure: plays one record's audio again, as a listener would have, and says where it ran dry.

Playing starts with the first delivery (plus the jitter buffer). Each delivery is due when everything
before it has been played. One that comes later than that is a stall: the listener hears nothing for as
long as it is late, and all later audio is due that much later.
"""

from bisect import bisect_right
from dataclasses import dataclass

from benchmarks.record import Deliveries

_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Stall:
    """An underrun: audio due at `due_ns` came `late_ns` later."""

    due_ns: int
    late_ns: int


@dataclass(frozen=True, slots=True)
class Playback:
    """How one stream was heard."""

    deliveries: Deliveries
    played_ns: tuple[int, ...]
    """When each delivery's first sample sounded."""
    stalls: tuple[Stall, ...]
    rate_hz: int

    @property
    def stalled_ns(self) -> int:
        return sum(stall.late_ns for stall in self.stalls)

    @property
    def longest_stall_ns(self) -> int:
        return max((stall.late_ns for stall in self.stalls), default=0)

    def heard_ns(self, sample: int) -> int:
        """When the sample at this position sounded."""
        index = bisect_right(self.deliveries.first_sample, sample) - 1
        within = sample - self.deliveries.first_sample[index]
        return self.played_ns[index] + samples_to_ns(within, self.rate_hz)


def replay(deliveries: Deliveries, rate_hz: int, jitter_buffer_ns: int = 0) -> Playback:
    """Play the deliveries, which must not be empty, with the jitter buffer held before the first."""
    start_ns = deliveries.at_ns[0] + jitter_buffer_ns
    played, stalls = [], []
    for at_ns, first_sample in zip(deliveries.at_ns, deliveries.first_sample, strict=True):
        due_ns = start_ns + samples_to_ns(first_sample, rate_hz)
        if at_ns > due_ns:
            stalls.append(Stall(due_ns, at_ns - due_ns))
            start_ns += at_ns - due_ns
            due_ns = at_ns
        played.append(due_ns)
    return Playback(deliveries, tuple(played), tuple(stalls), rate_hz)


def late_deliveries(deliveries: Deliveries, rate_hz: int, jitter_buffer_ns: int) -> int:
    """How many a telephone would have thrown away: its clock does not wait, its buffer does not grow."""
    start_ns = deliveries.at_ns[0] + jitter_buffer_ns
    due = (start_ns + samples_to_ns(first, rate_hz) for first in deliveries.first_sample)
    return sum(at_ns > due_ns for at_ns, due_ns in zip(deliveries.at_ns, due, strict=True))


def samples_to_ns(samples: int, rate_hz: int) -> int:
    """How long so many samples sound."""
    return samples * _NS_PER_S // rate_hz
