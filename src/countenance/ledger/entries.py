"""What one entry of the ledger says, and the bytes that stand for it.

The bytes are canonical JSON: UTF-8, keys sorted, no blanks, no floating-point numbers (a threshold is written as the
shortest decimal that reads back to it, in a string), members that say nothing left out. So one entry has one spelling,
and reading refuses every other.

Each record carries a random salt. It is there for the day the record is erased: what remains is its leaf hash, and
nobody who can guess what it said can use that hash to confirm the guess.
"""

import json
import math
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from countenance.errors import LedgerError
from countenance.ledger.merkle import leaf_hash

__all__ = ["FORMAT", "Entry", "Kind", "Record", "timestamp"]

FORMAT = 1
_SALT_BYTES = 16
_LARGEST = 2**53  # what every JSON reader can hold


class Kind(StrEnum):
    """What happened."""

    ENROLMENT = "enrolment"
    SEARCH = "search"
    COMPARISON = "comparison"
    REFUSAL = "refusal"
    ERASURE = "erasure"
    COLLECTION = "collection"  # made, tagged or deleted
    USER = "user"  # made, deleted, faces given to them or taken away
    REVIEW = "review"
    POLICY = "policy"
    CERTIFICATE = "certificate"
    KEY = "key"
    RESTORE = "restore"
    RETENTION = "retention"  # bodies of older entries were erased: detail holds "first" and "last"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One thing that happened. Holds no face, no name, no photo and no plain digest of one.

    With the names of the EU AI Act (Regulation 2024/1689), Article 12(3): ``started`` and ``ended`` are (a) the period
    of use; ``gallery``, ``gallery_version`` and ``gallery_size`` are (b) the reference database searched; ``probe``,
    a keyed HMAC (hex), stands for (c) the input, which itself stays with the operator; ``reviewers`` are (d) the people
    who verified the result, in an entry of kind ``review`` that ``refers`` to the search.

    ``actor`` is an API key's id or a command. ``threshold`` is the comparison score in force, ``threshold_asked`` what
    the caller asked for. ``faces`` are face ids: random, they say nothing once the face is erased. ``rule`` and
    ``reason`` are those of the decision. ``detail`` is for what else a kind needs; text only.
    """

    kind: Kind
    actor: str
    started: datetime
    ended: datetime
    operation: str | None = None
    purpose: str | None = None
    basis: str | None = None
    rule: str | None = None
    reason: str | None = None
    policy: str | None = None
    certificate: str | None = None
    pipeline: str | None = None
    gallery: str | None = None
    gallery_version: int | None = None
    gallery_size: int | None = None
    threshold: float | None = None
    threshold_asked: float | None = None
    candidates: int | None = None
    probe: str | None = None
    faces: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()
    refers: tuple[int, ...] = ()
    detail: Mapping[str, str] = field(default_factory=dict)

    def recorded(self, index: int) -> "Record":
        """This entry as number ``index`` of the log, with a fresh salt."""
        return Record(index, secrets.token_hex(_SALT_BYTES), self)


@dataclass(frozen=True)
class Record:
    """An entry in its place: its number from 0 on, and its salt (32 hex digits)."""

    index: int
    salt: str
    entry: Entry

    def encode(self) -> bytes:
        """The canonical bytes. Raises LedgerError for a number or a text that has none."""
        members: dict[str, Any] = {"v": FORMAT, "index": self.index, "salt": self.salt}
        for name in _NAMES:
            value = getattr(self.entry, name)
            if value is not None and value not in ((), {}):
                members[name] = _WRITERS.get(name, _plain)(name, value)
        return _canonical(members)

    @property
    def leaf(self) -> bytes:
        """The hash that stands for this record in the tree."""
        return leaf_hash(self.encode())

    @classmethod
    def decode(cls, data: bytes) -> "Record":
        """Read canonical bytes. Raises LedgerError for anything else, also for another spelling of the same."""
        try:
            members = json.loads(data)
            version = members.pop("v")
            if version != FORMAT:
                raise LedgerError(f"entry: version {version!r} is unknown here; read it with a newer Countenance")
            index, salt = members.pop("index"), members.pop("salt")
            values = {name: _READERS.get(name, _same)(value) for name, value in members.items()}
            record = cls(index, salt, Entry(**values))
            same = record.encode() == data
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise LedgerError(f"entry: not a ledger entry ({error}); take it from an untouched export") from None
        if not same:
            raise LedgerError("entry: not in canonical form; take it from an untouched export")
        return record


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds, as entries and heads write it."""
    if moment.tzinfo is None:
        raise LedgerError("time: without a zone; give it in UTC")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


def _canonical(members: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(members, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        raise LedgerError("entry: a text holds half a surrogate pair; give well-formed Unicode") from None


def _same(value: Any) -> Any:
    return value


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and -_LARGEST <= value <= _LARGEST:
        return value
    raise LedgerError(f"{name}: {value!r} is not a text or a whole number below 2**53")


def _decimal(name: str, value: Any) -> str:
    if not isinstance(value, float) or not math.isfinite(value):
        raise LedgerError(f"{name}: {value!r} is not a finite number")
    return repr(value)


def _tuple(name: str, value: Any) -> list[Any]:
    return [_plain(name, item) for item in value]


def _detail(name: str, value: Mapping[str, str]) -> dict[str, Any]:
    if not all(isinstance(text, str) for pair in value.items() for text in pair):
        raise LedgerError(f"{name}: holds something that is not text; write it as text")
    return dict(value)


_NAMES = tuple(f.name for f in fields(Entry))
_LISTS = ("faces", "reviewers", "refers")
_WRITERS: dict[str, Callable[[str, Any], Any]] = {
    "started": lambda _, value: timestamp(value),
    "ended": lambda _, value: timestamp(value),
    "threshold": _decimal,
    "threshold_asked": _decimal,
    "detail": _detail,
    **dict.fromkeys(_LISTS, _tuple),
}
_READERS: dict[str, Callable[[Any], Any]] = {
    "kind": Kind,
    "started": _moment,
    "ended": _moment,
    "threshold": float,
    "threshold_asked": float,
    **dict.fromkeys(_LISTS, tuple),
}
