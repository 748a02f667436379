"""Commands of the server: serve, backup, restore."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from countenance.cli.common import FILE
from countenance.service.settings import SETTINGS, Setting, Settings, read_settings

Command = Callable[..., Any]
_KINDS: dict[type, Any] = {Path: FILE, str: str, int: int, float: float}


def _option(one: Setting) -> Callable[[Command], Command]:
    says = one.says if one.default is None or one.kind is bool else f"{one.says}  [default: {one.default}]"
    if one.kind is bool:
        return click.option(one.flag, one.name, is_flag=True, default=None, help=says)
    kind = click.Choice(one.choices) if one.choices else _KINDS[one.kind]
    return click.option(one.flag, one.name, type=kind, default=None, help=says)


def _with_settings(*names: str) -> Callable[[Command], Command]:
    """The flags of these settings (all that have one), and --settings."""

    def give(command: Command) -> Command:
        for one in reversed(SETTINGS):
            if not one.secret and (not names or one.name in names):
                command = _option(one)(command)
        says = "A TOML file of settings; flags and COUNTENANCE_... variables win over it."
        return click.option("--settings", "file", type=FILE, envvar="COUNTENANCE_SETTINGS", help=says)(command)

    return give


def _settings(file: Path | None, flags: dict[str, Any]) -> Settings:
    return read_settings(file, os.environ, flags)


@click.command()
@_with_settings()
def serve(file: Path | None, **flags: Any) -> None:
    """Serve the face operations of the Rekognition API: see docs/serve.md.

    No audit, no search: without a certificate for the pipeline that runs, comparing and searching are refused.
    """
    settings = _settings(file, flags)
    try:
        from countenance.service.server import serve as run
    except ImportError as error:
        from countenance.errors import UnavailableError

        raise UnavailableError(
            f"the server needs an extra ({error.name} is missing): pip install 'countenance[faces,serve]'"
        ) from None
    run(settings, click.echo)
