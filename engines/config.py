"""Strict engine configuration: checked before any heavy import, printed with its hash."""

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib.resources import files
from typing import Any

from engines.errors import ConfigError
from engines.rates import MAX_LOOKAHEAD_TOKENS, TOKEN_HZ

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_TOKEN_MS = 1_000 // TOKEN_HZ

PROFILES = ("latency", "balanced", "throughput")
DEVICES = ("cpu", "cuda")

DEFAULT_ENGINE = "preview"
"""The backend that speaks where none is named; server.config says the same."""


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """How one engine runs. Build it with :meth:`resolve`, which knows the profiles."""

    backend: str = DEFAULT_ENGINE
    max_utterances: int = 200
    max_text_chars: int = 10_000  # of one utterance
    max_segment_chars: int = 300
    max_segment_tokens: int = 1_000  # a segment that does not stop is ended here (40 s)
    chunk_tokens: tuple[int, ...] = (10, 12, 16, 25)
    lead_ms: int = 1_000  # buffered audio considered enough
    min_reserve_ms: int = 10
    max_unspoken_ms: int = 4_000  # token lanes run at most this far ahead of their audio
    max_unread_ms: int = 4_000  # audio lanes at most this far ahead of their reader
    retry_after_s: float = 1.0
    # What Chatterbox's backends speak with and how; the others have no use for these.
    model: str | None = None  # folder of weights (pytorch) or of exported graphs (onnx)
    voices: str | None = None  # folder of enrolled voices
    device: str = "cpu"
    threads: int = 0  # of one step; 0: as many as there are cores
    # S3Gen's prompt once per voice instead of once per chunk; not exact. None: as the model says.
    prompt_cache: bool | None = None
    t3_int8: bool = False  # T3 with 8-bit weights, where they were exported
    left_context_tokens: int = 25  # recomputed before each chunk
    # How T3 chooses, as engines.sampling has it. None: the model's own.
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    repetition_penalty: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_utterances", "max_text_chars", "lead_ms", "min_reserve_ms"):
            _require_at_least(1, self, name)
        _require_at_least(20, self, "max_segment_chars")
        _require_at_least(1, self, "max_segment_tokens")
        _require(self, "chunk_tokens", len(self.chunk_tokens) > 0, "must name at least one chunk")
        each_counts = all(type(tokens) is int and tokens >= 1 for tokens in self.chunk_tokens)
        _require(self, "chunk_tokens", each_counts, "must be whole numbers of at least 1 each")
        # A lane must be able to hold one whole window and its lookahead, or it would never be ready.
        longest_ms = _TOKEN_MS * (max(self.chunk_tokens) + MAX_LOOKAHEAD_TOKENS)
        for name in ("max_unspoken_ms", "max_unread_ms"):
            _require_at_least(longest_ms, self, name)
        _require(self, "retry_after_s", self.retry_after_s > 0, "must be positive")
        _require(self, "device", self.device in DEVICES, f"is unknown; use {', '.join(DEVICES)}")
        for name in ("threads", "left_context_tokens"):
            _require_at_least(0, self, name)

    @classmethod
    def resolve(cls, profile: str = "balanced", **overrides: Any) -> "EngineConfig":
        """A profile's numbers with ``overrides`` on top (None means: not given).

        Raises ConfigError for an unknown profile or key, or a value out of range.
        """
        if profile not in PROFILES:
            raise ConfigError("profile", profile, f"is unknown; use {', '.join(PROFILES)}")
        text = (files("engines") / "profiles" / f"{profile}.toml").read_text()
        given = {name: value for name, value in overrides.items() if value is not None}
        return cls._from_mapping({**tomllib.loads(text), **given})

    @classmethod
    def _from_mapping(cls, values: Mapping[str, Any]) -> "EngineConfig":
        known = {each.name for each in fields(cls)}
        for name, value in values.items():
            if name not in known:
                raise ConfigError(name, value, f"is not a setting; known are {', '.join(sorted(known))}")
        settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**settings)

    @property
    def digest(self) -> str:
        """Short hash of the resolved settings, for logs and benchmark records."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]


def _require_at_least(least: int, config: EngineConfig, field: str) -> None:
    value = getattr(config, field)
    _require(
        config, field, type(value) is int and value >= least, f"must be a whole number of at least {least}"
    )


def _require(config: EngineConfig, field: str, holds: bool, reason: str) -> None:
    if not holds:
        raise ConfigError(field, getattr(config, field), reason)
