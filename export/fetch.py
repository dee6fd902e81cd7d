"""The published models from the Hugging Face hub: only the files that are needed, each one checked.

A revision is first resolved to a commit. The hub states each file's digest at that commit (SHA-256
of large files, git's SHA-1 of small ones): a file that is not what is stated is not kept. Of the
weights only the size of Turbo's T3 is known beforehand; which bytes are the right ones is taken from
the hub at the first fetch, written to `talkspurt-lock.json`, and held against it ever after.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from engines.model import (
    CONDITIONALS_FILE,
    PUBLISHED,
    S3GEN_FILE,
    TOKENIZER_FILES,
    VOICE_ENCODER_FILE,
    ModelConfig,
)

LOCK_FILE = "talkspurt-lock.json"
REPOSITORIES: Mapping[str, str] = {
    "turbo": "ResembleAI/chatterbox-turbo",
    "nano": "ResembleAI/chatterbox-nano",
}
"""By the model's name."""

KNOWN_BYTES: Mapping[str, int] = {"t3_turbo_v1.safetensors": 1_915_480_052}
"""What is known of the files without asking anybody."""

_PARTIAL = ".talkspurt-fetch"
_READ_BYTES = 1 << 20

Tell = Callable[[str], None]


def _say_nothing(_: str) -> None: ...


class FetchFailed(Exception):
    """A model could not be fetched; the message says what to do."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """What the hub states of a file; ``sha256`` of large ones, ``git_sha1`` of those in git itself."""

    size_bytes: int
    sha256: str | None
    git_sha1: str


@dataclass(frozen=True, slots=True)
class Commit:
    """A repository at one commit."""

    repository: str
    revision: str  # 40 hex digits
    files: Mapping[str, RemoteFile]


@dataclass(frozen=True, slots=True)
class LockedFile:
    """What was fetched."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Lock:
    """`talkspurt-lock.json`: where a folder's files came from, and which they were."""

    repository: str
    revision: str
    files: Mapping[str, LockedFile]


class Hub(Protocol):
    """Where models are published."""

    def commit(self, repository: str, revision: str) -> Commit: ...

    def download(self, commit: Commit, name: str, folder: Path) -> Path:
        """Into ``folder``; returns where it lies."""
        ...


def needed_files(model: ModelConfig) -> tuple[str, ...]:
    """The files of a folder that speaks ``model``, the largest first."""
    return (model.t3_file, S3GEN_FILE, VOICE_ENCODER_FILE, CONDITIONALS_FILE, *TOKENIZER_FILES)


def fetch(
    model: ModelConfig, folder: Path, hub: Hub, revision: str | None = None, tell: Tell = _say_nothing
) -> Lock:
    """Fetch what ``folder`` lacks of a published model, check all of it, and write the lock.

    Files that are there and right are kept; others are replaced. Without a ``revision`` it is the
    lock's commit, or the newest where there is no lock. Raises FetchFailed.
    """
    names = needed_files(model)
    repository = REPOSITORIES[model.name]
    lock = read_lock(folder)
    if lock is not None and lock.repository != repository:
        raise FetchFailed(f"{folder} holds {lock.repository}: fetch {repository} into another folder")
    commit = hub.commit(repository, revision or (lock.revision if lock else "main"))
    missing = [name for name in names if name not in commit.files]
    if missing:
        raise FetchFailed(f"{commit.repository} at {commit.revision} has no {', '.join(missing)}")
    folder.mkdir(parents=True, exist_ok=True)
    # Of another commit the lock says nothing.
    locked = lock.files if lock is not None and lock.revision == commit.revision else {}
    files = {name: _fetch_file(hub, commit, name, folder, locked.get(name), tell) for name in names}
    lock = Lock(repository, commit.revision, files)
    write_lock(folder, lock)
    shutil.rmtree(folder / _PARTIAL, ignore_errors=True)
    return lock


def _fetch_file(
    hub: Hub, commit: Commit, name: str, folder: Path, locked: LockedFile | None, tell: Tell
) -> LockedFile:
    stated = commit.files[name]
    path = folder / name
    if path.is_file():
        tell(f"checking {name}")
        found, problem = _examine(path, stated, locked)
        if problem is None:
            return found
        tell(f"{name} {problem}: fetching it again")
    tell(f"fetching {name}, {stated.size_bytes:,} bytes")
    partial = hub.download(commit, name, folder / _PARTIAL)
    found, problem = _examine(partial, stated, locked)
    if problem is not None:
        partial.unlink()
        raise FetchFailed(f"{name} from {commit.repository} {problem}; it was not kept")
    os.replace(partial, path)
    return found


