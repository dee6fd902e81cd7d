"""One voice, one file: `NAME.safetensors`, the conditioning's tensors and what is said of them.

A file is written whole or not at all, and read strictly: whatever is in it, reading gives a voice or
ConfigError. It is read into memory, never mapped: a mapped file that another process cuts short takes
the whole process down.
"""

import contextlib
import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.backends.base import Voice
from engines.contract import DEFAULT_VOICE
from engines.errors import BackendUnavailable, ConfigError, InvalidRequest
from engines.model import MAX_S3_PROMPT_TOKENS, MEL_BANDS, TURBO, ModelConfig
from engines.rates import MEL_FRAMES_PER_TOKEN, SPEECH_CODES
from engines.voices.conditioning import Conditioning

SUFFIX = ".safetensors"
SHIPPED_FOLDER = "voices"
"""In a model's folder: the voices that come with it."""

FORMAT = "1"
MAX_FILE_BYTES = 4 << 20
"""A voice is some 170 KB."""

MAX_HEADER_BYTES = 64 << 10
MAX_DESCRIPTION_CHARS = 200

_LENGTH_BYTES = 8  # of the header, ahead of it: little-endian
_NAME = re.compile(r"[a-z0-9_][a-z0-9_-]{0,63}")
# Windows opens a device by these, whatever their extension.
_DEVICES = {"con", "prn", "aux", "nul"} | {f"{port}{digit}" for port in ("com", "lpt") for digit in range(10)}

_DTYPES = {"F32": np.float32, "I64": np.int64}
_TENSORS = {
    "speaker": ("F32", 1),
    "t3_prompt": ("I64", 1),
    "s3_prompt": ("I64", 1),
    "s3_prompt_mel": ("F32", 2),
    "embedding": ("F32", 1),
}
"""dtype and number of axes of each tensor, named as Conditioning's parts."""


@dataclass(frozen=True, slots=True)
class VoiceLabel:
    """What is said of a voice; reading it reads no tensor."""

    description: str
    nominal_dbov: float
    created: str | None = None  # ISO 8601; None: built in
    origin: Mapping[str, Any] = field(default_factory=dict)  # Conditioning.origin


def check_name(name: str) -> str:
    """The name itself, when it is one on every file system. Raises InvalidRequest (field `name`)."""
    if not _NAME.fullmatch(name):
        raise InvalidRequest("name", name, "must be 1 to 64 of a-z, 0-9, _ and -, the first not -")
    if name in _DEVICES:
        raise InvalidRequest("name", name, "is a device's name on Windows; take another")
    return name


def is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and name not in _DEVICES


def check_description(description: str) -> str:
    """The description itself, when it is one line. Raises InvalidRequest (field `description`)."""
    if len(description) > MAX_DESCRIPTION_CHARS or not description.isprintable():
        reason = f"must be one line of at most {MAX_DESCRIPTION_CHARS} characters"
        raise InvalidRequest("description", description, reason)
    return description


def write_voice(path: Path, voice: Voice, created: str, replace: bool = False) -> None:
    """Write a voice whole or not at all. The folder must be there.

    Raises FileExistsError unless ``replace``, ConfigError for a conditioning that could not be read
    back, and OSError.
    """
    save = _safetensors().save
    conditioning: Conditioning = voice.conditioning
    tensors = {name: np.ascontiguousarray(getattr(conditioning, name)) for name in _TENSORS}
    metadata = {
        "format": FORMAT,
        "description": voice.description,
        "nominal_dbov": repr(float(voice.nominal_dbov)),
        "created": created,
        "origin": json.dumps(conditioning.origin),
    }
    content: bytes = save(tensors, metadata)
    _parse_voice(path, content, None)
    _write_whole(path, content, replace)


def read_voice(path: Path, model: ModelConfig | None = None) -> Voice:
    """The voice, named by its file; where ``model`` is given, one that this model can speak with.

    Raises ConfigError naming the file and what is wrong in it; FileNotFoundError.
    """
    return _parse_voice(path, _content(path, MAX_FILE_BYTES + 1), model)


def shipped_voices(model_folder: Path) -> tuple[str, ...]:
    """The files of the voices that come with a model, from its folder on, the default one first."""
    there = sorted(model_folder.glob(f"{SHIPPED_FOLDER}/*{SUFFIX}"))
    there.sort(key=lambda path: path.stem != DEFAULT_VOICE)
    return tuple(path.relative_to(model_folder).as_posix() for path in there)


def read_label(path: Path) -> VoiceLabel:
    """What is said of a voice, without its tensors. Raises as `read_voice`, for what it has read."""
    header = _header(path, _content(path, _LENGTH_BYTES + MAX_HEADER_BYTES))
    _check_tensors(path, header)
    return _label(path, header)


def _parse_voice(path: Path, content: bytes, model: ModelConfig | None) -> Voice:
    if len(content) > MAX_FILE_BYTES:
        raise _wrong(path, f"is larger than {MAX_FILE_BYTES} bytes")
    header = _header(path, content)
    _check_tensors(path, header)
    label = _label(path, header)
    library = _safetensors()
    try:
        tensors: dict[str, NDArray[Any]] = library.load(content)
    except Exception as error:  # its own errors are of many kinds, and only the file can be at fault
        raise _wrong(path, f"is not a safetensors file: {error}") from None
    _check_values(path, tensors, model)
    conditioning = Conditioning(**{name: tensors[name] for name in _TENSORS}, origin=dict(label.origin))
    return Voice(path.stem, label.description, label.nominal_dbov, conditioning)


