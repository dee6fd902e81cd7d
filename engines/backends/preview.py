"""A formant voice with no model and no GPU: espeak-ng, cut into speech tokens of 40 ms.

It walks the very lanes a neural voice does, so that a phone line can be wired and load-tested
anywhere: prefill speaks a segment into memory, each decode step yields the next token, each
window its samples. espeak-ng is GPL-3; this file alone imports it, through the extra `preview`.
"""

import ctypes
from _ctypes import dlclose
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import gcd
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.backends.base import (
    Backend,
    SynthResult,
    SynthWindow,
    TokenRow,
    TokenStart,
    TokenStarted,
    Voice,
)
from engines.config import EngineConfig
from engines.contract import DEFAULT_VOICE, Samples
from engines.errors import BackendUnavailable
from engines.rates import SAMPLE_RATE_HZ, SPEECH_CODES, STOP_TOKEN, TOKEN_SAMPLES

# espeak-ng/speak_lib.h
_SYNCHRONOUS = 2  # espeak_AUDIO_OUTPUT: espeak_Synth returns when the audio has been called back
_CHARACTERS = 1  # espeak_POSITION_TYPE
_UTF8 = 1  # flags of espeak_Synth
_ALL_OK = 0  # espeak_ERROR

_VOICES = {
    DEFAULT_VOICE: ("en-us", "American English, espeak-ng"),
    "preview-gb": ("en", "British English, espeak-ng"),
    "preview-scotland": ("en-gb-scotland", "Scottish English, espeak-ng"),
    "preview-low": ("en-us+m3", "American English, lower, espeak-ng"),
    "preview-high": ("en-us+f3", "American English, higher, espeak-ng"),
}

_NOMINAL_DBOV = -20.0  # measured over a minute of en-us
_PAUSE_TOKENS = 5  # espeak ends with the last sound; a sentence ends with a breath
_AUDIBLE = 0.01  # -40 dBov: espeak's lead-in below this is cut, so that first audio is heard

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def open_backend(config: EngineConfig | None = None) -> Backend:
    """Raises BackendUnavailable when espeak-ng is not installed or does not initialise."""
    espeak = Espeak()
    voices = {
        name: Voice(name, description, _NOMINAL_DBOV, conditioning)
        for name, (conditioning, description) in _VOICES.items()
    }
    return Backend(
        name="preview",
        tokens=PreviewTokens(espeak.speak),
        synthesizer=PreviewSynthesizer(),
        voices=voices,
        max_token_rows=512,
        max_prefill_rows=2,  # speaking a segment takes milliseconds: keep a step short
        max_window_rows=64,
    )


class PreviewTokens:
    """A token model whose tokens count 40 ms pieces of audio already spoken."""

    def __init__(self, speak: Callable[[str, str], Samples]) -> None:
        self._speak = speak

    def start(self, rows: Sequence[TokenStart]) -> list[TokenStarted]:
        waves = [self._speak(row.text, row.voice.conditioning) for row in rows]
        return [TokenStarted(wave, _token(wave, 0)) for wave in waves]

    def step(self, rows: Sequence[TokenRow]) -> list[int]:
        return [_token(row.state, row.position) for row in rows]

    def stop(self, slot: int, state: Any) -> None:
        """Nothing to give back: the wave goes with the utterance that owns it."""


class PreviewSynthesizer:
    """Cuts a window's samples out of the wave that its tokens count."""

    def synthesize(self, windows: Sequence[SynthWindow]) -> list[SynthResult]:
        return [SynthResult(_cut(window), None) for window in windows]


def _token(wave: Samples, position: int) -> int:
    return position % SPEECH_CODES if position * TOKEN_SAMPLES < len(wave) else STOP_TOKEN


def _cut(window: SynthWindow) -> Samples:
    first = (window.first_token + window.left_context_tokens) * TOKEN_SAMPLES
    wave: Samples = window.token_state
    return wave[first : first + window.new_tokens * TOKEN_SAMPLES]


