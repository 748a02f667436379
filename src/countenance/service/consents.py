"""Records of consent that references need: a CSV file that the operator keeps beside the gallery, read strictly.

A row is for one face (by its ExternalImageId) or, where that is empty, for a whole collection; a face's own row counts.
The columns are those of ISO/IEC TS 27560 that apply here: who, for what, on which basis, where the notice stands, from
when, until when, how to take it back. ``docs/consent.md`` shows the file.
"""

import csv
import io
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from countenance.errors import PolicyError
from countenance.gallery import Consent
from countenance.policy import LEGAL_BASES, Policy

__all__ = ["COLUMNS", "ConsentRegister", "ConsentRow", "read_consents"]

COLUMNS = ("collection", "external_image_id", "subject", "purpose", "basis", "notice", "given", "until", "withdraw")
_FILLED = tuple(name for name in COLUMNS if name != "external_image_id")
_ID = re.compile(r"[a-zA-Z0-9_.\-:]{1,255}")  # what the API allows as an ExternalImageId; of a collection, no colon
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_SAID = 3  # faults named in one line
Fault = tuple[int, str]
"""Line (0: the file), and what is wrong there."""


@dataclass(frozen=True)
class ConsentRow:
    """One row: where it stands, for which face (None: the whole collection), and what it says."""

    line: int
    collection: str
    external_image_id: str | None
    consent: Consent


class ConsentRegister:
    """The records in a file, read again when it changes. A file that is wrong gives nothing, not what it said before.

    Args:
        path: the CSV file; without it, or where there is no such file, there are no records.
        policy: the one in force; with it, rows that it could not accept are faults of the file.
    """

    def __init__(self, path: Path | None = None, policy: Policy | None = None) -> None:
        self.path, self._policy = path, policy
        self._reading = threading.Lock()
        self._mark: tuple[int, int, int] | None = None
        self._found: dict[tuple[str, str | None], ConsentRow] = {}
        self._fault: str | None = None

    def find(self, collection: str, external_image_id: str | None) -> Consent | None:
        """The record for a face, else its collection's; None where there is neither.

        Raises PolicyError while the file is wrong: with the lines, and nothing of what they hold, for that goes into
        answers and the ledger.
        """
        rows = self._rows()
        row = rows.get((collection, external_image_id)) or rows.get((collection, None))
        return row.consent if row else None

    def rows_of(self, collection: str, subject: str) -> tuple[ConsentRow, ...]:
        """The rows of one subject of a collection, in their order. Raises PolicyError while the file is wrong."""
        found = [r for r in self._rows().values() if (r.collection, r.consent.subject) == (collection, subject)]
        return tuple(sorted(found, key=lambda row: row.line))

    def _rows(self) -> dict[tuple[str, str | None], ConsentRow]:
        with self._reading:
            mark = self._now()
            if mark != self._mark:
                self._found, self._fault = {}, None
                if mark is not None and self.path is not None:
                    rows, faults = _read(self.path, self._policy)
                    if faults:
                        self._fault = _brief(self.path, faults)
                    else:
                        self._found = {(row.collection, row.external_image_id): row for row in rows}
                self._mark = mark  # taken before reading: a change meanwhile is read the next time
            if self._fault is not None:
                raise PolicyError(self._fault)
            return self._found

    def _now(self) -> tuple[int, int, int] | None:
        if self.path is None:
            return None
        try:
            about = self.path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PolicyError(f"{self.path.name}: the consent records cannot be read ({error.strerror})") from None
        return about.st_mtime_ns, about.st_size, about.st_ino


def read_consents(path: Path, policy: Policy | None = None) -> tuple[ConsentRow, ...]:
    """All rows of a file. Raises PolicyError that names the lines that are wrong; then none of it holds."""
    rows, faults = _read(path, policy)
    if faults:
        more = f" (and {len(faults) - _SAID} more)" if len(faults) > _SAID else ""
        told = ", ".join(f"line {line}: {what}" if line else what for line, what in faults[:_SAID])
        raise PolicyError(f"{path}, {told}{more}; until it is mended, no face is enrolled")
    return tuple(rows)


def _brief(path: Path, faults: list[Fault]) -> str:
    lines = ", ".join(str(line) for line, _ in faults[:_SAID] if line) or "1"
    return (
        f"the records of consent are damaged (line {lines}), and until they are mended no face is enrolled; "
        f"the operator sees what is wrong with: countenance consent check {path.name}"
    )