def _header(path: Path, content: bytes) -> dict[str, Any]:
    """The JSON ahead of the tensors: theirs by name, and `__metadata__`."""
    header_bytes = int.from_bytes(content[:_LENGTH_BYTES], "little")
    if header_bytes > MAX_HEADER_BYTES or len(content) < _LENGTH_BYTES + header_bytes:
        raise _wrong(path, "is not a safetensors file: its header is cut short or too long")
    try:
        header = json.loads(content[_LENGTH_BYTES : _LENGTH_BYTES + header_bytes])
    except (ValueError, RecursionError):
        raise _wrong(path, "is not a safetensors file: its header is not JSON") from None
    if not isinstance(header, dict):
        raise _wrong(path, "is not a safetensors file: its header is not an object")
    return header


def _check_tensors(path: Path, header: Mapping[str, Any]) -> None:
    """Each tensor is there, of its dtype and number of axes, and no other is."""
    for name in header.keys() - _TENSORS.keys() - {"__metadata__"}:
        raise _wrong(path, f"{name!r:.40} is no part of a voice")
    for name, (dtype, axes) in _TENSORS.items():
        told = header.get(name)
        if not isinstance(told, dict):
            raise _wrong(path, f"{name} is missing")
        shape = told.get("shape")
        if told.get("dtype") != dtype or not isinstance(shape, list) or len(shape) != axes:
            found = f"{told.get('dtype')!r:.20} of shape {shape!r:.40}"
            raise _wrong(path, f"{name} must be {dtype} of {axes} axes, not {found}")


def _label(path: Path, header: Mapping[str, Any]) -> VoiceLabel:
    said = header.get("__metadata__")
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise _wrong(path, f"format must be {FORMAT!r}: it is no voice, or one of a later version")
    try:
        nominal_dbov = float(said["nominal_dbov"])
        created = datetime.fromisoformat(said["created"]).isoformat()
        origin = json.loads(said["origin"])
        json.dumps(origin, ensure_ascii=False, allow_nan=False).encode()  # it can be shown
        label = VoiceLabel(check_description(said["description"]), nominal_dbov, created, origin)
    except (KeyError, TypeError, ValueError, RecursionError, InvalidRequest) as error:
        raise _wrong(path, f"its metadata is wrong: {error}") from None
    if not isinstance(origin, dict):
        raise _wrong(path, "origin must be an object")
    if not -100 <= nominal_dbov <= 0:
        raise _wrong(path, f"nominal_dbov must be -100 to 0, not {nominal_dbov}")
    return label


def _check_values(path: Path, tensors: Mapping[str, NDArray[Any]], model: ModelConfig | None) -> None:
    for name, tensor in tensors.items():
        if not tensor.size:
            raise _wrong(path, f"{name} is empty")
        if tensor.dtype == np.float32 and not np.isfinite(tensor).all():
            raise _wrong(path, f"{name} holds values that are not finite")
    codes = SPEECH_CODES if model is None else model.codes
    most_t3 = (model or TURBO).t3.prompt_tokens
    for name, most_tokens in (("t3_prompt", most_t3), ("s3_prompt", MAX_S3_PROMPT_TOKENS)):
        if len(tensors[name]) > most_tokens:
            raise _wrong(path, f"{name} has {len(tensors[name])} codes; at most {most_tokens} are heard")
        if tensors[name].min() < 0 or tensors[name].max() >= codes:
            raise _wrong(path, f"{name} holds codes outside 0 to {codes - 1}")
    mel_frames = MEL_FRAMES_PER_TOKEN * len(tensors["s3_prompt"])
    wanted: dict[str, tuple[int, ...]] = {"s3_prompt_mel": (mel_frames, MEL_BANDS)}
    if model is not None:
        wanted |= {"speaker": (model.t3.speaker_width,), "embedding": (model.xvector.width,)}
    for name, shape in wanted.items():
        if tensors[name].shape != shape:
            raise _wrong(path, f"{name} must be of shape {shape}, not {tensors[name].shape}")


def _content(path: Path, most_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(most_bytes)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _wrong(path, f"cannot be read: {error.strerror}") from None


def _write_whole(path: Path, content: bytes, replace: bool) -> None:
    """Under another name first, so that no reader and no crash meets a part of it."""
    written = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with written.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _take_name(written, path, replace)
    finally:
        written.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not every file system lets a folder be synced
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _take_name(written: Path, path: Path, replace: bool) -> None:
    if not replace:
        try:
            return os.link(written, path)  # unlike a rename, it fails when another process was first
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            if path.exists():
                raise FileExistsError(str(path)) from None
    os.replace(written, path)


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise BackendUnavailable("voices need safetensors: install talkspurt[onnx]") from None
    return safetensors.numpy


def _wrong(path: Path, reason: str) -> ConfigError:
    return ConfigError("voice", path.name, reason)
