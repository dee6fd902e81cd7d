"""Streaming leveller: brings any voice to the level of a telephone line, and never over the ceiling.

Speech is measured the way ITU-T P.56 does, only while someone speaks; the gain follows slowly, so that
words keep their loudness against each other and pauses stay as silent as they were. Any cutting of the
input gives bit-identical output: all decisions are taken per block of 10 ms, counted from the utterance's
first sample, and a block's power is a sum of integers, exact in any order.
"""

import math

import numpy as np
from numpy.typing import NDArray

from telephony.errors import UnsupportedFormat
from telephony.format import SOURCE_RATE_HZ

TARGET_DBOV = -23.0
"""Active speech level on the line, P.56. 0 dBov is a square wave of full scale; a 0 dBm0 sine is -6.2."""
NOMINAL_DBOV = -26.0
"""Assumed level of a voice not yet heard: the usual one of speech recordings (ITU-T P.56, P.800)."""
CEILING_DBFS = -3.0
MAX_GAIN_DB = 24.0
MAX_SLEW_DB_PER_S = 6.0

_BLOCK_MS = 10
_BLOCK_SAMPLES = SOURCE_RATE_HZ * _BLOCK_MS // 1000
_BLOCK_S = _BLOCK_MS / 1000

# P.56 method B: an envelope of 30 ms against a threshold 15.9 dB under the active level, held for 200 ms.
_ENVELOPE_STEP = 1 - math.exp(-_BLOCK_S / 0.030)
_MARGIN = 10 ** (-15.9 / 10)
_HANGOVER_BLOCKS = 200 // _BLOCK_MS
_FLOOR = 10 ** (-55 / 10)
# Measured speech is forgotten over 2 s of speech. The prior counts like 1 s of it, so that a first loud
# syllable does not pull the gain down, but fades sooner, so that a wrong one is corrected within 2 s.
_MEMORY_DECAY = math.exp(-_BLOCK_S / 2.0)
_PRIOR_S = 1.0
_PRIOR_DECAY = math.exp(-_BLOCK_S / 0.7)

# A sample of 1.0 is 2**20 in a block's power; up to ±4.0, squares of a block add up to less than 2**53.
_POWER_SCALE = 1 << 20
_POWER_PEAK = 4.0
_FULL_POWER = float(_BLOCK_SAMPLES * _POWER_SCALE**2)

# Under the ceiling by more than the rounding of a float32 gain, and by less than anyone could measure.
_CEILING = 10 ** (CEILING_DBFS / 20) * (1 - 1e-6)
_RELEASE = 10 ** (40 * _BLOCK_S / 20)
_SLEW_DB = MAX_SLEW_DB_PER_S * _BLOCK_S
_RAMP = (np.arange(_BLOCK_SAMPLES, dtype=np.float32) + 1) / np.float32(_BLOCK_SAMPLES)


class _ActiveLevel:
    """The level of active speech so far, from block powers: a prior that measurement replaces."""

    def __init__(self, nominal_dbov: float) -> None:
        self.dbov = nominal_dbov
        self.restart()

    def restart(self) -> None:
        """Begin an utterance: what was known becomes the prior, and what is speech is decided anew."""
        self._prior_dbov = self.dbov
        self._prior_s = _PRIOR_S
        self._energy = 0.0
        self._speech_s = 0.0
        self._envelope = 0.0
        self._hangover_blocks = 0

    def observe(self, power: float) -> None:
        """Take one block's mean square."""
        self._envelope += (power - self._envelope) * _ENVELOPE_STEP
        # Relative to this utterance alone: a voice far under the prior must still count as speech.
        if self._envelope > _FLOOR and self._envelope * self._speech_s >= self._energy * _MARGIN:
            self._hangover_blocks = _HANGOVER_BLOCKS
        elif self._hangover_blocks:
            self._hangover_blocks -= 1
        else:
            return
        self._energy = self._energy * _MEMORY_DECAY + power * _BLOCK_S
        self._speech_s = self._speech_s * _MEMORY_DECAY + _BLOCK_S
        self._prior_s *= _PRIOR_DECAY
        measured_dbov = 10 * math.log10(max(self._energy / self._speech_s, _FLOOR))
        weighted = self._prior_dbov * self._prior_s + measured_dbov * self._speech_s
        self.dbov = weighted / (self._prior_s + self._speech_s)


