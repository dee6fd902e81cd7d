"""Recordings in any container: a tone in each channel, encoded by PyAV."""

import io
from typing import Any, cast

import av
import numpy as np

TONE_HZ = 440
CHANNEL_AMPLITUDE = 0.1
"""Of the first channel; the second has twice that, and so on."""

_CHANNELS = {"mono": 1, "stereo": 2, "5.1": 6}


def recording(
    seconds: float = 6.0,
    container: str = "wav",
    codec: str = "pcm_s16le",
    rate_hz: int = 24_000,
    layout: str = "mono",
    metadata: dict[str, str] | None = None,
) -> bytes:
    body = io.BytesIO()
    with av.open(body, "w", format=container) as output:
        output.metadata.update(metadata or {})
        track: Any = output.add_stream(cast(Any, codec), rate=rate_hz, layout=layout)
        at = np.arange(round(rate_hz * seconds))
        tone = np.sin(2 * np.pi * TONE_HZ / rate_hz * at)
        scales = CHANNEL_AMPLITUDE * (1 + np.arange(_CHANNELS[layout]))
        frame = av.AudioFrame.from_ndarray(
            (scales[:, None] * tone).astype(np.float32), format="fltp", layout=layout
        )
        frame.sample_rate = rate_hz
        context = track.codec_context
        cutter = av.AudioResampler(context.format, layout, rate_hz, frame_size=context.frame_size)
        for piece in [*cutter.resample(frame), *cutter.resample(None), None]:
            output.mux(track.encode(piece))
    return body.getvalue()
