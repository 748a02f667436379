"""The command line: parse, call, print. No logic lives here.

Exit status: 0 done, 2 the user's input was wrong, 1 our fault, 130 interrupted. Errors are one line on standard error.
"""

import json
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from countenance import __version__
from countenance.errors import CountenanceError, UnavailableError

if TYPE_CHECKING:
    from countenance.faces import Pipeline

FILE = click.Path(path_type=Path)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
QUIET = click.option("--quiet", is_flag=True, help="No progress bar.")
PIPELINE = click.option(
    "--pipeline", "pipeline_name", metavar="NAME", help="Which pipeline; by default the best at hand."
)

Report = Callable[[str, int, int], None]


class _OneLine(click.Group):
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
def _progress(quiet: bool, unit: str = "") -> Iterator[Report]:
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


@click.group(cls=_OneLine, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="countenance")
def main() -> None:
    """Face recognition that answers for itself.

    Start with `countenance audit`: it needs no photos and writes a report you can open.
    """


@main.command()
@click.argument("source", required=False, type=FILE, metavar="[INPUT]")
@click.option("--probes", type=FILE, help="Photos or templates to search with.")
@click.option("--gallery", type=FILE, help="Photos or templates to search in.")
@click.option("--by", metavar="COLUMNS", help="Group columns, separated by commas; by default every one.")
@click.option("--threshold", "thresholds", type=float, multiple=True, help="Report this threshold too. Repeatable.")
@click.option("--distance", is_flag=True, help="The scores are distances: negate them, and --threshold too.")
@click.option("--metric", type=click.Choice(["cosine", "euclidean"]), help="How the templates are compared.")
@click.option("--column", "columns", multiple=True, metavar="NAME=COLUMN", help="What a score table calls NAME.")
@click.option(
    "--alpha", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Weight of FMR in GARBE and FDR."
)
@click.option("--against", type=FILE, help="Compare with a second system, measured on the same data.")
@click.option("--adjudicated", type=FILE, help="A person's verdicts on suspected label errors (CSV).")
@PIPELINE
@click.option(
    "--save-tallies", "keep", type=FILE, help="Keep what the pass found: scores and counts, no template, no name."
)
@click.option("--out", type=FILE, default=Path("countenance-audit"), show_default=True, help="Folder of the report.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the simulations behind the intervals.")
@QUIET
@AS_JSON
def audit(
    source: Path | None,
    probes: Path | None,
    gallery: Path | None,
    by: str | None,
    thresholds: tuple[float, ...],
    distance: bool,
    metric: str | None,
    columns: tuple[str, ...],
    alpha: float,
    against: Path | None,
    adjudicated: Path | None,
    pipeline_name: str | None,
    keep: Path | None,
    out: Path,
    seed: int,
    quiet: bool,
    as_json: bool,
) -> None:
    """Measure whom a face recognition system confuses, at which threshold, in which group.

    INPUT is a manifest of photos (CSV, Parquet, or a folder with one folder for each person), a Parquet file of
    templates, a table of scores, or a file of tallies. Without INPUT the embedded measurements are shown: members of
    Congress searched among people they are not.
    """
    from countenance import report, trials
    from countenance.audit import Options, save_tallies
    from countenance.audit import audit as run_audit

    def sign(t: float) -> float:
        return -t if distance else t

    asked = trials.Asked(
        pipeline=lambda: _pipeline(pipeline_name),
        by=_split(by),
        thresholds=tuple(sign(t) for t in thresholds),
        distance=distance,
        metric=metric,
        shown=pipeline_name,
        columns=_mapping(columns),
        seed=seed,
    )
    options = Options(by=asked.by, thresholds=asked.thresholds, alpha=alpha, seed=seed)
    verdicts = trials.read_verdicts(adjudicated) if adjudicated else ()
    with _progress(quiet) as tell:
        brought = trials.bring(source, asked, probes=probes, gallery=gallery, progress=tell)
        second = trials.bring(against, asked, probes=None, gallery=None, progress=tell) if against else None
    result = replace(
        run_audit(brought.tallies, options, verdicts=verdicts, against=second.tallies if second else None),
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        reproduce=_command(),
    )
    if keep:
        save_tallies(brought.tallies, keep)
    written = report.write_report(result, out, thumbnail=_thumbnails(brought.photos))
    if as_json:
        click.echo(written.audit_json.read_text(encoding="utf-8"), nl=False)
    else:
        report.print_summary(result, written.report_html)


@main.command()
@click.argument("manifest", type=FILE)
@click.option("--out", type=FILE, required=True, help="The Parquet file to write.")
@PIPELINE
@QUIET
@AS_JSON
def embed(manifest: Path, out: Path, pipeline_name: str | None, quiet: bool, as_json: bool) -> None:
    """Make templates of all photos in a MANIFEST.

    Stopped and started again, it goes on where it was. It ends with the photos that could not be used, and why.
    """
    from countenance import trials

    with _progress(quiet) as tell:
        found = trials.embed_manifest(
            trials.read_manifest(manifest),
            _pipeline(pipeline_name),
            out,
            lambda done, whole: tell("Embedding", done, whole),
        )
    if as_json:
        unusable = [{"path": u.path, "subject": u.subject, "reason": u.why} for u in found.unusable]
        _print({"out": str(out), "photos": found.photos, "templates": found.templates, "unusable": unusable})
        return
    click.echo(f"{found.templates:,} templates of {found.photos:,} photos in {out}")
    for lost in found.unusable:
        click.echo(f"not used: {lost.path}: {lost.why}")
    for note in found.notes:
        click.echo(note)


