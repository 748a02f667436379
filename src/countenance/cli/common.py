"""What all commands share: one-line errors, progress, options that several have, and how a pipeline is chosen."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from countenance.errors import CountenanceError

if TYPE_CHECKING:
    from countenance.faces import Pipeline

FILE = click.Path(path_type=Path)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
QUIET = click.option("--quiet", is_flag=True, help="No progress bar.")
PIPELINE = click.option(
    "--pipeline", "pipeline_name", metavar="NAME", help="Which pipeline; by default the best at hand."
)
DATA = click.option(
    "--data",
    type=FILE,
    default=Path("countenance-data"),
    show_default=True,
    envvar="COUNTENANCE_DATA",
    help="The server's data folder.",
)
DATABASE = click.option(
    "--database",
    metavar="URL",
    envvar="COUNTENANCE_DATABASE",
    help="The server's PostgreSQL database; by default SQLite in the data folder.",
)

Report = Callable[[str, int, int], None]


class OneLine(click.Group):
    """A command group whose every error is one line on standard error."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run, and turn what went wrong into one line and an exit status."""
        try:
            super().main(*args, **(kwargs | {"standalone_mode": False}))
        except click.exceptions.NoArgsIsHelpError as asked:
            click.echo(asked.ctx.get_help() if asked.ctx else asked.format_message())
        except click.ClickException as error:
            _stop(error.format_message(), 2)
        except CountenanceError as error:
            _stop(str(error), 2)
        except (click.Abort, KeyboardInterrupt) as stopped:
            _stop(str(stopped) or "interrupted", 130)
        except click.exceptions.Exit as leaving:
            sys.exit(leaving.exit_code)
        except BrokenPipeError:
            sys.stderr.close()
            sys.exit(1)
        sys.exit(0)


def _stop(message: str, status: int) -> None:
    click.echo("countenance: " + " ".join(message.split()), err=True)
    sys.exit(status)


@contextmanager
def progress(quiet: bool, unit: str = "") -> Iterator[Report]:
    """A bar on standard error with rate and time left, one task after another; none when quiet or not a terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f}" + f" {unit}"),
        TextColumn("{task.fields[rate]} a second,"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def report(what: str, done: int, whole: int) -> None:
            task = tasks.get(what)
            if task is None:
                task = tasks[what] = bar.add_task(what, total=whole, rate="–")
            speed = bar.tasks[bar.task_ids.index(task)].speed
            bar.update(task, completed=done, total=whole, rate=f"{speed:,.0f}" if speed else "–")

        yield report


def pipeline_of(name: str | None) -> "Pipeline":
    """The pipeline of this name, or the best at hand; which one is said in one line."""
    from countenance.faces import default_pipeline

    pipeline = default_pipeline(name)
    click.echo(f"pipeline: {pipeline.name}", err=True)
    return pipeline


def print_json(value: object) -> None:
    """One line of JSON on standard output."""
    click.echo(json.dumps(value, ensure_ascii=False))
