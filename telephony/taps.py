"""Low-pass filters for the line rates, as integers: the taps of a linear-phase FIR, times 2**22.

Both are Parks-McClellan designs (scipy.signal.remez, stop band weighted 30 to 1), scaled to a gain of
one at 0 Hz and rounded; a test designs them again. Rounding alone lies 110 dB under the pass band.
"""

import numpy as np
from numpy.typing import NDArray

TAP_BITS = 22

# remez(121, [0, 3400, 3835, 4250, 4600, 12000], [1, 0, 0], weight=[1, 1, 130], fs=24000), the first half and
# the middle. Three bands, because a telephone needs three things: speech up to 3.4 kHz whole, nothing folded
# into it (from 4.6 kHz), and next to nothing in the top 200 Hz, where 3.8 to 4.2 kHz would meet itself.
# fmt: off
_TO_8K_HALF = (
    -605, -891, 18, 2937, 7046, 9673, 8004, 1831, -5184, -7660, -3038, 5370, 10240, 6349, -4128, -12441,
    -10492, 1436, 13732, 15138, 2963, -13404, -19667, -9045, 10835, 23295, 16523, -5532, -25115, -24829,
    -2799, 24151, 33107, 14195, -19422, -40218, -28381, 9997, 44773, 44781, 5019, -45102, -62534, -26594,
    39125, 80533, 56105, -23955, -97579, -96468, -5607, 112420, 155570, 62418, -123958, -262365, -197197,
    131266, 626195, 1071373, 1249884,
)
# fmt: on

# remez(193, [0, 7200, 8400, 24000], [1, 0], weight=[1, 30], fs=48000), twice as high: every other sample
# at 48 kHz is zero when the input has 24 kHz.
# fmt: off
_TO_16K_HALF = (
    36, -175, -495, -790, -763, -276, 425, 799, 447, -441, -1098, -799, 388, 1468, 1310, -217, -1871, -1990,
    -115, 2272, 2848, 657, -2630, -3890, -1459, 2892, 5112, 2575, -2994, -6498, -4056, 2859, 8017, 5950,
    -2401, -9623, -8301, 1519, 11251, 11140, -108, -12816, -14490, -1949, 14212, 18359, 4776, -15312,
    -22738, -8500, 15964, 27601, 13258, -15992, -32904, -19194, 15192, 38583, 26463, -13326, -44557, -35245,
    10111, 50728, 45758, -5204, -56984, -58286, -1833, 63202, 73232, 11587, -69250, -91207, -24907, 74993,
    113207, 43115, -80298, -140968, -68471, 85039, 177796, 105284, -89094, -230709, -163004, 92364, 317459,
    267316, -94763, -498738, -521102, 96228, 1200274, 2262737, 2700658,
)
# fmt: on


def _mirrored(half: tuple[int, ...]) -> NDArray[np.int64]:
    return np.array((*half, *half[-2::-1]), dtype=np.int64)


TO_8K = _mirrored(_TO_8K_HALF)
"""(121,) at 24 kHz: level within 0.2 dB to 3.4 kHz, down 27 dB at 3.8 kHz and 81 dB from 4.6; 2.5 ms late."""

TO_16K = _mirrored(_TO_16K_HALF)
"""(193,) at 48 kHz: passes 7.2 kHz within 0.01 dB, stops 96 dB from 8.4 kHz, delays by 2 ms."""
