"""Settings: flag over variable over TOML over default, strict, and with their origin named."""

import os
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from pathlib import Path

import pytest

from engines.config import EngineConfig
from server.config import (
    CONFIG_VARIABLE,
    DEFAULT_ENGINE,
    PREFIX,
    ServerConfig,
    SettingsError,
    load_config,
)

LOOPBACK = [IPv4Network("127.0.0.0/8"), IPv6Network("::1/128")]


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)


def write_toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Path:
    path = tmp_path / "talkspurt.toml"
    path.write_text(text)
    monkeypatch.setenv(CONFIG_VARIABLE, str(path))
    return path


def test_without_sources_the_defaults_hold_and_only_loopback_is_served() -> None:
    config = load_config()
    assert config == ServerConfig.model_validate({})
    assert (config.host, config.port, config.places) == ("127.0.0.1", 8_000, 200)
    assert config.rtp_host == IPv4Address("127.0.0.1")
    assert config.rtp_allow == LOOPBACK


def test_the_default_engine_is_the_engines_own() -> None:
    """It is written twice, because help must not import numpy."""
    assert load_config().engine == DEFAULT_ENGINE == EngineConfig().backend


def test_flag_wins_over_variable_over_toml_over_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_toml(tmp_path, monkeypatch, "places = 1\nport = 1\ndrain_s = 1\n")
    monkeypatch.setenv("TALKSPURT_PLACES", "2")
    monkeypatch.setenv("TALKSPURT_PORT", "2")
    config = load_config({"places": "3", "host": None})
    assert (config.places, config.port, config.drain_s, config.host) == (3, 2, 1.0, "127.0.0.1")


def test_an_unknown_variable_is_refused_with_the_nearest_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALKSPURT_PALCES", "3")
    with pytest.raises(SettingsError) as refused:
        load_config()
    assert str(refused.value) == "TALKSPURT_PALCES is not a setting; did you mean TALKSPURT_PLACES?"


def test_an_unknown_variable_like_no_other_is_refused_without_a_guess(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TALKSPURT_XYZZY", "3")
    with pytest.raises(SettingsError, match=r"^TALKSPURT_XYZZY is not a setting$"):
        load_config()


def test_an_unknown_toml_key_is_refused_by_file_and_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_toml(tmp_path, monkeypatch, "palces = 3\n")
    with pytest.raises(SettingsError) as refused:
        load_config()
    assert str(refused.value) == f"{path}: palces is not a setting; did you mean places?"


@pytest.mark.parametrize("text", ["places = ", "places 3", "[server]\nplaces = 3\n", 'places = "many"\n'])
def test_a_toml_file_that_makes_no_sense_is_named(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_toml(tmp_path, monkeypatch, text)
    with pytest.raises(SettingsError) as refused:
        load_config()
    assert str(refused.value).startswith(f"{path}: ")


def test_a_toml_file_in_another_encoding_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_toml(tmp_path, monkeypatch, "")
    path.write_bytes(b'host = "\xff"')
    with pytest.raises(SettingsError) as refused:
        load_config()
    assert str(refused.value).startswith(f"{path}: ")


@pytest.mark.parametrize("path", ["nowhere.toml", "."])
def test_a_configuration_that_is_not_a_file_is_refused(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONFIG_VARIABLE, path)
    with pytest.raises(SettingsError, match=f"^TALKSPURT_CONFIG: '{path}' is not a file$"):
        load_config()


OUT_OF_RANGE = [
    ("port", "-1"),
    ("port", "65536"),
    ("port", "http"),
    ("places", "0"),
    ("places", "10001"),
    ("max_text_chars", "99"),
    ("max_text_chars", "100001"),
    ("level_dbov", "-11"),
    ("level_dbov", "-37"),
    ("start_timeout_s", "0"),
    ("slow_reader_s", "0"),
    ("drain_s", "-1"),
    ("profile", "fastest"),
    ("log_format", "xml"),
    ("log_level", "loud"),
    ("realtime_priority", "100"),
    ("engine", "steam"),
    ("host", ""),
    ("rtp_host", "localhost"),
    ("rtp_allow", "10.0.0.300/8"),
    ("rtp_allow", "everywhere"),
]


@pytest.mark.parametrize(("name", "value"), OUT_OF_RANGE)
def test_a_value_out_of_range_is_named_with_its_origin(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError) as by_flag:
        load_config({name: [value] if name == "rtp_allow" else value})
    assert str(by_flag.value).startswith(f"--{name.replace('_', '-')}: '{value}': ")
    variable = PREFIX + name.upper()
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as by_variable:
        load_config()
    assert str(by_variable.value).startswith(f"{variable}: '{value}': ")


@pytest.mark.parametrize(("name", "value"), [("port", "0"), ("places", "10000"), ("level_dbov", "-36")])
def test_the_ends_of_a_range_are_in_it(name: str, value: str) -> None:
    assert getattr(load_config({name: value}), name) == float(value)


TWO = [IPv4Network("10.0.0.0/8"), IPv6Network("fd00::/8")]


def test_networks_come_from_repeated_flags_or_by_commas() -> None:
    assert load_config({"rtp_allow": ["10.0.0.0/8", "fd00::/8"]}).rtp_allow == TWO
    assert load_config({"rtp_allow": ["10.0.0.0/8,fd00::/8"]}).rtp_allow == TWO


@pytest.mark.parametrize("value", ["10.0.0.0/8,fd00::/8", " 10.0.0.0/8 , fd00::/8 ", "10.0.0.0/8 fd00::/8"])
def test_networks_come_from_a_variable_by_commas(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALKSPURT_RTP_ALLOW", value)
    assert load_config().rtp_allow == TWO


@pytest.mark.parametrize("value", ['["10.0.0.0/8", "fd00::/8"]', '"10.0.0.0/8, fd00::/8"'])
def test_networks_come_from_toml_as_a_list_or_by_commas(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_toml(tmp_path, monkeypatch, f"rtp_allow = {value}\n")
    assert load_config().rtp_allow == TWO


def test_a_single_address_is_a_network_and_an_empty_list_forbids_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert load_config({"rtp_allow": ["10.1.2.3"]}).rtp_allow == [IPv4Network("10.1.2.3/32")]
    monkeypatch.setenv("TALKSPURT_RTP_ALLOW", "")
    assert load_config().rtp_allow == []


def test_every_error_of_several_is_told() -> None:
    with pytest.raises(SettingsError, match=r"--places.*; --drain-s"):
        load_config({"drain_s": "-1", "places": "0"})
