"""How the model speaks when it is judged: which runtime and precision, in one piece or streamed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.voice.errors import JudgeFailed
from engines.config import EngineConfig
from engines.contract import DEFAULT_VOICE

ONE_SHOT, STREAMED = "one-shot", "streamed"

_WHOLE: dict[str, Any] = {"chunk_tokens": [10_000], "max_unspoken_ms": 500_000, "max_unread_ms": 500_000}

WAYS: dict[str, dict[str, Any]] = {
    "pytorch": {"backend": "pytorch"},
    "onnx": {"backend": "onnx"},
    "onnx, int8 T3": {"backend": "onnx", "t3_int8": True},
    "onnx, prompt cache": {"backend": "onnx", "prompt_cache": True},
    "onnx float16": {"backend": "onnx"},
}
"""Each is what is said to the engine; `Setup.folder` tells which model it is given."""

FLITE_VOICES = {DEFAULT_VOICE: "rms", "awb": "awb"}
"""The model's voices that are judged, and flite's that they were made of; the first is judged by all ways."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What is judged, and how."""

    weights: Path | None  # the pytorch checkpoint
    graphs: Path | None  # float32 graphs, with T3 in 8 bits besides
    half: Path | None  # float16 graphs
    ways: tuple[str, ...] = ()  # none: all that the folders allow
    voices: dict[str, str] = field(default_factory=lambda: dict(FLITE_VOICES))
    voices_folder: Path | None = None
    quick: int | None = None
    seed: int = 0
    threads: int = 0
    jobs: int = 1
    temperature: float | None = None  # None: the model's own

    def chosen_ways(self) -> tuple[str, ...]:
        """In order; the first is judged in full. Raises JudgeFailed for a way without its model."""
        if missing := [way for way in self.ways if self.folder(way) is None]:
            raise JudgeFailed(f"{missing[0]!r} needs the folder of its model")
        allowed = tuple(way for way in WAYS if self.folder(way) is not None)
        return self.ways or _first("onnx", allowed)

    def told(self, way: str) -> dict[str, Any]:
        """`settings` for a result: no path of this machine, but which files they were."""
        settings = self.settings(way, STREAMED)
        folder = self.folder(way)
        assert folder is not None, "a way is chosen only with its model"
        names: dict[str, Any] = {
            name: Path(settings[name]).name for name in ("model", "voices") if name in settings
        }
        return {**settings, **names, "model_digest": _digest(folder)}

    def folder(self, way: str) -> Path | None:
        """The model that a way speaks with."""
        if way == "pytorch":
            return self.weights
        return self.half if way == "onnx float16" else self.graphs

    def config(self, way: str, mode: str, threads: int | None = None) -> EngineConfig:
        """The engine's, for a way and a mode."""
        return EngineConfig.resolve(**self.settings(way, mode, threads))

    def settings(self, way: str, mode: str, threads: int | None = None) -> dict[str, Any]:
        """What `config` resolves, as JSON has it."""
        said = {
            "model": str(self.folder(way)),
            "voices": str(self.voices_folder) if self.voices_folder else None,
            "threads": self.threads if threads is None else threads,
            "temperature": self.temperature,
            "prompt_cache": False,  # said, for a model may have its own default
            **WAYS[way],
            **(_WHOLE if mode == ONE_SHOT else {}),
        }
        return {name: value for name, value in said.items() if value is not None}


def _digest(folder: Path) -> str:
    """Of the names and contents of all files in a folder."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode())
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    return digest.hexdigest()[:12]


def _first(way: str, ways: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(ways, key=lambda each: each != way))
