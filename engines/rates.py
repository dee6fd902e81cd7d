"""The numbers of the model's clock: each is typed once here and derived everywhere else.

1 mel frame = 480 samples at 24 kHz = 20 ms; 1 speech token = 2 mel frames = 40 ms.
"""

from math import prod

SAMPLE_RATE_HZ = 24_000
"""Every AudioChunk is mono float32 at this rate."""

VOCODER_STRIDES = (8, 5, 3, 4)
"""Upsampling of HiFT: three transposed convolutions, then the ISTFT's hop."""

HOP_SAMPLES = prod(VOCODER_STRIDES)
MEL_HZ = SAMPLE_RATE_HZ // HOP_SAMPLES
MEL_FRAMES_PER_TOKEN = 2
TOKEN_HZ = MEL_HZ // MEL_FRAMES_PER_TOKEN
TOKEN_SAMPLES = HOP_SAMPLES * MEL_FRAMES_PER_TOKEN

LOOKAHEAD_TOKENS = 3
"""Later tokens that S3Gen's encoder reads before its newest output is final."""

MAX_LOOKAHEAD_TOKENS = 10
"""No synthesizer may ask for more: lanes are given room for it."""

SPEECH_CODES = 6_561
START_TOKEN = SPEECH_CODES
STOP_TOKEN = SPEECH_CODES + 1

NS_PER_SECOND = 1_000_000_000


def samples_to_ns(samples: int) -> int:
    """How long ``samples`` at 24 kHz sound."""
    return samples * NS_PER_SECOND // SAMPLE_RATE_HZ
