"""Keys and values of all live rows, stored so that any run of rows is one piece of memory.

Per layer (2, rows, heads, places, head width). Live rows are always rows 0 to n-1: a row that ends
leaves its number to the last one, whose keys and values move. Runtimes read the store where it lies.
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

BLOCK_PLACES = 64


class KvArena:
    """A key/value store of at most ``max_rows`` rows, each named by its slot.

    It grows with the rows and by ``block`` places with the longest, and gives memory back when less
    than half of it is needed. What no row has written is finite: a mask multiplies it by 0.
    """

    def __init__(
        self,
        layers: int,
        heads: int,
        head_width: int,
        max_rows: int,
        block: int = BLOCK_PLACES,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self._heads, self._head_width = heads, head_width
        self._max_rows, self._block, self._dtype = max_rows, block, dtype
        self._slots: list[int] = []  # of each live row, in order
        self._lengths: list[int] = []
        self._stores = [self._store(0, 0) for _ in range(layers)]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Places written in each live row, (rows,)."""
        return np.array(self._lengths, np.int64)

    @property
    def rows(self) -> int:
        return len(self._slots)

    @property
    def places(self) -> int:
        """Places there is room for in each row: C of every view."""
        return int(self._stores[0].shape[3])

    @property
    def nbytes(self) -> int:
        return sum(store.nbytes for store in self._stores)

    def claim(self, slot: int) -> int:
        """A row for ``slot``, empty, behind all others. A slot that has one already gives it up first."""
        self.release(slot)
        assert self.rows < self._max_rows, f"all {self._max_rows} rows are claimed"
        self._slots.append(slot)
        self._lengths.append(0)
        self._make_room(self.rows, 0)
        return self.rows - 1

    def row(self, slot: int) -> int:
        """Where ``slot`` lies now; releasing any slot may change it."""
        return self._slots.index(slot)

    def release(self, slot: int) -> None:
        """Give the row of ``slot`` back; a slot without one is left alone."""
        if slot not in self._slots:
            return
        hole, last = self.row(slot), self.rows - 1
        if hole != last:
            written = self._lengths[last]
            for store in self._stores:
                store[:, hole, :, :written] = store[:, last, :, :written]
            self._slots[hole], self._lengths[hole] = self._slots[last], written
        del self._slots[last], self._lengths[last]
        self._give_back()

    def write(self, row: int, position: int, new_kv: NDArray[Any]) -> None:
        """Keys and values (layers, 2, heads, S, head width) of the places from ``position`` on.

        The row ends behind them: what was written there before is written over, or forgotten.
        """
        assert 0 <= row < self.rows, f"row {row} of {self.rows} is not claimed"
        assert position <= self._lengths[row], f"places {self._lengths[row]} to {position} would be skipped"
        end = position + new_kv.shape[3]
        self._make_room(self.rows, end)
        for store, new in zip(self._stores, new_kv, strict=True):
            store[:, row, :, position:end] = new
        self._lengths[row] = end

    def view(self, first: int, end: int) -> list[NDArray[Any]]:
        """k.0, v.0, k.1, v.1, ... of rows [first, end): (rows, heads, C, head width) each, not copied.

        Valid until the next call that is not a view.
        """
        return [half[first:end] for store in self._stores for half in store]

    def _make_room(self, rows: int, places: int) -> None:
        there = self._stores[0].shape
        if rows > there[1] or places > there[3]:
            self._resize(max(there[1], self._fit_rows(rows)), max(there[3], self._fit_places(places)))

    def _give_back(self) -> None:
        there = self._stores[0].shape
        rows, places = self._fit_rows(self.rows), self._fit_places(max(self._lengths, default=0))
        if 2 * rows * places <= there[1] * there[3]:
            self._resize(rows, places)

    def _fit_rows(self, rows: int) -> int:
        """The next power of two: rows come and go one at a time."""
        return min(1 << (rows - 1).bit_length(), self._max_rows) if rows else 0

    def _fit_places(self, places: int) -> int:
        return -(-places // self._block) * self._block

    def _resize(self, rows: int, places: int) -> None:
        """Layer by layer, so that only one lies in memory twice."""
        longest = max(self._lengths, default=0)
        live = min(self.rows, rows, self._stores[0].shape[1])
        for layer, old in enumerate(self._stores):
            new = self._store(rows, places)
            new[:, :live, :, :longest] = old[:, :live, :, :longest]
            self._stores[layer] = new

    def _store(self, rows: int, places: int) -> NDArray[Any]:
        return np.zeros((2, rows, self._heads, places, self._head_width), self._dtype)
