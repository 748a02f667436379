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


def with_settings(*names: str) -> Callable[[Command], Command]:
    """The flags of these settings (all that have one), and --settings."""

    def give(command: Command) -> Command:
        for one in reversed(SETTINGS):
            if not one.secret and (not names or one.name in names):
                command = _option(one)(command)
        says = "A TOML file of settings; flags and COUNTENANCE_... variables win over it."
        return click.option("--settings", "file", type=FILE, envvar="COUNTENANCE_SETTINGS", help=says)(command)

    return give


def settings_of(file: Path | None, flags: dict[str, Any]) -> Settings:
    """The settings that a command runs with."""
    return read_settings(file, os.environ, flags)


@click.command()
@with_settings()
def serve(file: Path | None, **flags: Any) -> None:
    """Serve the face operations of the Rekognition API: see docs/serve.md.

    No audit, no search: without a certificate for the pipeline that runs, comparing and searching are refused.
    """
    settings = settings_of(file, flags)
    try:
        from countenance.service.server import serve as run
    except ImportError as error:
        from countenance.errors import UnavailableError

        raise UnavailableError(
            f"the server needs an extra ({error.name} is missing): pip install 'countenance[faces,serve]'"
        ) from None
    run(settings, click.echo)


@click.command()
@click.argument("out", type=FILE)
@with_settings("data", "database")
def backup(out: Path, file: Path | None, **flags: Any) -> None:
    """Write the gallery to the file OUT; the server may go on.

    The keys of the faces are not in it, so that erasing reaches every backup: keep the data folder's keys as well, the
    newest copy only, and elsewhere. See docs/serve.md.
    """
    from countenance.service.backup import make_backup

    settings = settings_of(file, flags)
    made = make_backup(out, settings.data, settings.database)
    click.echo(
        f"{made.path}: {made.faces:,} faces in {made.collections:,} collections, {made.records:,} ledger records"
    )
    click.echo("The ledger's signed head; keep it elsewhere, and whoever has it can tell if the ledger is ever cut:")
    click.echo(made.head, nl=False)


@click.command()
@click.argument("archive", type=FILE)
@with_settings("data", "database")
@click.option("--ledger", "export", type=FILE, help="An export of the current ledger, if the store was lost with it.")
@click.option("--head", "heads", type=FILE, multiple=True, help="A signed head that was kept; may be given often.")
@click.option("--replace", is_flag=True, help="Replace the gallery that is there.")
@click.option("--ledger-lost", is_flag=True, help="Go on although newer records are lost; the ledger will say so.")
def restore(
    archive: Path,
    file: Path | None,
    export: Path | None,
    heads: tuple[Path, ...],
    replace: bool,
    ledger_lost: bool,
    **flags: Any,
) -> None:
    """Bring the backup ARCHIVE back, under the current keys and the current ledger.

    What was erased since the backup stays erased. No server may run meanwhile.
    """
    from countenance.service.backup import restore_backup

    settings = settings_of(file, flags)
    done = restore_backup(
        archive,
        settings.data,
        settings.database,
        export=export,
        heads=heads,
        replace=replace,
        ledger_lost=ledger_lost,
    )
    click.echo(f"{done.faces:,} faces in {done.collections:,} collections, {done.records:,} ledger records")
    click.echo(f"erased since the backup, and not brought back: {done.erased:,}")
    click.echo(f"enrolled since the backup, and lost: {done.lost:,}")
    click.echo(done.head, nl=False)
