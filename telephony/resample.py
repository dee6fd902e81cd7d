"""Streaming resampler from 24 kHz to a line rate. Any cutting of the input gives bit-identical output.

Exactness is by construction, not by care. An input sample is rounded to a whole multiple of 2**-23, at
most ±4.0, so it is an integer of at most 2**25; a tap is an integer of at most 2**22; and the sum of all
products stays below 2**53, where every float64 sum of integers is exact. So it does not matter in which
order a BLAS kernel adds, how many outputs share one product of matrices, or what was in the chunk before:
there is one rounding only, of the finished sum to float32.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from telephony.errors import UnsupportedFormat
from telephony.format import SOURCE_RATE_HZ
from telephony.taps import TAP_BITS, TO_8K, TO_16K

INPUT_BITS = 23
"""A sample of 1.0 is 2**23 inside."""
PEAK = 4.0
"""Larger samples are clipped to it: 12 dB over full scale, to bound the sums."""

# Both filters take 3 inputs per period: 1 output at 8 kHz, 2 at 16 kHz.
_DOWN = 3
# Periods in one row of the matrix product. More waste multiplications by zero, fewer waste calls:
# 16 was fastest from 20 ms to 1 s of input.
_ROW_PERIODS = 16
# Outputs in one product. OpenBLAS leaves products of up to 2**18 multiplications to the calling thread;
# waking its others costs more than they bring, and takes their cores from the engine.
_SLAB_OUTPUTS = 1536


class Resampler:
    """24 kHz float32 in, `rate_hz` float32 out: 8000 (a third), 16000 (two thirds) or 24000 (unchanged).

    An output needs no input later than itself, so 480 * k samples give exactly 160 * k or 320 * k at once.
    The filter's delay, `delay_samples` at 24 kHz, is silence at the head; :meth:`flush` brings the tail.
    Samples are finite. Raises UnsupportedFormat for other rates.
    """

    def __init__(self, rate_hz: int) -> None:
        if rate_hz not in (8_000, 16_000, SOURCE_RATE_HZ):
            raise UnsupportedFormat("sample_rate", rate_hz, "8000, 16000 or 24000")
        self.rate_hz = rate_hz
        self._filter = _FILTERS.get(rate_hz)
        self.delay_samples = self._filter.delay_samples if self._filter else 0
        self.clear()

    def push(self, chunk: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Take (samples,) at 24 kHz; answer what is complete at the new rate, [] if nothing is."""
        if not len(chunk):
            return []
        if self._filter is None:
            return [chunk]
        self._begun = True
        integers = np.rint(chunk * np.float32(1 << INPUT_BITS))
        peak = np.float32(PEAK * (1 << INPUT_BITS))
        return self._advance(self._filter, np.minimum(np.maximum(integers, -peak), peak))

    def flush(self) -> list[NDArray[np.float32]]:
        """End the utterance: answer the tail that the delay still holds, and begin anew.

        In all, T inputs give ceil((T + delay_samples) * rate_hz / 24000) outputs, and none give none.
        """
        if self._filter is None or not self._begun:
            return []
        pending = len(self._recent) - self._filter.history_samples
        missing = pending + self.delay_samples
        wanted = -(-missing * self._filter.up // _DOWN)
        padding = -(-missing // _DOWN) * _DOWN - pending
        tail = np.concatenate(self._advance(self._filter, np.zeros(padding, np.float32)))
        self.clear()
        return [tail[:wanted]]

    def clear(self) -> None:
        """Forget all input, as if new."""
        self._begun = False
        self._recent: NDArray[np.float64] = np.zeros(self._filter.history_samples if self._filter else 0)

    def _advance(self, fir: "_Fir", integers: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        inputs: NDArray[np.float64] = np.concatenate((self._recent, integers))
        periods = (len(inputs) - fir.history_samples) // _DOWN
        self._recent = inputs[periods * _DOWN :].copy()
        return [fir.outputs(inputs, periods)] if periods else []


class _Fir:
    """One filter as the matrix that makes `_ROW_PERIODS` periods of output from one row of input."""

    def __init__(self, taps: NDArray[np.int64], up: int) -> None:
        self.up = up
        self.history_samples = (len(taps) - 1) // up
        self.delay_samples = (len(taps) - 1) // 2 // up
        self._row_samples = self.history_samples + _ROW_PERIODS * _DOWN
        self._row_outputs = _ROW_PERIODS * up
        self._matrix = np.zeros((self._row_samples, self._row_outputs))  # (inputs, outputs)
        for output in range(self._row_outputs):
            # At `up` times the input rate, where only each `up`-th sample is not zero, an output stands
            # at output * down: its phase says which taps fall upon inputs.
            newest, phase = divmod(output * _DOWN, up)
            column = taps[phase::up][::-1]
            end = self.history_samples + newest + 1
            self._matrix[end - len(column) : end, output] = column

    def outputs(self, inputs: NDArray[np.float64], periods: int) -> NDArray[np.float32]:
        """Filter `periods` periods, the first beginning behind the history. Shape (periods * up,)."""
        rows = -(-periods // _ROW_PERIODS)
        padding = self.history_samples + rows * _ROW_PERIODS * _DOWN - len(inputs)
        if padding > 0:
            inputs = np.concatenate((inputs, np.zeros(padding)))
        windows = sliding_window_view(inputs, self._row_samples)[:: _ROW_PERIODS * _DOWN]
        sums = np.empty((rows, self._row_outputs))
        slab_rows = _SLAB_OUTPUTS // self._row_outputs
        for start in range(0, rows, slab_rows):
            # Copied, for a view whose rows overlap would miss BLAS.
            slab = np.ascontiguousarray(windows[start : min(start + slab_rows, rows)])
            np.matmul(slab, self._matrix, out=sums[start : start + len(slab)])
        # Plus zero, for the one thing that order decides is the sign of a zero.
        exact = sums.reshape(-1)[: periods * self.up] * 2.0 ** -(INPUT_BITS + TAP_BITS) + 0.0
        return exact.astype(np.float32)


_FILTERS = {8_000: _Fir(TO_8K, 1), 16_000: _Fir(TO_16K, 2)}