class Leveller:
    """24 kHz float32 in, as many samples out: `target_dbov` of active speech, peaks at most at -3 dBFS.

    `nominal_dbov` is the voice's usual level, from which the first gain is taken. The gain is within
    ±24 dB, moves at most 6 dB/s, and is interpolated from block to block. The limiter sees each block
    before the one ahead of it leaves, and turns the gain down along a ramp: no sample is ever clipped.
    So one block and an unfinished one are held until :meth:`flush`. Samples are finite.

    Raises UnsupportedFormat for a target outside -30 to -16 dBov.
    """

    def __init__(self, nominal_dbov: float = NOMINAL_DBOV, target_dbov: float = TARGET_DBOV) -> None:
        if not -30 <= target_dbov <= -16:
            raise UnsupportedFormat("target_dbov", target_dbov, "-30 to -16")
        self.target_dbov = target_dbov
        self._level = _ActiveLevel(nominal_dbov)
        self._gain_db = self._wanted_db()
        self._partial: NDArray[np.float32]
        self._held: NDArray[np.float32]  # (0 or 1, block samples)
        self._drop_audio()

    @property
    def active_dbov(self) -> float:
        """The voice's active speech level at the input, as far as it is known."""
        return self._level.dbov

    @property
    def gain_db(self) -> float:
        """The gain now, the limiter's share not counted."""
        return self._gain_db

    def push(self, chunk: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Take (samples,); answer what is final, [] if nothing is."""
        samples: NDArray[np.float32] = np.concatenate((self._partial, chunk))
        whole_samples = len(samples) - len(samples) % _BLOCK_SAMPLES
        self._partial = samples[whole_samples:].copy()
        return self._push_blocks(samples[:whole_samples].reshape(-1, _BLOCK_SAMPLES))

    def flush(self) -> list[NDArray[np.float32]]:
        """End the utterance: answer all that is held. The estimate stays, as the next one's prior."""
        partial_samples = len(self._partial)
        missing_samples = -partial_samples % _BLOCK_SAMPLES
        levelled = self.push(np.zeros(missing_samples, np.float32)) if missing_samples else []
        # No block follows the last one: its gain has no reason to move.
        last = self._held * np.float32(self._held_gain)
        levelled.append(last.reshape(-1)[: last.size - missing_samples])
        self.clear()
        return [each for each in levelled if len(each)]

    def clear(self) -> None:
        """Drop the audio held. The estimate stays: after barge-in the same voice goes on."""
        self._drop_audio()
        self._level.restart()

    def _drop_audio(self) -> None:
        self._partial = np.zeros(0, np.float32)
        self._held = np.zeros((0, _BLOCK_SAMPLES), np.float32)
        self._held_gain = 0.0
        self._held_peak = 0.0
        self._limit = 1.0

    def _push_blocks(self, blocks: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Level all blocks but the last, which is held until its successor's peak is known."""
        if not len(blocks):
            return []
        measures = zip(_powers(blocks), _peaks(blocks), strict=True)
        gains = [self._gain_at_start(power, peak) for power, peak in measures]
        if len(self._held):
            blocks = np.concatenate((self._held, blocks))
            gains.insert(0, self._held_gain)
        self._held = blocks[-1:].copy()
        self._held_gain = gains[-1]
        if len(blocks) == 1:
            return []
        starts = np.array(gains, np.float32)[:, None]
        ramps = starts[:-1] + (starts[1:] - starts[:-1]) * _RAMP  # (blocks, samples)
        return [(blocks[:-1] * ramps).reshape(-1)]

    def _gain_at_start(self, power: float, peak: float) -> float:
        """The gain where a block begins, which is where its predecessor's ramp ends: both must bear it."""
        self._level.observe(power)
        step_db = self._wanted_db() - self._gain_db
        self._gain_db += max(-_SLEW_DB, min(_SLEW_DB, step_db))
        gain = 10 ** (self._gain_db / 20)
        loudest = gain * max(peak, self._held_peak)
        self._held_peak = peak
        self._limit = min(1.0, self._limit * _RELEASE)
        if loudest * self._limit > _CEILING:
            self._limit = _CEILING / loudest
        return gain * self._limit

    def _wanted_db(self) -> float:
        return max(-MAX_GAIN_DB, min(MAX_GAIN_DB, self.target_dbov - self._level.dbov))


def _powers(blocks: NDArray[np.float32]) -> list[float]:
    """Mean square of each row, exact for samples rounded to 2**-20."""
    clipped = np.minimum(np.maximum(blocks, np.float32(-_POWER_PEAK)), np.float32(_POWER_PEAK))
    integers = np.rint(clipped * np.float32(_POWER_SCALE)).astype(np.float64)
    sums: NDArray[np.float64] = np.einsum("ij,ij->i", integers, integers)
    return [each / _FULL_POWER for each in sums.tolist()]


def _peaks(blocks: NDArray[np.float32]) -> list[float]:
    peaks: list[float] = np.maximum(blocks.max(axis=1), -blocks.min(axis=1)).tolist()
    return peaks
