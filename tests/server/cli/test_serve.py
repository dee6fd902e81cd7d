"""`talkspurt serve`: every setting is a flag, and a wrong one ends it before anything heavy is loaded."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import server.run
from server.cli.serve import serve
from server.config import PREFIX, ServerConfig
from tests.server.process import clean_environment


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> list[ServerConfig]:
    """What would have been served."""
    for name in os.environ:
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TALKSPURT_CONFIG", "")  # so that --config is undone afterwards
    asked: list[ServerConfig] = []

    def run_server(config: ServerConfig) -> int:
        asked.append(config)
        return 0

    monkeypatch.setattr(server.run, "run_server", run_server)
    return asked


def run(*arguments: str) -> Result:
    return CliRunner().invoke(serve, arguments)


def test_without_flags_the_defaults_are_served(settings: list[ServerConfig]) -> None:
    assert run().exit_code == 0
    assert settings == [ServerConfig.model_validate({})]


VALUES: dict[str, Any] = {
    "host": "127.0.0.2",
    "port": 81,
    "engine": "preview",
    "model": "models/nano",
    "voices": "voices",
    "device": "cuda",
    "threads": 4,
    "prompt_cache": True,
    "t3_int8": True,
    "temperature": 0.5,
    "profile": "latency",
    "places": 3,
    "max_text_chars": 500,
    "level_dbov": -20.0,
    "start_timeout_s": 3.0,
    "slow_reader_s": 4.0,
    "drain_s": 5.0,
    "rtp_host": "127.0.0.3",
    "rtp_allow": ["10.0.0.0/8"],
    "realtime_priority": 1,
    "log_format": "json",
    "log_level": "debug",
}


def test_every_setting_is_a_flag(settings: list[ServerConfig]) -> None:
    assert set(VALUES) == set(ServerConfig.model_fields)
    flags = [
        part
        for name, value in VALUES.items()
        for part in (f"--{name.replace('_', '-')}", value[0] if isinstance(value, list) else str(value))
    ]
    done = run(*flags)
    assert done.exit_code == 0, done.output
    assert settings == [ServerConfig.model_validate(VALUES)]


def test_a_list_is_given_by_repeating_its_flag_or_by_commas(settings: list[ServerConfig]) -> None:
    run("--rtp-allow", "10.0.0.0/8", "--rtp-allow", "192.168.0.0/16")
    run("--rtp-allow", "10.0.0.0/8,192.168.0.0/16")
    assert [str(each) for each in settings[0].rtp_allow] == ["10.0.0.0/8", "192.168.0.0/16"]
    assert settings[1] == settings[0]


def test_a_flag_wins_over_variable_and_file(
    settings: list[ServerConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml = tmp_path / "talkspurt.toml"
    toml.write_text("port = 1\nplaces = 1\ndrain_s = 1\n")
    monkeypatch.setenv("TALKSPURT_PORT", "2")
    monkeypatch.setenv("TALKSPURT_PLACES", "2")
    assert run("--config", str(toml), "--port", "3").exit_code == 0
    assert (settings[0].port, settings[0].places, settings[0].drain_s) == (3, 2, 1.0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "many"], "--port: 'many': "),
        (["--places", "0"], "--places: '0': "),
        (["--host", ""], "--host: ''"),
        (["--profile", "fast"], "--profile: 'fast': "),
        (["--rtp-allow", "everyone"], "--rtp-allow: 'everyone': "),
        (["--engine", "steam"], "--engine: 'steam': value error, is unknown; use onnx, pocket, preview"),
    ],
)
def test_a_wrong_value_is_named_by_its_flag_and_nothing_is_served(
    arguments: list[str], said: str, settings: list[ServerConfig]
) -> None:
    done = run(*arguments)
    assert done.exit_code == 1
    assert said in done.output
    assert settings == []


def test_an_unknown_variable_ends_it(settings: list[ServerConfig], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALKSPURT_PROT", "80")
    done = run()
    assert done.exit_code == 1
    assert "TALKSPURT_PROT is not a setting; did you mean TALKSPURT_PORT?" in done.output


@pytest.mark.parametrize("arguments", [["--prot", "80"], ["--config", "nowhere.toml"], ["80"]])
def test_what_is_not_a_flag_is_a_usage_error(arguments: list[str], settings: list[ServerConfig]) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert arguments[0] in done.output
    assert settings == []


def test_help_tells_each_flag_its_variable_and_default() -> None:
    shown = " ".join(run("--help").output.split())
    for name, field in ServerConfig.model_fields.items():
        assert f"--{name.replace('_', '-')}" in shown
        assert f"{PREFIX}{name.upper()}" in shown
        assert str(field.description) in shown
    assert "default: 127.0.0.0/8, ::1/128" in shown


def test_help_and_a_wrong_setting_load_no_server() -> None:
    program = (
        "import sys\n"
        "from server.cli.main import talkspurt\n"
        "for each in (['serve', '--help'], ['serve', '--port', 'many']):\n"
        "    try:\n"
        "        talkspurt.main(each)\n"
        "    except SystemExit:\n"
        "        pass\n"
        "print('LOADED', sorted({'fastapi', 'uvicorn', 'av', 'numpy'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=clean_environment()
    )
    assert done.stdout.splitlines()[-1] == "LOADED []", done.stderr
