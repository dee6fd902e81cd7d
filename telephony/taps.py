"""Low-pass filters for the line rates, as integers: the taps of a linear-phase FIR, times 2**22.

Both are Parks-McClellan designs (scipy.signal.remez, stop band weighted 30 to 1), scaled to a gain of
exactly one at 0 Hz and rounded; a test designs them again. Rounding alone lies 110 dB under the pass band.
"""

import numpy as np
from numpy.typing import NDArray

TAP_BITS = 22

# remez(121, [0, 3400, 4400, 12000], [1, 0], weight=[1, 30], fs=24000), the first half and the middle.
# fmt: off
_TO_8K_HALF = (
    92, 183, 164, -82, -472, -679, -373, 382, 986, 721, -482, -1680, -1557, 259, 2423, 2729, 233, -3302,
    -4435, -1244, 4157, 6700, 2936, -4867, -9596, -5551, 5210, 13125, 9335, -4915, -17262, -14573, 3624,
    21925, 21583, -884, -26983, -30758, -3895, 32259, 42638, 11540, -37539, -58085, -23323, 42583, 78689,
    41504, -47143, -107846, -70869, 50982, 154275, 124265, -53890, -248130, -253077, 55704, 602042, 1126300,
    1342192,
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
"""(121,) at 24 kHz: passes 3.4 kHz within 0.01 dB, stops 99 dB from 4.4 kHz, delays by 2.5 ms."""

TO_16K = _mirrored(_TO_16K_HALF)
"""(193,) at 48 kHz: passes 7.2 kHz within 0.01 dB, stops 96 dB from 8.4 kHz, delays by 2 ms."""
