"""A clock that stands still until told: wakes run in order of their deadlines, as time is moved past them."""

import heapq
from collections.abc import Callable
from itertools import count


class FakeTimer:
    """A pending wake of the fake clock."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self.wake = wake
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeClock:
    """Implements telephony.net.clock.Clock."""

    def __init__(self, now_ns: int = 0) -> None:
        self._now_ns = now_ns
        self._order = count()
        self._timers: list[tuple[int, int, FakeTimer]] = []

    @property
    def pending(self) -> int:
        """Wakes that are armed and not cancelled."""
        return sum(not timer.cancelled for _, _, timer in self._timers)

    @property
    def next_timer(self) -> FakeTimer:
        """The earliest wake, cancelled or not."""
        return self._timers[0][2]

    def now_ns(self) -> int:
        return self._now_ns

    def call_at(self, deadline_ns: int, wake: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer(wake)
        heapq.heappush(self._timers, (deadline_ns, next(self._order), timer))
        return timer

    def spend(self, elapsed_ns: int) -> None:
        """Let time pass without waking anyone: a busy or suspended process."""
        self._now_ns += elapsed_ns

    def advance(self, elapsed_ns: int) -> None:
        """Move time on, waking each timer at its own deadline, or now if that has passed."""
        end_ns = self._now_ns + elapsed_ns
        while self._timers and self._timers[0][0] <= end_ns:
            deadline_ns, _, timer = heapq.heappop(self._timers)
            self._now_ns = max(self._now_ns, deadline_ns)
            if not timer.cancelled:
                timer.wake()
        self._now_ns = max(self._now_ns, end_ns)
