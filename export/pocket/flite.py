"""Flite through its C library: speech with the phones, words and pitch it was made of.

CMU Flite (Black and Lenzo, 2001), voices `rms` and `awb`: statistical parametric speech at 16 kHz.
Loaded in process, because starting the program takes longer than most sentences.
"""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

FLITE_HZ = 16_000
PITCH_HZ = 200
"""Flite's own frames: 5 ms."""

VOICES = ("rms", "awb")
PAUSE = "pau"


@dataclass(frozen=True, slots=True)
class Phone:
    """One phone, and which blank-separated word of the text it belongs to; None for a pause."""

    name: str
    stressed: bool
    end_s: float
    word: int | None


@dataclass(frozen=True, slots=True)
class Spoken:
    """A text as flite says it."""

    samples: NDArray[np.int16]  # at 16 kHz
    pitch_hz: NDArray[np.float32]  # 200 a second; 0 where there is no voice
    phones: tuple[Phone, ...]
    words: int


class FliteMissing(Exception):
    """Flite's libraries are not installed: Debian's package is `flite`."""


def speak(text: str, voice: str) -> Spoken:
    """Say ``text``, one sentence of plain words. Raises FliteMissing."""
    flite = _library()
    flite.seed(1)  # its excitation has noise in it, of the C library's generator
    utterance = flite.synthesise(text.encode("ascii"), flite.voices[voice])
    try:
        return Spoken(*_audio(flite, utterance), *_phones(flite, utterance))
    finally:
        flite.delete(utterance)


class _Wave(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_char_p),
        ("sample_rate", ctypes.c_int),
        ("num_samples", ctypes.c_int),
        ("num_channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    )


class _Track(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_char_p),
        ("num_frames", ctypes.c_int),
        ("num_channels", ctypes.c_int),
        ("times", ctypes.POINTER(ctypes.c_float)),
        ("frames", ctypes.POINTER(ctypes.POINTER(ctypes.c_float))),
    )


class _Flite:
    """The functions of the library that are called, with their types."""

    def __init__(self) -> None:
        pointer, text = ctypes.c_void_p, ctypes.c_char_p
        try:
            library = ctypes.CDLL("libflite.so.1", mode=ctypes.RTLD_GLOBAL)
            voices = {name: ctypes.CDLL(f"libflite_cmu_us_{name}.so.1") for name in VOICES}
        except OSError as error:
            raise FliteMissing(f"{error}: install flite") from None

        def function(name: str, result: Any, *arguments: Any, of: ctypes.CDLL = library) -> Any:
            found = getattr(of, name)
            found.restype, found.argtypes = result, arguments
            return found

        function("flite_init", ctypes.c_int)()
        self.seed = function("srand", None, ctypes.c_uint, of=ctypes.CDLL(None))
        self.synthesise = function("flite_synth_text", pointer, text, pointer)
        self.delete = function("delete_utterance", None, pointer)
        self.wave = function("utt_wave", ctypes.POINTER(_Wave), pointer)
        self.feature = function("feat_val", pointer, pointer, text)
        self.track = function("val_track", ctypes.POINTER(_Track), pointer)
        self.relation = function("utt_relation", pointer, pointer, text)
        self.head = function("relation_head", pointer, pointer)
        self.next = function("item_next", pointer, pointer)
        self.item_at = function("path_to_item", pointer, pointer, text)
        self.text_of = function("ffeature_string", text, pointer, text)
        self.number_of = function("item_feat_float", ctypes.c_float, pointer, text)
        self.voices = {
            name: function(f"register_cmu_us_{name}", pointer, text, of=each)(None)
            for name, each in voices.items()
        }


@cache
def _library() -> _Flite:
    return _Flite()


def _audio(flite: _Flite, utterance: Any) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    wave = flite.wave(utterance).contents
    assert wave.sample_rate == FLITE_HZ, f"flite speaks at {wave.sample_rate} Hz"
    samples = np.ctypeslib.as_array(wave.samples, (wave.num_samples,)).copy()
    features = ctypes.cast(utterance, ctypes.POINTER(ctypes.c_void_p))[0]
    track = flite.track(flite.feature(features, b"param_track")).contents
    pitch_hz = np.array([track.frames[i][0] for i in range(track.num_frames)], np.float32)
    return samples, pitch_hz


def _phones(flite: _Flite, utterance: Any) -> tuple[tuple[Phone, ...], int]:
    words = {token: i for i, token in enumerate(_items(flite, utterance, b"Token"))}
    phones = []
    for segment in _items(flite, utterance, b"Segment"):
        token = flite.item_at(segment, b"R:SylStructure.parent.parent.R:Token.parent")
        stressed = flite.text_of(segment, b"R:SylStructure.parent.stress") == b"1"
        name = flite.text_of(segment, b"name").decode()
        phones.append(Phone(name, stressed, flite.number_of(segment, b"end"), words.get(token)))
    return tuple(phones), len(words)


def _items(flite: _Flite, utterance: Any, relation: bytes) -> Iterator[Any]:
    item = flite.head(flite.relation(utterance, relation))
    while item:
        yield item
        item = flite.next(item)
