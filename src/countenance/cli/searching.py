"""Commands at the counter: search with a candidate sheet, and reviews by two people."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from countenance.cli.common import AS_JSON, DATA, DATABASE, FILE, PIPELINE, OneLine, pipeline_of, print_json

if TYPE_CHECKING:
    from countenance.report.sheet import Sheet
    from countenance.service.counter import Counter
    from countenance.service.reviewing import Looked

KEY_ID = click.option(
    "--key-id",
    envvar="AWS_ACCESS_KEY_ID",
    required=True,
    help="Your API key; its secret is read from AWS_SECRET_ACCESS_KEY, or asked for.",
)
FACE = click.option("--face", type=click.IntRange(1), help="Which face of the photo, from 1 for the largest on.")
NOBODY = "nobody"


@contextmanager
def at_counter(data: Path, database: str | None, key_id: str, pipeline: str = "") -> Iterator["Counter"]:
    """The server's desk with its settings from the environment; refusals become one line."""
    from countenance.service.counter import open_counter
    from countenance.service.failures import WireError
    from countenance.service.settings import read_settings

    secret = os.environ.get("AWS_SECRET_ACCESS_KEY") or click.prompt("Secret of the key", hide_input=True, err=True)
    settings = read_settings(None, os.environ, {"data": data, "database": database})
    try:
        with open_counter(settings, key_id, secret, pipeline=pipeline) as counter:
            yield counter
    except WireError as refused:
        raise click.ClickException(refused.message) from None


