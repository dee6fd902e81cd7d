"""`talkspurt` itself: quick to help, and importing none of its commands for it."""

import subprocess
import sys
import time
from importlib.metadata import version

import pytest
from click.testing import CliRunner

from server.cli.main import COMMANDS, talkspurt
from tests.server.process import COMMAND, clean_environment

HEAVY = ("numpy", "fastapi", "pydantic", "uvicorn", "av", "engines", "telephony", "asyncio", "tqdm")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, env=clean_environment(), timeout=30
    )


def test_help_comes_within_300_ms() -> None:
    def seconds() -> float:
        began = time.perf_counter()
        assert run("--help").returncode == 0
        return time.perf_counter() - began

    assert min(seconds() for _ in range(5)) < 0.3


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys\n"
        "from server.cli.main import talkspurt\n"
        f"talkspurt.main({arguments!r}, standalone_mode=False)\n"
        f"print('LOADED', sorted(set({HEAVY!r}) & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=clean_environment()
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "LOADED []"


def test_help_names_every_command_with_its_own_first_line() -> None:
    shown = CliRunner().invoke(talkspurt, ["--help"]).output
    for name, (_, summary) in COMMANDS.items():
        assert name in shown
        assert summary in " ".join(shown.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_of_its_own(name: str) -> None:
    shown = CliRunner().invoke(talkspurt, [name, "--help"])
    assert shown.exit_code == 0, shown.output
    assert shown.output.startswith(f"Usage: talkspurt {name} ")


def test_the_version_is_the_packages() -> None:
    shown = CliRunner().invoke(talkspurt, ["--version"])
    assert version("talkspurt") in shown.output


def test_an_unknown_command_is_named_and_is_a_usage_error() -> None:
    shown = CliRunner().invoke(talkspurt, ["sing"])
    assert shown.exit_code == 2
    assert "'sing'" in shown.output
