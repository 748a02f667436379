"""Commands of the ledger: check it, prove from it, show it, export it, keep it, and report from it to the public."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from countenance.cli.common import AS_JSON, DATA, DATABASE, FILE, QUIET, Report, progress
from countenance.cli.ledger_words import record_line, tell_checked, tell_proof
from countenance.errors import InputError, LedgerError

if TYPE_CHECKING:
    from countenance.gallery import Ledger, Occasion
    from countenance.ledger import VerifyingKey

__all__ = ["ledger"]

KIND_NAMES = (
    "enrolment", "search", "comparison", "refusal", "erasure", "collection", "user", "review", "policy", "certificate",
    "key", "restore", "retention",
)  # fmt: skip
DAY = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])
MONTH = click.DateTime(["%Y-%m"])
KEY = click.option("--key", metavar="PUBLICKEY", help="The log's public key as published: the line, or a file with it.")
HEADS = click.option(
    "--head", "heads", type=FILE, multiple=True, help="A signed head that you kept; may be given again."
)


@click.group()
def ledger() -> None:
    """The ledger: who searched, for what purpose, with which result. Check it, prove from it, report from it."""


@ledger.command()
@click.argument("file", type=FILE, required=False)
@DATA
@DATABASE
@HEADS
@KEY
@AS_JSON
@QUIET
def verify(
    file: Path | None,
    data: Path,
    database: str | None,
    heads: tuple[Path, ...],
    key: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Check an export or a proof in FILE, offline; without FILE, the ledger in the data folder.

    Says what was checked and what was not. A log that was cut or rewritten as a whole is found out by a head that was
    kept elsewhere: --head.
    """
    from countenance.ledger import PROOF_FORMAT, check_export, check_proof

    kept, public = [_kept_head(path) for path in heads], _public_key(key)
    if file is None:
        with _opened(data, database) as found:
            tell_checked(found.check(public, kept), as_json)
    elif PROOF_FORMAT in _start(file):
        with _naming(file):
            proved = check_proof(_read(file), public, kept)
        tell_proof(proved, as_json)
    else:
        with _lines(file, quiet) as lines:
            checked = check_export(lines, public, kept)
        tell_checked(checked, as_json)


@ledger.command()
@click.argument("index", type=int, required=False)
@click.option("--from", "first", type=int, metavar="SIZE", help="The size of the earlier log.")
@click.option("--to", "second", type=int, metavar="SIZE", help="The size of the later one; by default, now.")
@click.option("--out", type=FILE, required=True, help="The proof to write.")
@DATA
@DATABASE
def prove(
    index: int | None, first: int | None, second: int | None, out: Path, data: Path, database: str | None
) -> None:
    """Prove that record INDEX is in the log, or, with --from, that the log has only been added to since.

    The proof is a file that `countenance ledger verify` checks without the log. Of a record it shows all that the
    record says.
    """
    if (index is None) == (first is None) or (second is not None and first is None):
        raise click.UsageError("give the number of a record, or --from SIZE and perhaps --to SIZE")
    with _opened(data, database) as found:
        text = found.prove(index) if index is not None else found.prove_growth(first or 0, second)
    _write(out, text)
    click.echo(f"written to {out}; check it with: countenance ledger verify {out}")


@ledger.command()
@click.option("--out", type=FILE, required=True, help="The file to write; replaced whole or not at all.")
@DATA
@DATABASE
@QUIET
def export(out: Path, data: Path, database: str | None, quiet: bool) -> None:
    """Write the whole ledger to a file that anyone can check offline. Its last line is a head, signed now."""
    from countenance.files import whole_file

    records = 0
    with _opened(data, database) as found, progress(quiet, "lines") as tell, _writing(out), whole_file(out) as file:
        for line in _counted(found, tell, "exporting"):
            records += not line.startswith(('{"format"', '{"head"'))
            file.write(f"{line}\n".encode())
    click.echo(f"written to {out}: {records:,} records; check it with: countenance ledger verify {out}")


