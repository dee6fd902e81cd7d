"""Any audio file to what makes a voice: decoded by PyAV to mono at 24 kHz, enrolled, and its level told."""

import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from engines.contract import Samples
from engines.errors import InvalidRequest
from engines.rates import SAMPLE_RATE_HZ
from engines.voices.loudness import TARGET_LUFS, loudness_lufs
from engines.voices.resample import resample
from telephony.level import Leveller

MAX_DECODED_S = 31
"""Decoding ends here: no recording may be longer than 30 s, and a small file can hold days."""

# ffmpeg's names. Without the list it takes playlists too, and opens what they name: files of this machine
# beside our own, for one. It opens those past PyAV's io_open, so this list is what keeps them shut.
_FORMATS = "wav,w64,aiff,au,caf,flac,ogg,mp3,aac,mov,matroska,amr,asf"
_RATES_HZ = range(8_000, 192_001)
_MAX_DAMAGED_PACKETS = 8
_SETTLING_S = 2  # of the meter


def enroll_recording(content: bytes, enroll: Callable[[Samples], Any]) -> tuple[Any, float]:
    """The conditioning that ``enroll`` makes of an audio file, and the level in dBov of its voice.

    Seconds of work. Raises InvalidRequest for what is no recording of a voice.
    """
    recording = decode_recording(content)
    conditioning = enroll(recording)
    origin = {**conditioning.origin, "recording_sha256": hashlib.sha256(content).hexdigest()}
    return replace(conditioning, origin=origin), spoken_dbov(recording)


def decode_recording(content: bytes) -> Samples:
    """The first audio track, its channels averaged: (n,), of at most MAX_DECODED_S.

    Raises InvalidRequest (field `file`) for what is no audio, BackendUnavailable without soxr.
    """
    import av  # 60 ms to import: paid by those who ask for it

    options = {"format_whitelist": _FORMATS}
    try:
        with av.open(io.BytesIO(content), metadata_errors="replace", options=options) as file:
            rate_hz, samples = _decode(file)
    except (av.error.FFmpegError, IndexError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _refused(content, f"is no audio that can be decoded ({reason.lower()})") from None
    if not samples.size:
        raise _refused(content, "holds no audio")
    return resample(samples, rate_hz, SAMPLE_RATE_HZ)


def spoken_dbov(recording: Samples) -> float:
    """An estimate of the level at which a voice made of this recording speaks (active speech, ITU-T P.56).

    Enrolment brings the recording to TARGET_LUFS and the model speaks about as loud as what it was given;
    so it is the recording's own level there. Each call's leveller corrects what is left.
    """
    meter = Leveller()
    levels = []
    for start in range(0, len(recording), SAMPLE_RATE_HZ):
        meter.push(recording[start : start + SAMPLE_RATE_HZ])
        levels.append(meter.active_dbov)
    active_dbov = float(np.mean(levels[_SETTLING_S:] or levels[-1:]))
    return round(active_dbov + TARGET_LUFS - loudness_lufs(recording), 1)


def _decode(file: Any) -> tuple[int, Samples]:
    track = file.streams.audio[0]
    rate_hz = track.rate
    if rate_hz not in _RATES_HZ:
        raise ValueError(f"its rate is {rate_hz} Hz")
    pieces: list[Samples] = [np.zeros(0, np.float32)]
    missing_samples = MAX_DECODED_S * rate_hz
    for piece in _mono(file, track):
        pieces.append(piece[:missing_samples])
        missing_samples -= len(pieces[-1])
        if not missing_samples:
            break
    return rate_hz, np.concatenate(pieces)


def _mono(file: Any, track: Any) -> Iterator[Samples]:
    import av

    planes = av.AudioResampler(format="fltp")  # rate and channels stay as they are
    damaged_packets = 0
    for packet in file.demux(track):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:  # as players do: one packet is not the recording
            damaged_packets += 1
            if damaged_packets > _MAX_DAMAGED_PACKETS:
                raise
            continue
        for frame in frames:
            for converted in planes.resample(frame):
                yield converted.to_ndarray().mean(axis=0, dtype=np.float32)


def _refused(content: bytes, reason: str) -> InvalidRequest:
    return InvalidRequest("file", f"{len(content)} bytes", reason)
