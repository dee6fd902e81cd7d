"""The server's settings: flags over TALKSPURT_* variables over a TOML file over defaults."""

import os
from difflib import get_close_matches
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

PREFIX = "TALKSPURT_"
CONFIG_VARIABLE = "TALKSPURT_CONFIG"

DEFAULT_ENGINE = "preview"
"""That of engines.config, which is not asked: it brings numpy, and help must come at once."""

MOST_TEXT_CHARS = 100_000
"""What max_text_chars may be set to at most."""


class SettingsError(Exception):
    """A setting is unknown or out of range; the message names where it came from, it and its value."""


def _split_networks(value: object) -> object:
    """A variable is one string and a flag is given many times: any string may hold several, by commas."""
    parts = [value] if isinstance(value, str) else value
    if not isinstance(parts, list):
        return value  # not ours to judge: pydantic names its type
    lists = (part.replace(",", " ").split() if isinstance(part, str) else [part] for part in parts)
    return [each for some in lists for each in some]


Networks = Annotated[list[IPv4Network | IPv6Network], NoDecode, BeforeValidator(_split_networks)]


class ServerConfig(BaseSettings):
    """Everything `talkspurt serve` can be told. Each field is a flag, a variable and a TOML key."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, allow_inf_nan=False, validate_default=False
    )

    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65_535, description="TCP port; 0 takes a free one.")
    engine: str = Field(DEFAULT_ENGINE, description="Which backend speaks.")
    model: str | None = Field(
        None, min_length=1, description="Folder of the model that onnx or pytorch speaks."
    )
    voices: str | None = Field(None, min_length=1, description="Folder of enrolled voices.")
    device: Literal["cpu", "cuda"] = Field("cpu", description="Where the model runs.")
    threads: int = Field(0, ge=0, le=256, description="CPU threads of a step; 0 takes every core.")
    prompt_cache: bool | None = Field(
        None, description="S3Gen's prompt once a voice: faster, not exact; none: as the model says."
    )
    t3_int8: bool = Field(False, description="T3 with 8-bit weights, where they were exported.")
    temperature: float | None = Field(
        None, ge=0, le=2, description="How freely T3 chooses; 0 always the likeliest; none: the model's own."
    )
    profile: Literal["latency", "balanced", "throughput"] = Field("balanced", description="Engine profile.")
    places: int = Field(200, ge=1, le=10_000, description="Calls and requests served at once.")
    max_text_chars: int = Field(
        4_096, ge=100, le=MOST_TEXT_CHARS, description="Longest text of one utterance."
    )
    level_dbov: float = Field(-23.0, ge=-36, le=-12, description="Active speech level on a telephone line.")
    start_timeout_s: float = Field(10.0, gt=0, description="How long a WebSocket may take to say start.")
    slow_reader_s: float = Field(10.0, gt=0, description="How long a reader may leave audio untaken.")
    drain_s: float = Field(30.0, ge=0, description="How long calls may finish when the server stops.")
    rtp_host: IPv4Address | IPv6Address = Field(
        IPv4Address("127.0.0.1"), description="Local address that RTP is sent from; calls go to its family."
    )
    rtp_allow: Networks = Field(
        default=[IPv4Network("127.0.0.0/8"), IPv6Network("::1/128")],
        description="Networks that RTP may be sent to, by commas; others are refused.",
    )
    realtime_priority: int = Field(
        0, ge=0, le=99, description="SCHED_FIFO priority of the thread that keeps the clock; 0: none."
    )
    log_format: Literal["text", "json"] = Field("text", description="How log lines look.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged.")

    @field_validator("engine")
    @classmethod
    def _require_known(cls, engine: str) -> str:
        from engines import BACKENDS  # only for who names one: it brings numpy

        if engine not in BACKENDS:
            raise ValueError(f"is unknown; use {', '.join(sorted(BACKENDS))}")
        return engine

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        path = os.environ.get(CONFIG_VARIABLE)
        toml = (TomlConfigSettingsSource(settings_cls, Path(path)),) if path else ()
        return init_settings, env_settings, *toml


def load_config(flags: dict[str, Any] | None = None) -> ServerConfig:
    """Resolve every source. Flags that are None were not given.

    Raises SettingsError for an unknown TALKSPURT_* variable or TOML key, a value out of range, or
    a configuration file that is not there.
    """
    _refuse_unknown_variables()
    path = os.environ.get(CONFIG_VARIABLE)
    if path and not Path(path).is_file():
        raise SettingsError(f"{CONFIG_VARIABLE}: {path!r} is not a file")
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    try:
        return ServerConfig(**given)
    except ValidationError as error:
        raise SettingsError("; ".join(_sentence(each, given) for each in error.errors())) from None
    except ValueError as error:  # the TOML reader's own
        raise SettingsError(f"{path}: {error}") from None


def _sentence(error: Any, flags: dict[str, Any]) -> str:
    field = str(error["loc"][0])
    if error["type"] == "extra_forbidden":
        return f"{os.environ.get(CONFIG_VARIABLE)}: {_unknown(field)}"
    return f"{_origin(field, flags)}: {error['input']!r}: {error['msg'].lower()}"


def _origin(field: str, flags: dict[str, Any]) -> str:
    """The source that won: the flag, the variable, or the file and its key."""
    if field in flags:
        return f"--{field.replace('_', '-')}"
    variable = PREFIX + field.upper()
    in_environment = any(name.upper() == variable for name in os.environ)
    return variable if in_environment else f"{os.environ.get(CONFIG_VARIABLE)}: {field}"


def _unknown(name: str, prefix: str = "") -> str:
    """`name` without the prefix, which is not what makes two names alike, beside the known ones."""
    known = [each.upper() if prefix else each for each in ServerConfig.model_fields]
    close = get_close_matches(name.removeprefix(prefix), known, n=1)
    return f"{name} is not a setting" + (f"; did you mean {prefix}{close[0]}?" if close else "")


def _refuse_unknown_variables() -> None:
    known = {PREFIX + name.upper() for name in ServerConfig.model_fields} | {CONFIG_VARIABLE}
    for name in os.environ:
        if name.startswith(PREFIX) and name.upper() not in known:
            raise SettingsError(_unknown(name, PREFIX))
