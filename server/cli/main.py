"""`talkspurt`: names its subcommands without importing them."""

import importlib
import sys
from collections.abc import Sequence

import click

COMMANDS = {
    "say": ("server.cli.say:say", "Speak a text into a file, a player or an RTP stream."),
    "serve": ("server.cli.serve:serve", "Start the server: HTTP, WebSocket and RTP."),
    "voices": ("server.cli.voices:voices", "Add, list, show and remove voices."),
    "models": ("export.models_cli:models", "Fetch the published models, check weights, write random ones."),
    "export": ("export.export_cli:export", "Export weights to ONNX graphs, and verify them."),
    "pocket": ("export.pocket_cli:pocket", "Train the pocket voice, the one in the box, and pack it."),
    "doctor": ("server.cli.doctor:doctor", "Show what is installed, what can run, which ports are free."),
    "bench": ("benchmarks.cli:bench", "Measure a server, an engine or the phone line."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called; help costs none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="talkspurt")
def talkspurt() -> None:
    """Talkspurt speaks on the telephone: text in, paced G.711 out, over RTP, WebSocket and HTTP."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the command `talkspurt`."""
    talkspurt.main(args=list(sys.argv[1:] if arguments is None else arguments), prog_name="talkspurt")