@main.command()
@click.argument("image", type=FILE)
@PIPELINE
@AS_JSON
def detect(image: Path, pipeline_name: str | None, as_json: bool) -> None:
    """Find the faces in an IMAGE: boxes, landmarks and measured quality; never age, gender or emotion."""
    from countenance.faces import load_image

    found = [face.to_json() for face in _pipeline(pipeline_name).detect(load_image(image))]
    if as_json:
        _print({"faces": found})
        return
    click.echo(f"{len(found)} {'face' if len(found) == 1 else 'faces'} in {image}")
    for face in found:
        x, y, width, height = face["box"]
        click.echo(f"  {width:.0f} x {height:.0f} pixels at ({x:.0f}, {y:.0f}), detector score {face['score']:.2f}")


@main.command()
@click.argument("first", type=FILE)
@click.argument("second", type=FILE)
@PIPELINE
@AS_JSON
def compare(first: Path, second: Path, pipeline_name: str | None, as_json: bool) -> None:
    """Compare the largest face of two photos: a score, and no verdict."""
    pipeline = _pipeline(pipeline_name)
    found = pipeline.compare(first, second)
    if as_json:
        _print({"score": found.score, "faces": [list(box) for box in found.boxes], "model": pipeline.name})
        return
    click.echo(f"score {found.score:.4f} by {pipeline.name} (larger means more alike)")
    click.echo("What this score is worth depends on who and how many are compared: countenance audit measures it.")


@main.group(cls=click.Group)
def models() -> None:
    """The networks at hand: list, fetch, add."""


@models.command("list")
@AS_JSON
def models_list(as_json: bool) -> None:
    """List the models that are known, with licence and sha256, and which are at hand."""
    from countenance.faces import list_models

    rows = [m.to_json() for m in list_models()]
    if as_json:
        _print({"models": rows})
        return
    for row in rows:
        state = "at hand" if row["at_hand"] else "not here"
        click.echo(f"{row['name']:<20} {row['role']:<9} {state:<9} {row['licence']:<14} {row['sha256'][:12]}")


@models.command("fetch")
@click.argument("name")
@click.option("--url", help="Fetch from here instead; the sha256 must still be the known one.")
@QUIET
def models_fetch(name: str, url: str | None, quiet: bool) -> None:
    """Fetch a published model by NAME; resumed when interrupted, refused when its sha256 is not the known one."""
    from countenance.faces import fetch_model

    with _progress(quiet, "bytes") as tell:
        model = fetch_model(name, url=url, progress=lambda done, whole: tell("Fetching", done, whole))
    click.echo(f"{model.card.name} is at hand: {model.path}")


@models.command("add")
@click.argument("file", type=FILE)
@click.option("--card", type=FILE, help="A model card (TOML or JSON), for a file that is not known by its sha256.")
def models_add(file: Path, card: Path | None) -> None:
    """Add an ONNX FILE; a published model is recognised by its sha256, any other needs a card."""
    from countenance.faces import add_model

    model = add_model(file, card)
    click.echo(f"{model.card.name} is at hand ({model.card.licence}); embed with --pipeline {model.card.name}")


@main.command()
@click.option("--target-fmr", type=click.FloatRange(0, 1, min_open=True, max_open=True), required=True)
@click.option("--groups", type=click.IntRange(1), default=1, show_default=True, help="Groups that must each show it.")
@click.option("--subjects", type=click.IntRange(2), help="What this many people a group can show instead.")
@click.option("--photos", type=click.IntRange(1), default=1, show_default=True, help="Photos of each person.")
@AS_JSON
def plan(target_fmr: float, groups: int, subjects: int | None, photos: int, as_json: bool) -> None:
    """Say how many people a test needs, or what a given number can show."""
    from countenance.audit.power import plan as make_plan

    found = make_plan(target_fmr, groups=groups, subjects=subjects, photos=photos)
    if as_json:
        _print(found.to_json())
        return
    for sentence in found.sentences:
        click.echo(sentence)


@main.command()
def schema() -> None:
    """Print the JSON Schema of audit.json."""
    from countenance import report

    click.echo(report.schema_text(), nl=False)


def _pipeline(name: str | None) -> "Pipeline":
    from countenance.faces import default_pipeline

    pipeline = default_pipeline(name)
    click.echo(f"pipeline: {pipeline.name}", err=True)
    return pipeline


def _thumbnails(photos: dict[str, Path]) -> Callable[[str], bytes | None] | None:
    """Small pictures of the photos behind the audit; none where there are none, or nothing to read them with."""
    there = {path: file for path, file in photos.items() if file.is_file()}
    if not there:
        return None
    from countenance import faces

    try:
        faces.thumbnail(next(iter(there.values())))
    except UnavailableError as error:
        click.echo(f"the report shows no photos: {error}", err=True)
        return None
    return lambda path: faces.thumbnail(there[path]) if path in there else None


def _command() -> str:
    """The command as it was given, but for where its report went and how it was printed."""
    given, kept = sys.argv[1:], ["countenance"]
    skip = False
    for word in given:
        skip, dropped = word == "--out", skip
        if not dropped and word not in ("--out", "--json", "--quiet") and not word.startswith("--out="):
            kept.append(shlex.quote(word))
    return " ".join(kept)


def _split(names: str | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(name.strip() for name in names.split(",") if name.strip())


def _mapping(pairs: tuple[str, ...]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise click.BadParameter(f"{pair!r} is not NAME=COLUMN", param_hint="--column")
    split = [pair.partition("=") for pair in pairs]
    return {name.strip(): column.strip() for name, _, column in split}


def _print(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False))
