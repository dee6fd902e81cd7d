"""Audio whose onset is known: silence, then a tone, in every encoding."""

import numpy as np

from telephony.format import AudioFormat, Encoding
from telephony.g711 import encode_alaw, encode_mulaw


def silence_then_tone(audio_format: AudioFormat, silence_ms: int, tone_ms: int) -> bytes:
    """Encoded samples. The first sample of the tone is at its peak, so that it is the onset."""
    silent = np.zeros(audio_format.rate_hz * silence_ms // 1000, np.int16)
    phase = np.arange(audio_format.rate_hz * tone_ms // 1000) * (2 * np.pi * 500 / audio_format.rate_hz)
    pcm = np.concatenate((silent, (8000 * np.cos(phase)).astype(np.int16)))
    if audio_format.encoding is Encoding.MULAW:
        return encode_mulaw(pcm).tobytes()
    return encode_alaw(pcm).tobytes() if audio_format.encoding is Encoding.ALAW else pcm.tobytes()
