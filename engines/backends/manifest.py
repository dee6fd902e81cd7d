"""`manifest.json`: what an export folder holds, read strictly before anything in it is opened.

Every file is listed with its size and hash, every graph with its signature, so that a folder that was
cut short, mixed up or made of other weights is told apart before it speaks. No runtime is imported.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from engines.backends.signature import GraphSpec, TensorSpec
from engines.errors import ConfigError
from engines.model import ModelConfig, parse_model

MANIFEST_FILE = "manifest.json"
FORMAT = 1
T3_STEP_INT8 = "t3_step_int8"
"""T3_STEP with 8-bit weights, of the same signature; a folder may hold it besides."""

PRECISIONS = ("float32", "float16")
DTYPES = ("int64", "float32", "compute")

SMALL_FILE_BYTES = 1 << 20
"""Files up to this size are hashed at every start; larger ones when they are checked in depth."""

_READ_BYTES = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file of the folder, as it was written."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class GraphRecord:
    """A graph: the file that holds it, the files its weights lie in, and its signature."""

    file: str
    weights: tuple[str, ...]
    spec: GraphSpec


@dataclass(frozen=True, slots=True)
class Manifest:
    """An export folder's contents. Paths are relative to it, with slashes."""

    model: ModelConfig
    precision: str  # of `compute` tensors
    opset: int
    tools: Mapping[str, str]  # what exported it, with versions
    sources: Mapping[str, str]  # sha256 of the weight files it was made from
    graphs: Mapping[str, GraphRecord]
    tokenizer: tuple[str, ...]
    voices: tuple[str, ...]  # built-in ones
    files: Mapping[str, FileRecord]

    def to_json(self) -> str:
        values = {"format": FORMAT, **asdict(self)}
        return json.dumps(values, indent=1) + "\n"

    @property
    def digest(self) -> str:
        """Short hash of the graphs and their weights, for logs and benchmark records."""
        named = {name for graph in self.graphs.values() for name in (graph.file, *graph.weights)}
        hashes = "".join(self.files[name].sha256 for name in sorted(named))
        return hashlib.sha256(hashes.encode()).hexdigest()[:12]


def read_manifest(folder: Path) -> Manifest:
    """The manifest in ``folder``.

    Raises ConfigError (field `model`) naming the folder and what is missing, unknown or wrong.
    """
    path = folder / MANIFEST_FILE
    try:
        values = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        reason = f"holds no {MANIFEST_FILE}: graphs are exported into a folder by `talkspurt export onnx`"
        raise ConfigError("model", str(folder), reason) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError("model", str(path), f"cannot be read as JSON: {error}") from None
    return _Reader(path).manifest(values)


def check_files(folder: Path, manifest: Manifest, *, deep: bool = False) -> None:
    """Compare the files with the manifest: all sizes, and the hashes of small files, or of all if ``deep``.

    Raises ConfigError (field `model`) naming the file and how it differs.
    """
    for name, record in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise ConfigError("model", str(path), f"is missing, and {MANIFEST_FILE} lists it")
        found_bytes = path.stat().st_size
        if found_bytes != record.bytes:
            raise ConfigError("model", str(path), f"has {found_bytes} bytes and must have {record.bytes}")
        if (deep or record.bytes <= SMALL_FILE_BYTES) and sha256_of(path) != record.sha256:
            raise ConfigError(
                "model", str(path), f"is not the file that {MANIFEST_FILE} lists: its hash differs"
            )


def record_file(path: Path) -> FileRecord:
    """Size and hash of a file as it is."""
    return FileRecord(path.stat().st_size, sha256_of(path))


