"""Commands that measure: audit, plan, and the schema of what an audit writes."""

import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click

from countenance.cli.common import AS_JSON, FILE, PIPELINE, QUIET, pipeline_of, print_json, progress
from countenance.errors import UnavailableError

_CERTIFY = "countenance certify --key countenance-data/ledger.key --out countenance-data/certificate.json"


@click.command()
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
        pipeline=lambda: pipeline_of(pipeline_name),
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
    with progress(quiet) as tell:
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
        if source is None and probes is None:
            click.echo(f"To let a server search with what was measured here: {_CERTIFY}")


@click.command()
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
        print_json(found.to_json())
        return
    for sentence in found.sentences:
        click.echo(sentence)


@click.command()
def schema() -> None:
    """Print the JSON Schema of audit.json."""
    from countenance import report

    click.echo(report.schema_text(), nl=False)


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
