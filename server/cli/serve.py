"""`talkspurt serve`: every setting is a flag, a TALKSPURT_* variable and a TOML key."""

import os
from typing import Any

import click

from server.config import CONFIG_VARIABLE, PREFIX, ServerConfig, SettingsError, load_config


def _options(command: click.Command) -> click.Command:
    """A flag for each field of ServerConfig; not given, it leaves the field to the other sources."""
    for name, field in ServerConfig.model_fields.items():
        default = field.get_default(call_default_factory=True)
        many = isinstance(default, list)
        shown = ", ".join(map(str, default)) if many else default
        command.params.append(
            click.Option(
                [f"--{name.replace('_', '-')}"],
                default=None,
                multiple=many,
                help=f"{field.description} [{PREFIX}{name.upper()}; default: {shown}]",
                metavar="VALUE",
            )
        )
    return command


def _given(value: Any) -> Any:
    """None for a flag that was not given: click has () for those that may be repeated."""
    return (list(value) or None) if isinstance(value, tuple) else value


@click.command(help="Start the server. Flags win over TALKSPURT_* variables, those over the TOML file.")
@click.option("--config", type=click.Path(exists=True, dir_okay=False), help="TOML file of settings.")
def serve(config: str | None, **flags: Any) -> None:
    """Resolve the settings, then run until a signal."""
    if config is not None:
        os.environ[CONFIG_VARIABLE] = config
    try:
        settings = load_config({name: _given(value) for name, value in flags.items()})
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    from server.run import run_server  # heavy: only once the settings are known to be good

    raise SystemExit(run_server(settings))


_options(serve)
