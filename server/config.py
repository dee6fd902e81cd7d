"""The server's settings: flags over TALKSPURT_* variables over a TOML file over defaults."""

import os
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

PREFIX = "TALKSPURT_"
CONFIG_VARIABLE = "TALKSPURT_CONFIG"


class SettingsError(Exception):
    """A setting is unknown or out of range; the message names it, its value and where it came from."""


class ServerConfig(BaseSettings):
    """Everything `talkspurt serve` can be told. Each field is a flag, a variable and a TOML key."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65_535, description="TCP port; 0 takes a free one.")
    engine: str = Field("preview", description="Which backend speaks.")
    profile: Literal["latency", "balanced", "throughput"] = Field("balanced", description="Engine profile.")
    places: int = Field(200, ge=1, le=10_000, description="Calls and requests served at once.")
    max_text_chars: int = Field(4_096, ge=1, le=100_000, description="Longest text of one utterance.")
    level_dbov: float = Field(-23.0, ge=-36, le=-12, description="Active speech level on a telephone line.")
    start_timeout_s: float = Field(10, gt=0, description="How long a WebSocket may take to say start.")
    slow_reader_s: float = Field(10, gt=0, description="How long a reader may leave audio untaken.")
    drain_s: float = Field(30, ge=0, description="How long calls may finish when the server stops.")
    rtp_host: str = Field("127.0.0.1", description="Local address that RTP is sent from.")
    rtp_allow: list[IPv4Network | IPv6Network] = Field(
        default=[IPv4Network("127.0.0.0/8"), IPv6Network("::1/128")],
        description="Networks that RTP may be sent to; others are refused.",
    )
    log_format: Literal["text", "json"] = Field("text", description="How log lines look.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged.")

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
        raise SettingsError("; ".join(_sentence(each) for each in error.errors())) from None
    except ValueError as error:  # the TOML reader's own
        raise SettingsError(f"{path}: {error}") from None


def _sentence(error: Any) -> str:
    field = ".".join(str(part) for part in error["loc"])
    return f"{field}: {error['input']!r}: {error['msg'].lower()}"


def _refuse_unknown_variables() -> None:
    known = {PREFIX + name.upper() for name in ServerConfig.model_fields} | {CONFIG_VARIABLE}
    for name in os.environ:
        if name.startswith(PREFIX) and name.upper() not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise SettingsError(f"{name} is not a setting{hint}")
