"""A Chatterbox from its parts: a runner's graphs, a tokenizer, voices, and how many rows go together."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Protocol

from engines.backends.base import Backend, Voice
from engines.backends.runner import Runner
from engines.backends.signature import (
    S3_CACHED_CHUNK,
    S3_CHUNK,
    S3_PROMPT,
    T3_STEP,
    VOICE_CODES,
    VOICE_SPEAKER,
    VOICE_XVECTOR,
)
from engines.chatterbox.audio import ChatterboxSynthesizer
from engines.chatterbox.tokens import ChatterboxTokens
from engines.config import EngineConfig
from engines.errors import BackendUnavailable, ConfigError
from engines.model import ModelConfig
from engines.sampling import Sampling
from engines.text.tokenizer import TextTokenizer
from engines.voices.conditioning import Conditioning
from engines.voices.enroll import Enroller
from engines.voices.library import VoiceLibrary

RUNNERS = {
    "onnx": "engines.backends.onnxrt:open_runner",
    "pytorch": "engines.backends.pytorch:open_runner",
}
"""What opens a model's folder without an engine; imported when its name is chosen."""

EXACT_GRAPHS = (T3_STEP, S3_CHUNK)
CACHED_GRAPHS = (T3_STEP, S3_PROMPT, S3_CACHED_CHUNK)
ENROLLING_GRAPHS = (VOICE_XVECTOR, VOICE_CODES, VOICE_SPEAKER)


@dataclass(frozen=True, slots=True)
class Rows:
    """How many rows of each kind go into one step."""

    tokens: int
    prefill: int
    windows: int


ROWS = {"cpu": Rows(tokens=16, prefill=4, windows=1), "cuda": Rows(tokens=64, prefill=16, windows=16)}
"""By device. A CPU gains nothing by batching windows, and everyone would wait for the last of them."""


class ModelRunner(Runner, Protocol):
    """A runner that knows whose graphs it runs."""

    @property
    def model(self) -> ModelConfig: ...


def open_chatterbox(
    name: str,
    runner: Runner,
    model: ModelConfig,
    folder: Path,
    built_in: Mapping[str, Voice],
    config: EngineConfig,
    details: Mapping[str, str],
) -> Backend:
    """The backend ``name`` on ``runner``; the tokenizer lies in ``folder``.

    Raises ConfigError where graphs are missing, or there is no voice and no folder to keep one in.
    """
    prompt_cache = model.prompt_cache if config.prompt_cache is None else config.prompt_cache
    _require_graphs(runner, folder, CACHED_GRAPHS if prompt_cache else EXACT_GRAPHS)
    if not built_in and config.voices is None:
        reason = "must be a folder: this model comes without a voice; `talkspurt voices add` makes one"
        raise ConfigError("voices", config.voices, reason)
    rows = ROWS[config.device]
    tokens = ChatterboxTokens(
        runner,
        model,
        TextTokenizer(folder),
        _sampling(model.sampling, config),
        max_rows=rows.tokens,
        max_tokens=config.max_segment_tokens,
        row_by_row=config.t3_int8,
    )
    return Backend(
        name=name,
        tokens=tokens,
        synthesizer=ChatterboxSynthesizer(runner, model, prompt_cache=prompt_cache),
        voices=VoiceLibrary(Path(config.voices) if config.voices else None, built_in, model),
        max_token_rows=rows.tokens,
        max_prefill_rows=rows.prefill,
        max_window_rows=rows.windows,
        left_context_tokens=config.left_context_tokens,
        lookahead_tokens=model.encoder.lookahead_tokens,
        max_segment_tokens=config.max_segment_tokens,
        details={"model": model.name, **details, **_settings(config, prompt_cache)},
        enroller=Enroller(runner, model) if all(map(runner.has, ENROLLING_GRAPHS)) else None,
    )


def open_enroller(engine: str, model_folder: Path) -> Enroller:
    """What makes voices of recordings, by itself: no graph is opened before it is needed.

    Raises ConfigError for a folder that does not hold what ``engine`` reads, and BackendUnavailable.
    """
    if engine not in RUNNERS:
        raise ConfigError("engine", engine, f"enrolls no voices; {', '.join(sorted(RUNNERS))} do")
    module, opener = RUNNERS[engine].split(":")
    runner: ModelRunner = getattr(importlib.import_module(module), opener)(model_folder)
    _require_graphs(runner, model_folder, ENROLLING_GRAPHS)
    return Enroller(runner, runner.model)


def import_conditionals(path: Path) -> Conditioning:
    """A voice from a file of conditionals (`conds.pt`), which torch reads.

    Raises ConfigError (field `voice`) for a file that holds none, BackendUnavailable without torch.
    """
    try:
        from engines.nets.conditionals import load_conditionals
    except ImportError as error:
        raise BackendUnavailable(
            f"reading {path.name} needs torch ({error}): install talkspurt[pytorch]"
        ) from None
    return load_conditionals(path)


def require_model(config: EngineConfig) -> Path:
    """The model's folder. Raises ConfigError where none is named."""
    if config.model is None:
        raise ConfigError("model", config.model, f"must be a folder for the backend {config.backend}")
    return Path(config.model)


def _require_graphs(runner: Runner, folder: Path, graphs: tuple[str, ...]) -> None:
    if missing := [graph for graph in graphs if not runner.has(graph)]:
        raise ConfigError("model", str(folder), f"was exported without {', '.join(missing)}")


def _sampling(own: Sampling, config: EngineConfig) -> Sampling:
    """The model's ``own`` with what the configuration says instead. Raises ConfigError for a range."""
    told = {each.name: getattr(config, each.name) for each in fields(own)}
    return replace(own, **{name: value for name, value in told.items() if value is not None})


def _settings(config: EngineConfig, prompt_cache: bool) -> dict[str, str]:
    return {
        "device": config.device,
        "threads": str(config.threads or "all"),
        "prompt_cache": "on" if prompt_cache else "off",
    }
