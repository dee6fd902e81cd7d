"""KV places: a fixed number of them, each held by at most one row."""

from heapq import heappop, heappush


class SlotPool:
    """Hands out the lowest free place, so that small batches stay in small buckets."""

    def __init__(self, places: int) -> None:
        self._free = list(range(places))  # sorted, and so a heap
        self.places = places

    @property
    def in_use(self) -> int:
        return self.places - len(self._free)

    @property
    def free(self) -> int:
        return len(self._free)

    def take(self) -> int:
        """The lowest free place; ask `free` first."""
        assert self._free, "a place was taken when none is free"
        return heappop(self._free)

    def give_back(self, slot: int) -> None:
        assert slot not in self._free, f"slot {slot} is given back twice"
        heappush(self._free, slot)
