"""Commands for the people who are enrolled: forget, and records of consent."""

import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from countenance.cli.common import DATA, DATABASE, FILE, PIPELINE, OneLine, pipeline_of
from countenance.cli.searching import FACE, KEY_ID, at_counter, read_photo

if TYPE_CHECKING:
    from countenance.service.counter import Counter
    from countenance.service.people import LookedUp
    from countenance.service.receipts import Erasure


RECEIPT = click.option(
    "--receipt",
    type=FILE,
    metavar="DIR",
    default=Path("receipt"),
    show_default=True,
    help="Its folder; never written over.",
)


@click.command()
@click.argument("photo", type=FILE)
@click.option("--collection", "collections", multiple=True, metavar="NAME", help="Search here only; may be repeated.")
@click.option("--threshold", type=float, help="The score from which to find; by default the permissive one.")
@click.option("--most", type=click.IntRange(1, 100), default=20, show_default=True, help="Candidates a collection.")
@click.option("--erase", metavar="NUMBERS", help="Erase these candidates of the list, such as 1,3; with --list.")
@click.option("--list", "code", metavar="CODE", help="The list that --erase speaks of: the code it ended with.")
@RECEIPT
@FACE
@PIPELINE
@KEY_ID
@DATA
@DATABASE
def forget(
    photo: Path,
    collections: tuple[str, ...],
    threshold: float | None,
    most: int,
    erase: str | None,
    code: str | None,
    receipt: Path,
    face: int | None,
    pipeline_name: str | None,
    key_id: str,
    data: Path,
    database: str | None,
) -> None:
    """Find the person in PHOTO in all collections, and erase what they confirm, with a receipt that proves it.

    First check that whoever asks is the person in the photo. It needs no certificate and finds permissively, so some
    candidates may be strangers; nothing of them is shown. Each is asked about, or named by --erase and --list.
    """
    from countenance.service.people import Forgetting, probe_of
    from countenance.service.receipts import receipt_folder

    chosen = _numbers(erase)
    if (chosen is None) != (code is None):
        raise click.UsageError("--erase and --list go together: the numbers, and the code that their list ended with")
    given, pipeline = read_photo(photo), pipeline_of(pipeline_name)
    with at_counter(data, database, key_id, pipeline.digest) as counter:
        desk = Forgetting(counter.desk, pipeline, counter.call("forget"))
        found = desk.look_up(probe_of(pipeline, given, str(photo), face), collections, threshold=threshold, most=most)
        _print_found(found)
        if code is not None and code != found.code:
            raise click.ClickException(f"--list {code}: the list has changed, it is {found.code} now; look at it again")
        if chosen is None:
            chosen = _ask(found)
        folder = receipt_folder(receipt)
        _receipt(counter, desk.erase(found, chosen), folder)


def _numbers(text: str | None) -> list[int] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() for part in parts):
        raise click.BadParameter(f"{text!r} is no list of numbers such as 1,3", param_hint="--erase")
    return [int(part) for part in parts]


def _print_found(found: "LookedUp") -> None:
    from countenance.service.people import MISS

    for name, faces in found.searched:
        click.echo(f"searched {name}: {faces:,} faces")
    for name, why in found.skipped:
        click.echo(f"NOT searched {name}: {why}")
    at = "" if found.threshold is None else f" from score {found.threshold:.3f} on ({found.why})"
    click.echo(f"{len(found.candidates)} found{at}; best first, and some may be strangers:")
    for one in found.candidates:
        others = f", with {one.others} more of the same user" if one.others else ""
        click.echo(f"  {one.number}  {one.collection}: score {one.score:.3f}, enrolled {one.enrolled:%Y-%m-%d}{others}")
    click.echo(MISS)
    if found.candidates:
        click.echo(f"list {found.code}")


def _ask(found: "LookedUp") -> list[int]:
    """Ask about each candidate; where nobody can answer, none."""
    if not found.candidates or not _answers():
        return []
    return [one.number for one in found.candidates if click.confirm(f"Erase candidate {one.number}?", default=False)]


def _answers() -> bool:
    """Whether somebody sits at a terminal."""
    return sys.stdin.isatty()


def _receipt(counter: "Counter", erased: tuple["Erasure", ...], folder: Path) -> None:
    from countenance.service.receipts import write_receipt

    if not erased:
        with suppress(OSError):  # not empty: somebody else's
            folder.rmdir()
        click.echo("nothing was erased")
        return
    count = sum(len(one.face_ids) for one in erased)
    written = write_receipt(folder, erased, str(counter.desk.gallery.ledger.key), datetime.now(UTC))
    click.echo(f"erased {count} {'face' if count == 1 else 'faces'}; the receipt: {', '.join(map(str, written))}")


@click.group(cls=OneLine)
def consent() -> None:
    """Records of consent: check the file, and erase whoever takes theirs back."""


@consent.command("check")
@click.argument("file", type=FILE)
@click.option(
    "--policy", "policy_file", type=FILE, help="The policy that the records must fit; by default the shipped."
)
def consent_check(file: Path, policy_file: Path | None) -> None:
    """Read a FILE of consent records; say what it holds, or what is wrong with it, with the line and the mend."""
    from countenance.policy import load_policy, shipped_policy
    from countenance.service.consents import read_consents

    rows = read_consents(file, load_policy(policy_file) if policy_file else shipped_policy())
    ended = sum(row.consent.until <= datetime.now(UTC) for row in rows)
    places = len({row.collection for row in rows})
    whole = sum(row.external_image_id is None for row in rows)
    click.echo(f"{file}: {len(rows)} records for {places} collections; {whole} for a whole collection, {ended} ended")


@consent.command("withdraw")
@click.option("--collection", required=True, metavar="NAME", help="The collection.")
@click.option("--subject", required=True, metavar="SUBJECT", help="Whose consent ends, as the record names them.")
@RECEIPT
@KEY_ID
@DATA
@DATABASE
def consent_withdraw(
    collection: str, subject: str, receipt: Path, key_id: str, data: Path, database: str | None
) -> None:
    """Erase every face that was enrolled under SUBJECT's consent, with a receipt that proves it.

    Take the subject's rows out of the records first, so that no face comes back.
    """
    from countenance.service.people import withdraw
    from countenance.service.receipts import receipt_folder

    with at_counter(data, database, key_id) as counter:
        folder = receipt_folder(receipt)
        erased = withdraw(counter.desk, counter.consents, counter.call("consent withdraw"), collection, subject)
        _receipt(counter, erased, folder)