_ESPEAK_TURN = Lock()
"""espeak-ng's state is the process's: however many engines speak, one has it loaded at a time."""


class Espeak:
    """espeak-ng, loaded afresh for each text.

    It carries flutter and phase over from one text to the next, past every call that resets it.
    Loading costs 3 ms and makes the audio a function of text and voice alone.
    """

    def __init__(self) -> None:
        """Raises BackendUnavailable when espeak-ng is missing, does not load or refuses its data."""
        try:
            import espeakng_loader
        except ImportError as error:
            message = "backend 'preview' needs espeak-ng: install talkspurt[preview]"
            raise BackendUnavailable(message) from error
        try:
            self._path = espeakng_loader.get_library_path()
            self._data_path = espeakng_loader.get_data_path().encode()
            with _ESPEAK_TURN, self._loaded():
                pass  # it does load and take its data
        except (OSError, RuntimeError) as error:
            raise BackendUnavailable(f"backend 'preview': {error}") from error

    def speak(self, text: str, voice: str) -> Samples:
        """24 kHz audio of ``text`` from its first audible sample on. Raises RuntimeError on refusal."""
        pieces: list[bytes] = []

        def collect(samples: Any, count: int, events: Any) -> int:
            if samples and count > 0:
                pieces.append(ctypes.string_at(samples, 2 * count))
            return 0

        callback = _Callback(collect)  # a name keeps it alive: C holds only its address
        encoded = text.encode() + b"\0"
        with _ESPEAK_TURN, self._loaded() as (library, rate_hz):
            library.espeak_SetSynthCallback(callback)
            _check("espeak_SetVoiceByName", library.espeak_SetVoiceByName(voice.encode()))
            status = library.espeak_Synth(encoded, len(encoded), 0, _CHARACTERS, 0, _UTF8, None, None)
            _check("espeak_Synth", status)
        wave = _without_lead_in(_resample(np.frombuffer(b"".join(pieces), np.int16), rate_hz))
        return np.pad(wave, (0, _PAUSE_TOKENS * TOKEN_SAMPLES)) if len(wave) else wave

    @contextmanager
    def _loaded(self) -> Iterator[tuple[ctypes.CDLL, int]]:
        """The library and its sample rate."""
        library = ctypes.CDLL(self._path)
        try:
            rate_hz: int = library.espeak_Initialize(_SYNCHRONOUS, 0, self._data_path, 0)
            if rate_hz <= 0:
                raise RuntimeError(f"espeak-ng refused its data at {self._data_path.decode()}")
            yield library, rate_hz
            library.espeak_Terminate()
        finally:
            dlclose(library._handle)


def _check(call: str, status: int) -> None:
    if status != _ALL_OK:
        raise RuntimeError(f"{call} answered {status}")


def _resample(pcm: NDArray[np.int16], rate_hz: int) -> Samples:
    """To 24 kHz floats by the Fourier transform: exact for a whole segment, which is all there is here."""
    divisor = gcd(rate_hz, SAMPLE_RATE_HZ)
    block = rate_hz // divisor
    blocks = _quick(len(pcm) // block + 2)  # ends in silence: the ends must not wrap round
    padded = np.zeros(blocks * block, np.float32)
    padded[: len(pcm)] = pcm
    resampled = np.fft.irfft(np.fft.rfft(padded), blocks * (SAMPLE_RATE_HZ // divisor))
    resampled *= SAMPLE_RATE_HZ / rate_hz / 32_768
    return resampled[: len(pcm) * SAMPLE_RATE_HZ // rate_hz].astype(np.float32, copy=False)


def _quick(length: int) -> int:
    """The next length of four binary digits and zeros: large prime factors make a transform slow."""
    step = 1 << max(0, length.bit_length() - 4)
    return -(-length // step) * step


def _without_lead_in(wave: Samples) -> Samples:
    audible = np.flatnonzero(np.abs(wave) > _AUDIBLE)
    return wave[audible[0] :] if len(audible) else wave[:0]
