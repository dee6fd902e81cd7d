"""The image and the compose file speak of files, settings, ports and commands that exist."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from click.testing import CliRunner
from yamllint import linter  # type: ignore[import-untyped]
from yamllint.config import YamlLintConfig  # type: ignore[import-untyped]

from server.cli.main import COMMANDS, talkspurt
from server.config import CONFIG_VARIABLE, PREFIX, ServerConfig, load_config
from telephony.net.ports import RTP_PORTS

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
SETTINGS = {PREFIX + name.upper() for name in ServerConfig.model_fields} | {CONFIG_VARIABLE}
DEFAULTS = ServerConfig.model_validate({})


def dockerfile() -> list[tuple[str, str]]:
    """(instruction, its arguments) in order, with continued lines joined and comments dropped."""
    text = re.sub(r"^\s*#.*\n", "", (DOCKER / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    split = [line.split(maxsplit=1) for line in lines if line.strip()]
    return [(name, rest) for name, rest in split]


def arguments_of(wanted: str) -> list[str]:
    return [arguments for name, arguments in dockerfile() if name == wanted]


def environment() -> dict[str, str]:
    """Of the final image."""
    return dict(each.split("=", 1) for line in arguments_of("ENV") for each in shlex.split(line))


def compose_file() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    return loaded


def service() -> dict[str, Any]:
    found: dict[str, Any] = compose_file()["services"]["talkspurt"]
    return found


# Dockerfile


def test_everything_that_is_copied_is_there_and_not_ignored() -> None:
    ignored = (DOCKER / "Dockerfile.dockerignore").read_text().split()
    for arguments in arguments_of("COPY"):
        if arguments.startswith("--from="):
            continue
        *sources, _ = arguments.split()
        for source in sources:
            assert (ROOT / source).exists(), source
            assert source not in ignored


def test_every_package_of_the_distribution_is_copied() -> None:
    copied = {source for arguments in arguments_of("COPY") for source in arguments.split()}
    pyproject = (ROOT / "pyproject.toml").read_text()
    patterns = re.search(r"include = \[(.*)\]", pyproject)
    assert patterns is not None
    packages = re.findall(r'"(\w+)\*"', patterns[1])
    assert len(packages) >= 4
    assert set(packages) <= copied


def test_what_it_copies_from_another_stage_was_made_there() -> None:
    stages = {line.split(" AS ")[1] for line in arguments_of("FROM") if " AS " in line}
    for arguments in arguments_of("COPY"):
        if found := re.match(r"--from=(\w+)", arguments):
            assert found[1] in stages
    assert "/opt/talkspurt" in " ".join(arguments_of("RUN"))


def test_the_extras_that_it_installs_exist() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text()
    extras = re.search(r"\.\[([\w,]+)\]", " ".join(arguments_of("RUN")))
    assert extras is not None
    for extra in extras[1].split(","):
        assert re.search(rf"^{extra} = \[", pyproject, re.MULTILINE), extra


def test_entrypoint_and_command_are_the_real_command_line() -> None:
    (entrypoint,) = [json.loads(each) for each in arguments_of("ENTRYPOINT")]
    (command,) = [json.loads(each) for each in arguments_of("CMD")]
    scripts = re.search(r"\[project\.scripts\]\n(\w+) =", (ROOT / "pyproject.toml").read_text())
    assert scripts is not None
    assert entrypoint == [scripts[1]]
    assert command[0] in COMMANDS
    shown = CliRunner().invoke(talkspurt, [*command, "--help"])
    assert shown.exit_code == 0, shown.output


def test_its_variables_are_settings_with_values_in_range(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = {name: value for name, value in environment().items() if name.startswith(PREFIX)}
    assert ours
    assert set(ours) <= SETTINGS
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    config = load_config()
    assert (config.host, str(config.rtp_host)) == ("0.0.0.0", "0.0.0.0"), (
        "a container is reached from outside"
    )


def test_the_ports_it_exposes_are_those_of_the_server() -> None:
    (exposed,) = arguments_of("EXPOSE")
    last = RTP_PORTS[-1] + 1  # of the last pair, RTCP's
    assert exposed.split() == [f"{DEFAULTS.port}/tcp", f"{RTP_PORTS[0]}-{last}/udp"]


def test_the_health_check_is_python_that_asks_ready_on_the_servers_port() -> None:
    (check,) = arguments_of("HEALTHCHECK")
    python, flag, program = json.loads(check[check.index("[") :])
    assert (python, flag) == ("python", "-c")
    compile(program, "HEALTHCHECK", "exec")
    assert f"127.0.0.1:{DEFAULTS.port}/ready" in program


def test_it_does_not_run_as_root_and_stops_by_the_signal_that_drains() -> None:
    assert arguments_of("USER")[-1] not in ("root", "0")
    assert arguments_of("STOPSIGNAL") == ["SIGTERM"]


# Compose


def test_the_compose_file_passes_yamllint() -> None:
    rules = YamlLintConfig("extends: default\nrules:\n  line-length: {max: 120}\n")
    problems = list(linter.run((DOCKER / "compose.yaml").read_text(), rules))
    assert not problems, [str(problem) for problem in problems]


def test_compose_builds_from_files_that_are_there() -> None:
    build = service()["build"]
    context = (DOCKER / build["context"]).resolve()
    assert context == ROOT
    assert (context / build["dockerfile"]).is_file()


def test_compose_variables_are_settings_with_values_in_range(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = service()["environment"]
    assert set(variables) <= SETTINGS
    for name, value in variables.items():
        assert isinstance(value, str), "YAML must not read it as something else"
        monkeypatch.setenv(name, value)
    load_config()


def test_compose_gives_more_time_to_stop_than_draining_takes() -> None:
    drain_s = float(service()["environment"].get("TALKSPURT_DRAIN_S", DEFAULTS.drain_s))
    assert float(service()["stop_grace_period"].removesuffix("s")) > drain_s + 2


def test_compose_allows_two_sockets_a_call() -> None:
    places = int(service()["environment"].get("TALKSPURT_PLACES", DEFAULTS.places))
    assert service()["ulimits"]["nofile"] > 2 * places
    assert service()["network_mode"] == "host", "RTP's ports are too many to map"