@ledger.command()
@click.option("--out", type=FILE, help="A file to write it to; by default it is printed.")
@DATA
@DATABASE
def head(out: Path | None, data: Path, database: str | None) -> None:
    """Sign the ledger as it is now, and give the head: keep it elsewhere, or publish it."""
    with _opened(data, database) as found:
        note = found.head()
    if out is None:
        click.echo(note, nl=False)
    else:
        _write(out, note)
        click.echo(f"written to {out}; keep it away from this machine")


@ledger.command()
@DATA
@DATABASE
def key(data: Path, database: str | None) -> None:
    """Print the public key that the ledger is checked with: publish it."""
    with _opened(data, database) as found:
        click.echo(str(found.key))


@ledger.command()
@DATA
@DATABASE
@click.option("--yes", is_flag=True, help="Do not ask.")
def rotate(data: Path, database: str | None, yes: bool) -> None:
    """Replace the ledger's signing key, with the server stopped; the old key vouches for the new one in the log.

    The key is also the operator's: certificates that it signed have to be issued again with the new one.
    """
    from countenance.gallery import replace_key
    from countenance.service.folder import hold

    with _opened(data, database) as found, hold(data, alone=True):
        if not yes:
            click.confirm("Replace the signing key? Self-issued certificates end with it.", abort=True)
        old = found.key
        replace_key(data, found, _by_hand("ledger rotate"))
        click.echo(f"the key is now {found.key}; publish it")
    click.echo(
        f"the old one is kept as {data / 'ledger.key'}.{old.key_id.hex()}; delete it when no old backup needs it"
    )
    click.echo(f"certificates signed with the old one no longer hold: countenance certify --key {data / 'ledger.key'}")


@ledger.command()
@click.option("--kind", "kinds", type=click.Choice(KIND_NAMES), multiple=True, help="Only this kind; may be repeated.")
@click.option("--since", type=DAY, help="Only what ended at or after this time, UTC.")
@click.option("--from", "start", type=int, default=0, help="Only from this number on.")
@DATA
@DATABASE
@AS_JSON
def show(
    kinds: tuple[str, ...], since: datetime | None, start: int, data: Path, database: str | None, as_json: bool
) -> None:
    """List what the ledger says, oldest first; with --json, the records themselves, one a line."""
    from countenance.ledger import Kind

    after = None if since is None else since.replace(tzinfo=UTC)
    with _opened(data, database) as found:
        for record in found.records(start, kinds=[Kind(kind) for kind in kinds] or None):
            if after is None or record.entry.ended >= after:
                click.echo(record.encode().decode() if as_json else record_line(record))