def sha256_of(path: Path) -> str:
    """Of a file of any size, in little memory."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


class _Reader:
    """Takes the JSON apart; whatever does not fit is a ConfigError that says where."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def manifest(self, values: Any) -> Manifest:
        if isinstance(values, dict) and values.get("format") != FORMAT:
            raise self._wrong("format", f"is {values.get('format')!r}; {FORMAT} is read: export it anew")
        keys = {"format", *Manifest.__dataclass_fields__}
        values = self._object(values, MANIFEST_FILE, keys)
        files = {
            name: self._file(record, f"files: {name}")
            for name, record in self._named(values["files"], "files")
        }
        manifest = Manifest(
            model=self._model(values["model"]),
            precision=self._one_of(values["precision"], PRECISIONS, "precision"),
            opset=self._whole(values["opset"], "opset"),
            tools=self._texts(values["tools"], "tools"),
            sources=self._texts(values["sources"], "sources"),
            graphs={
                name: self._graph(name, record, files)
                for name, record in self._named(values["graphs"], "graphs")
            },
            tokenizer=self._listed(values["tokenizer"], files, "tokenizer"),
            voices=self._listed(values["voices"], files, "voices"),
            files=files,
        )
        if not manifest.graphs:
            raise self._wrong("graphs", "names none")
        return manifest

    def _model(self, values: Any) -> ModelConfig:
        try:
            return parse_model(json.dumps(values))
        except ConfigError as error:
            raise self._wrong("model", str(error)) from None

    def _file(self, values: Any, where: str) -> FileRecord:
        name = where.partition(": ")[2]
        path = PurePosixPath(name)
        if not name or path.is_absolute() or ".." in path.parts or "\\" in name:
            raise self._wrong(where, "must lie in the folder")
        values = self._object(values, where, {"bytes", "sha256"})
        sha256 = values["sha256"]
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            raise self._wrong(f"{where}: sha256", "must be 64 hexadecimal digits")
        return FileRecord(self._whole(values["bytes"], f"{where}: bytes"), sha256)

    def _graph(self, name: str, values: Any, files: Mapping[str, FileRecord]) -> GraphRecord:
        where = f"graphs: {name}"
        values = self._object(values, where, {"file", "weights", "spec"})
        weights = self._listed(values["weights"], files, f"{where}: weights")
        (file,) = self._listed([values["file"]], files, f"{where}: file")
        spec = self._object(values["spec"], f"{where}: spec", {"name", "inputs", "outputs"})
        inputs, outputs = (
            tuple(
                self._tensor(each, f"{where}: {side}") for each in self._list(spec[side], f"{where}: {side}")
            )
            for side in ("inputs", "outputs")
        )
        return GraphRecord(file, weights, GraphSpec(str(spec["name"]), inputs, outputs))

    def _tensor(self, values: Any, where: str) -> TensorSpec:
        values = self._object(values, where, {"name", "dtype", "axes"})
        axes = self._list(values["axes"], f"{where}: axes")
        if not all(type(axis) in (int, str) for axis in axes):
            raise self._wrong(f"{where}: axes", "must be numbers and names")
        return TensorSpec(
            str(values["name"]), self._one_of(values["dtype"], DTYPES, f"{where}: dtype"), tuple(axes)
        )

    def _object(self, values: Any, where: str, keys: set[str]) -> dict[str, Any]:
        """A JSON object with these keys, all of them and no other."""
        if not isinstance(values, dict):
            raise self._wrong(where, "must be an object")
        for key in keys - values.keys():
            raise self._wrong(where, f"lacks {key}")
        for key in values.keys() - keys:
            raise self._wrong(where, f"has {key}, which is not known")
        return values

    def _named(self, values: Any, where: str) -> list[tuple[str, Any]]:
        if not isinstance(values, dict):
            raise self._wrong(where, "must be an object")
        return list(values.items())

    def _texts(self, values: Any, where: str) -> dict[str, str]:
        texts = dict(self._named(values, where))
        if not all(isinstance(text, str) for text in texts.values()):
            raise self._wrong(where, "must hold texts")
        return texts

    def _list(self, values: Any, where: str) -> list[Any]:
        if not isinstance(values, list):
            raise self._wrong(where, "must be a list")
        return values

    def _listed(self, values: Any, files: Mapping[str, FileRecord], where: str) -> tuple[str, ...]:
        """Names of files that the manifest lists."""
        names = self._list(values, where)
        for name in names:
            if not isinstance(name, str) or name not in files:
                raise self._wrong(where, f"names {name!r}, which files does not list")
        return tuple(names)

    def _whole(self, value: Any, where: str) -> int:
        if type(value) is not int or value < 0:
            raise self._wrong(where, "must be a whole number")
        return value

    def _one_of(self, value: Any, known: tuple[str, ...], where: str) -> str:
        if value not in known:
            raise self._wrong(where, f"is {value!r}; known are {', '.join(known)}")
        return str(value)

    def _wrong(self, where: str, reason: str) -> ConfigError:
        return ConfigError("model", str(self._path), f"{where} {reason}")
