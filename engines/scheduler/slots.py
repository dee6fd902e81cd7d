"""KV places: a fixed number of them, each held by at most one row."""


class SlotPool:
    """Hands out the lowest free place, so that small batches stay in small buckets."""

    def __init__(self, places: int) -> None:
        self._free = list(range(places - 1, -1, -1))
        self.places = places

    @property
    def in_use(self) -> int:
        return self.places - len(self._free)

    def take(self) -> int | None:
        """A free place, or None when there is no room."""
        return self._free.pop() if self._free else None

    def give_back(self, slot: int) -> None:
        assert slot not in self._free, f"slot {slot} is given back twice"
        self._free.append(slot)
        self._free.sort(reverse=True)
