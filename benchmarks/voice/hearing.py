"""The listener: pocketsphinx's own English model on what comes out of the telephone, in processes of its own.

CMU PocketSphinx (Huggins-Daines et al., 2006) is far behind people and behind neural recognisers. It is
used because it comes whole in one package and gives the same words for the same audio everywhere.
"""

import hashlib
from concurrent.futures import Future, ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.voice.errors import ListenerMissing
from benchmarks.voice.phone import PHONE_HZ
from engines.voices.resample import resample

HEARING_HZ = 16_000
"""What the acoustic model was trained at; nothing comes back above the telephone's 4 kHz."""

Heard = Future[str]


class Ears(Protocol):
    """Who hears."""

    def hear(self, pcm_8k: NDArray[np.int16], /) -> Heard: ...


class Listener:
    """Hears many utterances at once, and the same audio only once."""

    def __init__(self, jobs: int) -> None:
        """Raises ListenerMissing without pocketsphinx."""
        self.details = describe()
        # Spawned: a fork would copy the threads' locks of whichever runtime speaks meanwhile.
        self._pool = ProcessPoolExecutor(jobs, get_context("spawn"), initializer=_open)
        self._heard: dict[bytes, Heard] = {}

    def hear(self, pcm_8k: NDArray[np.int16]) -> Heard:
        """The words of (n,) at 8 kHz, soon."""
        key = hashlib.sha256(pcm_8k.tobytes()).digest()
        if key not in self._heard:
            self._heard[key] = self._pool.submit(transcribe, pcm_8k)
        return self._heard[key]

    def __enter__(self) -> "Listener":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=error is not None)


def describe() -> dict[str, str]:
    """Which listener it is. Raises ListenerMissing."""
    _runtime()
    return {
        "listener": "pocketsphinx",
        "version": version("pocketsphinx"),
        "model": "en-us",
        "settings": "default",
    }


def transcribe(pcm_8k: NDArray[np.int16]) -> str:
    """The words that are heard in (n,) at 8 kHz; of a second of silence it may make a short one."""
    wide = resample((pcm_8k / 32_768).astype(np.float32), PHONE_HZ, HEARING_HZ)
    pcm = np.rint(wide * 32_768).clip(-32_768, 32_767).astype("<i2")
    decoder = _decoder or _open()
    decoder.start_utt()
    if len(pcm):
        decoder.process_raw(pcm.tobytes(), full_utt=True)  # all at once: its mean is that of the utterance
    decoder.end_utt()
    found = decoder.hyp()
    return str(found.hypstr) if found else ""


_decoder: Any = None  # of this process


def _open() -> Any:
    global _decoder
    if _decoder is None:
        _decoder = _runtime().Decoder(loglevel="FATAL")
    return _decoder


def _runtime() -> Any:
    try:
        import pocketsphinx
    except ImportError as error:
        raise ListenerMissing(f"pocketsphinx is not installed ({error}): install talkspurt[judge]") from None
    return pocketsphinx
