"""The voices there are: built-in ones, and those in a folder as it is now.

The folder may be a mounted volume that other processes add to and remove from: each look sees its files
as they are, and nothing is kept of one that has changed. Whoever holds a Voice keeps it after its removal.
"""

import logging
import os
import stat
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from threading import Lock
from typing import Any

from engines.backends.base import Voice
from engines.contract import DEFAULT_VOICE
from engines.errors import ConfigError, InvalidRequest
from engines.model import ModelConfig
from engines.voices.conditioning import UNMEASURED_DBOV
from engines.voices.files import (
    SUFFIX,
    VoiceLabel,
    check_description,
    check_name,
    is_name,
    read_label,
    read_voice,
    write_voice,
)

log = logging.getLogger("talkspurt.voices")

_Stamp = tuple[int, int, int]  # modified (ns), bytes, inode: a file that has changed differs in one


class VoiceLibrary(Mapping[str, Voice]):
    """Named voices; any thread may use it. A file in the folder goes before a built-in voice of its name.

    Voices are read when they are first asked for, and those not asked for longest are dropped beyond
    ``most_loaded``. With ``model`` given, files that it could not speak with are refused.
    """

    def __init__(
        self,
        folder: Path | None,
        built_in: Mapping[str, Voice],
        model: ModelConfig | None = None,
        most_loaded: int = 64,
    ) -> None:
        self.folder = folder
        self._built_in = dict(built_in)
        self._model = model
        self._most_loaded = most_loaded
        self._lock = Lock()
        self._loaded: OrderedDict[str, tuple[_Stamp, Voice]] = OrderedDict()  # asked for last at the end
        self._labels: dict[str, tuple[_Stamp, VoiceLabel]] = {}
        self._broken: dict[str, tuple[_Stamp, str]] = {}  # and why

    def __getitem__(self, name: str) -> Voice:
        """Raises KeyError for an unknown voice, InvalidRequest for one whose file is broken."""
        stamp = self._stamp(name)
        if stamp is None:
            return self._built_in[name]
        with self._lock:
            kept = self._loaded.get(name)
            if kept is not None and kept[0] == stamp:
                self._loaded.move_to_end(name)
                return kept[1]
        try:
            voice = read_voice(self._path(name), self._model)
        except FileNotFoundError:  # removed meanwhile
            return self._built_in[name]
        except ConfigError as error:
            self._tell_broken(name, stamp, error)
            raise _unusable(name, error) from None
        self._keep(name, stamp, voice)
        return voice

    def __contains__(self, name: object) -> bool:
        """Whether this voice can be spoken with: its file is read for that."""
        try:
            return isinstance(name, str) and self[name] is not None
        except (KeyError, InvalidRequest):
            return False

    def __iter__(self) -> Iterator[str]:
        return iter(self.labels())

    def __len__(self) -> int:
        return len(self.labels())

    def labels(self) -> dict[str, VoiceLabel]:
        """Every voice there is, without reading tensors: built-in ones, then others by name.

        Broken files are left out, and logged once.
        """
        labels = {name: VoiceLabel(v.description, v.nominal_dbov) for name, v in self._built_in.items()}
        stamps = self._stamps()
        for name, stamp in sorted(stamps.items()):
            label = self._read_label(name, stamp)
            if label is not None:
                labels[name] = label
            else:
                labels.pop(name, None)  # what is built in is hidden by a file, broken or not
        with self._lock:
            for kept in (self._labels, self._broken, self._loaded):
                for name in kept.keys() - stamps.keys():
                    kept.pop(name, None)
        return labels

    @property
    def broken(self) -> dict[str, str]:
        """Files found to be no voices by looks so far, and why."""
        with self._lock:
            return {name: reason for name, (_, reason) in self._broken.items()}

    def label(self, name: str) -> VoiceLabel:
        """What is said of one voice. Raises as `self[name]`."""
        if self._stamp(name) is None:
            voice = self._built_in[name]
            return VoiceLabel(voice.description, voice.nominal_dbov)
        try:
            return read_label(self._path(name))
        except FileNotFoundError:
            raise KeyError(name) from None
        except ConfigError as error:
            raise _unusable(name, error) from None

    def is_taken(self, name: str) -> bool:
        """Whether adding this name takes ``replace``: a voice's, a broken file's, or the default's."""
        return name == DEFAULT_VOICE or name in self._built_in or self._stamp(name) is not None

    def is_built_in(self, name: str) -> bool:
        """Whether this voice comes with the model: it cannot be removed, and its file hides it."""
        return name in self._built_in and self._stamp(name) is None

    def add(
        self,
        name: str,
        conditioning: Any,
        description: str,
        nominal_dbov: float = UNMEASURED_DBOV,
        replace: bool = False,
    ) -> VoiceLabel:
        """Keep a voice in the folder, which is made where there is none.

        Raises InvalidRequest for a name or description that is none, FileExistsError for a name that
        is taken, unless ``replace``; ConfigError when the folder does not take it.
        """
        folder = self._own_folder()
        check_name(name)
        check_description(description)
        if not replace and self.is_taken(name):
            raise FileExistsError(name)
        voice = Voice(name, description, nominal_dbov, conditioning)
        created = datetime.now(timezone.utc).isoformat(timespec="seconds")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:  # a file in its place, too: not the FileExistsError that is told of
            raise _unwritable(folder, error) from None
        try:
            write_voice(self._path(name), voice, created, replace)
        except FileExistsError:
            raise
        except OSError as error:
            raise _unwritable(folder, error) from None
        self._forget(name)
        log.info("voice added", extra={"voice": name})
        return self.label(name)

    def remove(self, name: str) -> None:
        """Remove a voice's file, broken or not; one that is built in of the same name shows again.

        Raises KeyError for an unknown voice, InvalidRequest for a built-in one, ConfigError when the
        folder does not give it up.
        """
        if self.is_built_in(name):
            raise InvalidRequest("name", name, "is built in and cannot be removed")
        if self._stamp(name) is None:
            raise KeyError(name)
        try:
            self._path(name).unlink()
        except FileNotFoundError:
            raise KeyError(name) from None
        except OSError as error:
            raise _unwritable(self._own_folder(), error) from None
        self._forget(name)
        log.info("voice removed", extra={"voice": name})

    def _own_folder(self) -> Path:
        if self.folder is None:
            raise ConfigError("voices", None, "must be a folder, to keep voices in")
        return self.folder

    def _path(self, name: str) -> Path:
        return self._own_folder() / f"{name}{SUFFIX}"

    def _stamp(self, name: str) -> _Stamp | None:
        """Of the file that holds this voice now; None where there is none."""
        if self.folder is None or not is_name(name):
            return None
        try:
            return _stamp_of(os.stat(self._path(name)))
        except OSError:
            return None

    def _stamps(self) -> dict[str, _Stamp]:
        """Of every file of a voice's name in the folder."""
        if self.folder is None:
            return {}
        try:
            names = [each.removesuffix(SUFFIX) for each in os.listdir(self.folder) if each.endswith(SUFFIX)]
        except OSError:  # not made yet, or a volume that is away
            return {}
        stamps = {name: self._stamp(name) for name in names}
        return {name: stamp for name, stamp in stamps.items() if stamp is not None}

    def _read_label(self, name: str, stamp: _Stamp) -> VoiceLabel | None:
        """None for a broken file, which is told once."""
        with self._lock:
            broken, kept = self._broken.get(name), self._labels.get(name)
        if broken is not None and broken[0] == stamp:
            return None
        if kept is not None and kept[0] == stamp:
            return kept[1]
        try:
            label = read_label(self._path(name))
        except FileNotFoundError:
            return None
        except ConfigError as error:
            self._tell_broken(name, stamp, error)
            return None
        with self._lock:
            self._labels[name] = (stamp, label)
        return label

    def _keep(self, name: str, stamp: _Stamp, voice: Voice) -> None:
        with self._lock:
            self._loaded[name] = (stamp, voice)
            self._loaded.move_to_end(name)
            while len(self._loaded) > self._most_loaded:
                self._loaded.popitem(last=False)

    def _forget(self, name: str) -> None:
        with self._lock:
            for kept in (self._loaded, self._labels, self._broken):
                kept.pop(name, None)

    def _tell_broken(self, name: str, stamp: _Stamp, error: ConfigError) -> None:
        with self._lock:
            told = self._broken.get(name)
            self._broken[name] = (stamp, str(error))
        if told is None or told[0] != stamp:
            log.warning("broken voice", extra={"voice": name, "error": str(error)})


def _stamp_of(status: os.stat_result) -> _Stamp | None:
    """None for what is no file: to open a pipe would wait for its writer."""
    if not stat.S_ISREG(status.st_mode):
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _unwritable(folder: Path, error: OSError) -> ConfigError:
    return ConfigError("voices", str(folder), f"cannot be written to: {error.strerror}")


def _unusable(name: str, error: ConfigError) -> InvalidRequest:
    return InvalidRequest("voice", name, f"cannot be spoken with: {error}")