def _examine(path: Path, stated: RemoteFile, locked: LockedFile | None) -> tuple[LockedFile, str | None]:
    """What a file is, and what is wrong with it by the hub's word, the lock's and our own."""
    size_bytes = path.stat().st_size
    sha256 = _sha256(path)
    found = LockedFile(size_bytes, sha256)
    wanted_bytes = KNOWN_BYTES.get(path.name, stated.size_bytes)
    if size_bytes != wanted_bytes:
        return found, f"has {size_bytes} bytes and must have {wanted_bytes}"
    if stated.sha256 is not None and sha256 != stated.sha256:
        return found, f"has SHA-256 {sha256}, and the hub states {stated.sha256}"
    if stated.sha256 is None and _git_sha1(path) != stated.git_sha1:
        return found, f"is not the file that the hub states ({stated.git_sha1})"
    if locked is not None and found != locked:
        return found, f"has SHA-256 {sha256}, and {LOCK_FILE} says {locked.sha256}"
    return found, None


class HuggingFaceHub:
    """The hub itself, by its own client; ``endpoint`` is for a mirror of it."""

    def __init__(self, endpoint: str | None = None) -> None:
        try:
            import huggingface_hub
        except ImportError:
            raise FetchFailed("fetching needs huggingface_hub: install talkspurt[export]") from None
        self._client = huggingface_hub
        self._endpoint = endpoint

    def commit(self, repository: str, revision: str) -> Commit:
        api = self._client.HfApi(endpoint=self._endpoint)
        found = self._ask(repository, api.model_info, repository, revision=revision, files_metadata=True)
        files = {
            each.rfilename: RemoteFile(each.size, each.lfs and each.lfs.sha256, each.blob_id)
            for each in found.siblings
        }
        return Commit(repository, found.sha, files)

    def download(self, commit: Commit, name: str, folder: Path) -> Path:
        path: str = self._ask(
            commit.repository,
            self._client.hf_hub_download,
            commit.repository,
            name,
            revision=commit.revision,
            local_dir=folder,
            endpoint=self._endpoint,
        )
        return Path(path)

    def _ask(self, repository: str, call: Callable[..., Any], *args: Any, **named: Any) -> Any:
        try:
            return call(*args, **named)
        except Exception as error:  # of the client's own, of two HTTP libraries and of the disk, by version
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise FetchFailed(
                f"{repository} could not be fetched: {reason}\n{_by_hand(repository)}"
            ) from error


def _by_hand(repository: str) -> str:
    """What to do where there is no internet."""
    models = (model for model in PUBLISHED.values() if REPOSITORIES[model.name] == repository)
    names = [name for model in models for name in needed_files(model)]
    return (
        f"Where there is no internet: download these {len(names)} files of {repository} elsewhere, copy them "
        f"into one folder, and pass it as --model: {', '.join(names)}"
    )


def read_lock(folder: Path) -> Lock | None:
    """The lock in ``folder``; None where there is none. Raises FetchFailed when it cannot be read."""
    path = folder / LOCK_FILE
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text("utf-8"))
        files = {name: LockedFile(**each) for name, each in values["files"].items()}
        return Lock(values["repository"], values["revision"], files)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FetchFailed(f"{path} cannot be read: {error!r}; delete it and fetch again") from None


def check_lock(folder: Path, lock: Lock) -> list[str]:
    """What in ``folder`` is not as the lock has it; reads all of it."""
    problems = []
    for name, locked in lock.files.items():
        path = folder / name
        if not path.is_file():
            problems.append(f"{name} is missing")
        elif LockedFile(path.stat().st_size, _sha256(path)) != locked:
            problems.append(f"{name} is not the file that was fetched")
    return problems


def write_lock(folder: Path, lock: Lock) -> None:
    """Write `talkspurt-lock.json` into ``folder``, whole or not at all."""
    written = folder / f".{LOCK_FILE}"
    written.write_text(json.dumps(asdict(lock), indent=1) + "\n", "utf-8")
    os.replace(written, folder / LOCK_FILE)


def _sha256(path: Path) -> str:
    return _digest(path, hashlib.sha256())


def _git_sha1(path: Path) -> str:
    """As git names a file's content."""
    return _digest(path, hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False))


def _digest(path: Path, digest: Any) -> str:
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
    name: str = digest.hexdigest()
    return name