def read_photo(path: Path) -> bytes:
    """The bytes of a photo. Raises click.ClickException."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise click.ClickException(f"{path}: cannot be read ({error.strerror}); give a photo") from None


@click.command()
@click.argument("photo", type=FILE)
@click.option("--collection", required=True, metavar="NAME", help="The collection to search.")
@click.option("--threshold", type=float, default=80.0, show_default=True, help="Similarity asked for, in per cent.")
@click.option("--most", type=click.IntRange(1, 4096), default=80, show_default=True, help="Candidates, at most.")
@click.option("--sheet", type=FILE, metavar="DIR", help="Write the candidate sheet there, as HTML and PDF.")
@FACE
@PIPELINE
@KEY_ID
@DATA
@DATABASE
@AS_JSON
def search(
    photo: Path,
    collection: str,
    threshold: float,
    most: int,
    sheet: Path | None,
    face: int | None,
    pipeline_name: str | None,
    key_id: str,
    data: Path,
    database: str | None,
    as_json: bool,
) -> None:
    """Search a collection with the face in PHOTO: what is in force, the candidates, and how wrong each may be.

    It passes the same gate as every call of the API: certificate, purpose, permit, ledger.
    """
    from countenance.service import sheets
    from countenance.service.people import probe_of

    given, pipeline = read_photo(photo), pipeline_of(pipeline_name)
    with at_counter(data, database, key_id, pipeline.digest) as counter:
        probe = probe_of(pipeline, given, str(photo), face)
        found = sheets.search(
            counter.desk, pipeline, counter.call("search"), probe, collection, similarity=threshold, most=most
        )
    if as_json:
        print_json(_sheet_json(found.sheet))
    else:
        _print_sheet(found.sheet)
    if sheet is not None:
        for path in sheets.write_sheet(found.sheet, sheet):
            click.echo(f"written to {path}", err=True)


def _print_sheet(sheet: "Sheet") -> None:
    from countenance.report.sheet import BANNER, NOBODY

    for head, value, remark in sheet.facts:
        click.echo(f"{head}: {value} ({remark})")
    for head, said in sheet.system[1:]:
        click.echo(f"{head}: {said}")
    click.echo(f"\n{sheet.title}")
    for one in sheet.candidates:
        click.echo(f"  {one.number}  {', '.join(one.lines)}: Similarity {one.similarity}, {one.scored}")
        click.echo(
            f"     a stranger as similar: {one.odds.said} searches ({one.odds.group}, the worst certified group)"
        )
    if not sheet.candidates:
        click.echo(NOBODY)
    for line in sheet.reviewed.said if sheet.reviewed else ():
        click.echo(line)
    click.echo(BANNER)


def _sheet_json(sheet: "Sheet") -> dict[str, Any]:
    from dataclasses import asdict

    candidates = [
        {"number": one.number, "score": one.score, "odds": asdict(one.odds)}
        | {"identity": asdict(one.identity) if one.identity else None}
        for one in sheet.candidates
    ]
    review = {"id": sheet.reviewed.review_id, "done": sheet.reviewed.done} if sheet.reviewed else None
    basis = sheet.basis.to_json()
    del basis["odds"]
    return {"title": sheet.title, "basis": basis, "candidates": candidates, "review": review, "head": sheet.head}


@click.group(cls=OneLine)
def review() -> None:
    """Reviews by two people: look at candidates without a name, decide alone, and read how it ended."""


@review.command("list")
@KEY_ID
@DATA
@DATABASE
@AS_JSON
def review_list(key_id: str, data: Path, database: str | None, as_json: bool) -> None:
    """List the reviews that are kept, and which of them wait for you."""
    from countenance.service.reviewing import ReviewDesk

    with at_counter(data, database, key_id) as counter:
        found = ReviewDesk(counter.desk).all(counter.call("review list"))
    if as_json:
        print_json([_review_json(one) for one in found])
        return
    for one in found:
        kept = one.kept
        yours = "you have decided" if one.own else "" if one.verdicts else "waits for you"
        state = "done" if one.verdicts else one.state.value
        said = ", ".join(part for part in (state, yours) if part)
        click.echo(f"{kept.review_id}  {kept.collection}, {len(kept.candidates)} candidates, until "
                   f"{kept.closes:%Y-%m-%d}: {said}")  # fmt: skip
    if not found:
        click.echo("no review is open")


@review.command("show")
@click.argument("review_id", metavar="ID")
@click.option("--photos", type=FILE, metavar="FOLDER", help="Photos, each named by its ExternalImageId.")
@click.option("--out", type=FILE, metavar="DIR", help="Write numbered copies of the candidates' faces there.")
@click.option("--probe", type=FILE, metavar="PHOTO", help="Check that this is the photo that was searched with.")
@KEY_ID
@DATA
@DATABASE
@AS_JSON
def review_show(
    review_id: str,
    photos: Path | None,
    out: Path | None,
    probe: Path | None,
    key_id: str,
    data: Path,
    database: str | None,
    as_json: bool,
) -> None:
    """Show the candidates of review ID by number and score, without a name."""
    from countenance.service.reviewing import ReviewDesk
    from countenance.service.sheets import blind_copies

    if (photos is None) != (out is None):
        raise click.UsageError("--photos and --out go together: where the photos are, and where the copies go")
    with at_counter(data, database, key_id) as counter:
        desk, call = ReviewDesk(counter.desk), counter.call("review show")
        found = desk.look(call, review_id)
        same = None if probe is None else desk.is_probe(call, review_id, read_photo(probe))
    missing = blind_copies(found.faces, photos, out) if photos is not None and out is not None else None
    if as_json:
        print_json(_review_json(found) | {"probe": same, "without_copy": missing})
        return
    click.echo(f"review {review_id} of {found.kept.collection}: {found.state.value}")
    for number, (score, _) in enumerate(found.kept.candidates, 1):
        gone = ", erased since" if found.faces[number - 1] is None else ""
        click.echo(f"  candidate {number}: score {score:.4f}{gone}")
    if same is not None:
        click.echo(f"{probe} is {'' if same else 'NOT '}the photo that was searched with")
    if missing is not None:
        click.echo(f"copies in {out}" + (f"; none of candidate {', '.join(map(str, missing))}" if missing else ""))
    click.echo(f"Decide alone: countenance review decide {review_id} --candidate NUMBER (or: --candidate {NOBODY})")


@review.command("decide")
@click.argument("review_id", metavar="ID")
@click.option("--candidate", required=True, metavar="N", help=f"The candidate who is the person, or: {NOBODY}.")
@KEY_ID
@DATA
@DATABASE
def review_decide(review_id: str, candidate: str, key_id: str, data: Path, database: str | None) -> None:
    """Record your decision on review ID. It is not changed afterwards, and nobody sees it before the second one."""
    from countenance.service.reviewing import ReviewDesk

    if candidate not in (NOBODY, "none") and not (candidate.isascii() and candidate.isdecimal()):
        raise click.BadParameter(f"{candidate!r} is neither a number nor {NOBODY}", param_hint="--candidate")
    number = int(candidate) if candidate.isdecimal() else None
    with at_counter(data, database, key_id) as counter:
        found = ReviewDesk(counter.desk).decide(counter.call("review decide"), review_id, number)
    ended = f"both have decided: countenance review result {review_id}" if found.verdicts else "a second person decides"
    click.echo(f"recorded; {ended}")


@review.command("result")
@click.argument("review_id", metavar="ID")
@click.option("--sheet", type=FILE, metavar="DIR", help="Write the candidate sheet there, as HTML and PDF.")
@KEY_ID
@DATA
@DATABASE
@AS_JSON
def review_result(
    review_id: str, sheet: Path | None, key_id: str, data: Path, database: str | None, as_json: bool
) -> None:
    """Say how review ID ended: an identity only if two people, each alone, named the same candidate."""
    from countenance.service import sheets
    from countenance.service.reviewing import ReviewDesk

    with at_counter(data, database, key_id) as counter:
        found = ReviewDesk(counter.desk).result(counter.call("review result"), review_id)
        told = sheets.sheet_of_review(counter.desk.gallery, found) if sheet is not None else None
    face = found.face
    identity = (
        {"face": face.face_id, "external_image_id": face.external_image_id, "user": face.user_id} if face else None
    )
    if as_json:
        decisions = [{"reviewer": v.reviewer, "candidate": v.candidate} for v in found.verdicts]
        print_json({"agreed": found.outcome.agreed, "match": identity, "decisions": decisions})
    else:
        for verdict in found.verdicts:
            named = NOBODY if verdict.candidate is None else f"candidate {verdict.candidate}"
            click.echo(f"{verdict.reviewer}: {named}")
        gone = found.outcome.match is not None and face is None
        none = "both named one candidate, whose face was erased since" if gone else "no match"
        click.echo(f"match: {', '.join(v for v in identity.values() if v)}" if identity else none)
    if told is not None and sheet is not None:
        for path in sheets.write_sheet(told, sheet):
            click.echo(f"written to {path}", err=True)


def _review_json(found: "Looked") -> dict[str, Any]:
    return {
        "id": found.kept.review_id,
        "collection": found.kept.collection,
        "state": found.state.name.lower(),
        "until": f"{found.kept.closes:%Y-%m-%dT%H:%M:%SZ}",
        "scores": [score for score, _ in found.kept.candidates],
        "yours": None if found.own is None else {"candidate": found.own.candidate},
    }