def _read(path: Path, policy: Policy | None) -> tuple[list[ConsentRow], list[Fault]]:
    """The rows that are right, and for the others line and fault."""
    rows: list[ConsentRow] = []
    faults: list[Fault] = []
    first: dict[tuple[str, str | None], int] = {}
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        return [], [(0, f"cannot be read ({error.strerror})")]
    except UnicodeDecodeError:
        return [], [(0, "is not UTF-8; save it as UTF-8")]
    for line, cells in _cells(text, faults):
        try:
            row = _row(line, cells, policy)
            key = (row.collection, row.external_image_id)
            if key in first:
                raise ValueError(f"is for the same as line {first[key]}; keep one of them")
            first[key] = line
            rows.append(row)
        except ValueError as error:
            faults.append((line, str(error)))
    return rows, faults


def _cells(text: str, faults: list[Fault]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells of each row. What is no table, or has other columns, becomes a fault."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    last = 0
    try:
        head = [name.strip() for name in next(reader, [])]
        if sorted(head) != sorted(COLUMNS):
            odd = [name for name in head if name not in COLUMNS or head.count(name) > 1]
            lacks = [name for name in COLUMNS if name not in head]
            what = f"lacks {', '.join(lacks)}" if lacks else f"has {', '.join(odd)} too many"
            faults.append((1, f"{what}; the columns are {','.join(COLUMNS)}"))
            return
        last = reader.line_num
        for cells in reader:
            line, last = last + 1, reader.line_num
            if len(cells) == len(head):
                yield line, {name: cell.strip() for name, cell in zip(head, cells, strict=True)}
            elif cells:
                faults.append((line, f"{len(cells)} cells under {len(head)} columns; mend the row"))
    except csv.Error as error:
        faults.append((last + 1, f"is not CSV ({error}); mend the quotes"))


def _row(line: int, cells: dict[str, str], policy: Policy | None) -> ConsentRow:
    """One row. Raises ValueError that says what is wrong with it."""
    empty = [name for name in _FILLED if not cells[name]]
    if empty:
        raise ValueError(f"{', '.join(empty)}: empty; fill it in")
    for name in ("collection", "external_image_id"):
        if cells[name] and (not _ID.fullmatch(cells[name]) or (name == "collection" and ":" in cells[name])):
            raise ValueError(f"{name}: {cells[name]!r} cannot be one; letters, digits, dot, dash and underscore")
    consent = Consent(
        subject=cells["subject"],
        purpose=cells["purpose"],
        basis=cells["basis"],
        notice=cells["notice"],
        given=_moment("given", cells["given"]),
        until=_moment("until", cells["until"]),
        withdraw=cells["withdraw"],
    )
    if consent.until <= consent.given:
        raise ValueError("until: is not after given; mend the dates")
    _fits(consent, policy)
    return ConsentRow(line, cells["collection"], cells["external_image_id"] or None, consent)


def _moment(name: str, text: str) -> datetime:
    """A date (its first moment in UTC, so that nothing lasts longer than was said) or a time with a zone."""
    try:
        if _DATE.fullmatch(text):
            return datetime.combine(date.fromisoformat(text), time(), UTC)
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{name}: {text!r} is no date; write 2027-01-31") from None
    if moment.tzinfo is None:
        raise ValueError(f"{name}: {text!r} has no zone; write 2027-01-31, or a time that ends in Z")
    return moment.astimezone(UTC)


def _fits(consent: Consent, policy: Policy | None) -> None:
    """Raises ValueError for a purpose, basis or length that the policy could never accept."""
    bases: tuple[str, ...] = LEGAL_BASES
    if policy is not None:
        purpose = policy.purposes.get(consent.purpose)
        if purpose is None or not purpose.allowed:
            known = ", ".join(name for name, one in policy.purposes.items() if one.allowed)
            state = "refused by" if purpose else "not declared in"
            raise ValueError(f"purpose: {consent.purpose!r} is {state} the policy {policy.name}; use one of {known}")
        bases = purpose.legal_bases
        if consent.until - consent.given > timedelta(days=policy.consent_days):
            raise ValueError(
                f"until: more than the policy's {policy.consent_days} days after given; give an earlier end"
            )
    if consent.basis not in bases:
        raise ValueError(f"basis: {consent.basis!r} is not one that counts here; use one of {', '.join(bases)}")