@ledger.command()
@click.option("--before", type=DAY, required=True, help="Erase what records that ended before this time (UTC) said.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@DATA
@DATABASE
def retain(before: datetime, yes: bool, data: Path, database: str | None) -> None:
    """Erase what old records said, for good. Their hashes stay, so every proof and head still holds.

    Records of policies, certificates, keys, erasures and of retention itself are kept.
    """
    moment = before.replace(tzinfo=UTC)
    if moment > datetime.now(UTC):
        raise click.BadParameter(
            f"{before:%Y-%m-%d} is still to come; give a day that has passed", param_hint="--before"
        )
    with _opened(data, database) as found:
        if not yes:
            click.confirm(f"Erase for good what records from before {before:%Y-%m-%d} said?", abort=True)
        count = found.erase_bodies(moment, _by_hand("ledger retain"))
    click.echo(f"erased what {count:,} records said; their hashes stay")
    if (datetime.now(UTC) - moment).days < 183:
        click.echo("the EU AI Act wants logs kept for six months at least (Articles 19 and 26)", err=True)


@ledger.command()
@click.option("--public", is_flag=True, help="Make the report that may be published; there is no other.")
@click.option("--since", type=MONTH, help="The first month, such as 2026-01; by default the log's first.")
@click.option("--until", type=MONTH, help="The last month; by default the one in which the head was signed.")
@click.option("--smallest", type=click.IntRange(5), default=10, show_default=True, help="Smaller counts are hidden.")
@click.option("--out", type=FILE, default=Path("transparency"), show_default=True, help="The folder to write to.")
@click.option("--export", "exported", type=FILE, help="Report from this export; by default, from the data folder.")
@DATA
@DATABASE
@QUIET
def report(
    public: bool,
    since: datetime | None,
    until: datetime | None,
    smallest: int,
    out: Path,
    exported: Path | None,
    data: Path,
    database: str | None,
    quiet: bool,
) -> None:
    """Write the transparency report: HTML, JSON and CSV with no person in it, bound to a signed head of the log.

    Small counts are hidden, and others with them, so that they cannot be computed from what is shown. The same export
    gives the same report, byte for byte.
    """
    if not public:
        raise click.UsageError("only a report for the public is made: say so with --public")
    from countenance.report.transparency import transparency_report
    from countenance.report.transparency_page import write_transparency

    months = tuple(None if month is None else (month.year, month.month) for month in (since, until))
    if exported is not None:
        with _lines(exported, quiet) as lines:
            made = transparency_report(lines, *months, smallest=smallest)
    else:
        with _opened(data, database) as found, progress(quiet, "lines") as tell:
            made = transparency_report(_counted(found, tell, "reading"), *months, smallest=smallest)
    for path in write_transparency(made, out):
        click.echo(f"written: {path}")


@ledger.command()
def schema() -> None:
    """Print the JSON Schema of the transparency report."""
    from countenance.report.transparency import transparency_schema

    click.echo(transparency_schema(), nl=False)


# -- helpers -----------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(data: Path, database: str | None) -> "Iterator[Ledger]":
    from countenance.gallery import open_ledger

    with open_ledger(data, database) as found:
        yield found


def _counted(found: "Ledger", tell: Report, what: str) -> Iterator[str]:
    """The lines of an export, with progress by lines."""
    size = found.size
    for count, line in enumerate(found.export(), 1):
        tell(what, count, max(size, count))
        yield line


def _by_hand(operation: str) -> "Occasion":
    from countenance.gallery import Occasion

    return Occasion(actor="countenance ledger", operation=operation)


@contextmanager
def _lines(file: Path, quiet: bool) -> Iterator[Iterator[str]]:
    """The lines of a file, with progress by bytes."""
    try:
        size = file.stat().st_size
        with file.open(encoding="utf-8", newline="\n") as opened, progress(quiet, "bytes") as tell, _naming(file):

            def lines() -> Iterator[str]:
                done = 0
                for line in opened:
                    done += len(line)
                    tell("checking", min(done, size), size)
                    yield line

            yield lines()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); give an export") from None
    except UnicodeDecodeError:
        raise InputError(f"{file}: is not text; give an export") from None


def _start(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(200).decode("utf-8", "replace")
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); give an export or a proof") from None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); give a file") from None
    except UnicodeDecodeError:
        raise InputError(f"{file}: is not text; take the file as it was written") from None


def _write(out: Path, text: str) -> None:
    from countenance.files import write_whole

    with _writing(out):
        write_whole(out, text)


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror}); choose another place with --out") from None


def _kept_head(path: Path) -> str:
    from countenance.ledger import head_of

    note = _read(path)
    with _naming(path):
        head_of(note)
    return note


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """What does not hold in a file is said with its name."""
    try:
        yield
    except LedgerError as error:
        raise LedgerError(f"{file}: {error}") from None


def _public_key(given: str | None) -> "VerifyingKey | None":
    from countenance.ledger import VerifyingKey

    if given is None:
        return None
    path = Path(given)
    return VerifyingKey.parse(_read(path) if len(given) < 4096 and path.is_file() else given)
