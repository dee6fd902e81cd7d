"""Pure: what a caller hears of 24 kHz speech, through our own line encoder and mu-law."""

import numpy as np
from numpy.typing import NDArray

from telephony.encoder import LineEncoder
from telephony.format import AudioFormat, Encoding
from telephony.g711 import decode_mulaw

PHONE_HZ = 8_000


def through_phone(samples_24k: NDArray[np.float32]) -> NDArray[np.int16]:
    """(n,) at 24 kHz, levelled, at 8 kHz, to mu-law and back: whole frames of 20 ms at 8 kHz."""
    encoder = LineEncoder(AudioFormat(Encoding.MULAW, PHONE_HZ))
    payloads = [*encoder.push(samples_24k), *encoder.flush()]
    return decode_mulaw(np.frombuffer(b"".join(payloads), np.uint8))
