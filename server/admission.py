"""The door: a fixed number of places, refused before any work when they are taken."""

import asyncio
from dataclasses import dataclass
from types import TracebackType


class Place:
    """One admitted call or request. Leaving twice is leaving once."""

    def __init__(self, door: "Door") -> None:
        self._door: Door | None = door

    def leave(self) -> None:
        if self._door is not None:
            self._door.give_back()
            self._door = None

    def __enter__(self) -> "Place":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.leave()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there was no room, and when to come back."""

    reason: str  # full, draining, warming_up
    message: str
    retry_after_s: int


class Door:
    """Counts places. Used from the event loop only."""

    def __init__(self, places: int, retry_after_s: int = 1) -> None:
        self.places = places
        self.in_use = 0
        self.draining = False
        self.opened = asyncio.Event()
        self.empty = asyncio.Event()
        self.empty.set()
        self.rejected: dict[str, int] = {"full": 0, "draining": 0, "warming_up": 0}
        self._retry_after_s = retry_after_s

    def enter(self) -> Place | Refusal:
        """A place, or why not: "no room" is an answer, not an exception."""
        refusal = self._refusal()
        if refusal is not None:
            self.rejected[refusal.reason] += 1
            return refusal
        self.in_use += 1
        self.empty.clear()
        return Place(self)

    def give_back(self) -> None:
        """A place is free again; Place calls this once."""
        self.in_use -= 1
        if not self.in_use:
            self.empty.set()

    def _refusal(self) -> Refusal | None:
        if self.draining:
            return Refusal("draining", "the server is stopping", self._retry_after_s)
        if not self.opened.is_set():
            return Refusal("warming_up", "the engine is warming up", self._retry_after_s)
        if self.in_use >= self.places:
            message = f"all {self.places} places are taken; try again in {self._retry_after_s} s"
            return Refusal("full", message, self._retry_after_s)
        return None
