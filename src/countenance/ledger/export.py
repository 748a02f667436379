"""The ledger as a file: JSON Lines that anyone can check, offline and without Countenance.

    {"format":"countenance-ledger-export/1","key":"NAME+ID+BASE64"}      first line
    {"entry":"{...}"}                                                    a record; the text holds its canonical bytes
    {"leaf":"9f86d0..."}                                                 a record erased by retention: its leaf hash
    {"head":"..."}                                                       a signed head of all records above it

Records stand in order, from number 0. The last line is a head. The key in the first line is the log's first; a record
that replaces it (``chain``) is followed at once by a head signed by both.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from countenance.errors import LedgerError
from countenance.ledger.chain import KeyChain, opened_by_any
from countenance.ledger.entries import Kind, Record
from countenance.ledger.heads import TreeHead, VerifyingKey, head_of
from countenance.ledger.merkle import Edge, leaf_hash

__all__ = ["EXPORT_FORMAT", "Checked", "check_export", "export_lines"]

EXPORT_FORMAT = "countenance-ledger-export/1"


@dataclass(frozen=True)
class Checked:
    """What checking an export found to hold.

    ``size`` records; ``head`` is the last one (None where there is none), ``heads`` how many hold, ``kept`` how many of
    those kept elsewhere; ``unsigned`` records stand under no head yet, which only a log that is not exported may have.
    ``erased`` are the numbers of the records whose bodies are gone (each named by a later record). ``keys`` are the
    log's keys, the last of them in force; ``trusted`` whether the caller vouched for one of them. With an untrusted key
    the export is only shown to agree with itself.
    """

    size: int
    head: TreeHead | None
    heads: int
    kept: int
    unsigned: int
    erased: tuple[int, ...]
    keys: tuple[VerifyingKey, ...]
    trusted: bool
    root: bytes

    @property
    def key(self) -> VerifyingKey:
        """The key in force at the end."""
        return self.keys[-1]


def export_lines(
    key: VerifyingKey, records: Iterable[bytes | None], leaves: Iterable[bytes], heads: Iterable[str]
) -> Iterator[str]:
    """The lines of an export, without line ends.

    ``key`` is the log's first. ``records`` are canonical bytes, or None where erased; ``leaves`` all leaf hashes;
    ``heads`` signed notes in the order of their sizes, the last of them over everything.
    """
    yield _line({"format": EXPORT_FORMAT, "key": str(key)})
    waiting = [(head_of(note).size, note) for note in heads]
    count = 0
    for count, (body, leaf) in enumerate(zip(records, leaves, strict=True), 1):
        yield _line({"leaf": leaf.hex()} if body is None else {"entry": body.decode()})
        while waiting and waiting[0][0] <= count:
            yield _line({"head": waiting.pop(0)[1]})
    for _, note in waiting:
        yield _line({"head": note})


def check_export(
    lines: Iterable[str],
    key: VerifyingKey | None = None,
    kept: Sequence[str] = (),
    *,
    seen: Callable[[Record], None] | None = None,
    open_ended: bool = False,
) -> Checked:
    """Check an export from its first line to its last; every hash and signature is computed again.

    ``key`` is one of the log's keys as published; without it, the export's own are believed. ``kept`` are signed heads
    that were kept elsewhere: each must be of this log and its root must be this log's root at that size, so a log that
    was cut or rewritten below one of them is found out. ``seen`` is called with each record that still has its body;
    ``open_ended`` allows records behind the last head. Raises LedgerError naming the line and what does not hold.
    """
    numbered = enumerate(lines, 1)
    check = _Check(_key(next(numbered, (1, "{}"))[1]), kept, seen or (lambda _: None))
    for number, line in numbered:
        try:
            check.line(line)
        except LedgerError as error:
            raise LedgerError(f"line {number}: {error}") from None
    check.finish(open_ended)
    keys = tuple(check.chain.keys)
    if key is not None and key not in keys:
        raise LedgerError(f"line 1: the export is of the log {keys[-1]}, not of {key}; check it against its own key")
    return Checked(
        size=check.edge.size,
        head=check.last,
        heads=check.heads,
        kept=len(kept),
        unsigned=check.edge.size - (check.last.size if check.last else 0),
        erased=tuple(sorted(check.erased)),
        keys=keys,
        trusted=key is not None,
        root=check.edge.root,
    )


class _Check:
    def __init__(self, key: VerifyingKey, kept: Sequence[str], seen: Callable[[Record], None]) -> None:
        self.chain = KeyChain(key)
        self.edge = Edge()
        self.seen = seen
        self.kept: dict[int, list[str]] = {}
        for note in kept:
            self.kept.setdefault(head_of(note).size, []).append(note)
        self.erased: set[int] = set()
        self.explained: set[int] = set()
        self.heads = 0
        self.last: TreeHead | None = None
        self._compare()

    def line(self, line: str) -> None:
        match _object(line):
            case {"entry": str(text), **rest} if not rest:
                self._entry(text.encode())
            case {"leaf": str(text), **rest} if not rest:
                self.erased.add(self.edge.size)
                self._leaf(_hash(text))
            case {"head": str(note), **rest} if not rest:
                self._head(note)
            case _:
                raise LedgerError("neither a record nor a head; take an untouched export")

    def _entry(self, data: bytes) -> None:
        record = Record.decode(data)
        if record.index != self.edge.size:
            raise LedgerError(f"record {record.index} stands where {self.edge.size} belongs; the log was altered")
        if record.entry.kind is Kind.RETENTION:
            self.explained.update(_erased_by(record))
        self._leaf(leaf_hash(data), record)
        self.seen(record)

    def _leaf(self, leaf: bytes, record: Record | None = None) -> None:
        if self.chain.handing_over:
            raise LedgerError("the key was replaced before this record, and no head signed by both keys says so")
        self.edge, _ = self.edge.append(leaf)
        if record is not None:
            self.chain.see(record)
        self._compare()

    def _compare(self) -> None:
        for note in self.kept.pop(self.edge.size, ()):
            self._agrees(self.chain.opens(note).root, "a head kept elsewhere")

    def _head(self, note: str) -> None:
        head = self.chain.open(note)
        if head.size != self.edge.size:
            raise LedgerError(f"a head of {head.size} records stands below {self.edge.size}; the log was altered")
        self._agrees(head.root, "its head")
        self.heads, self.last = self.heads + 1, head

    def _agrees(self, root: bytes, whose: str) -> None:
        if self.edge.root != root:
            raise LedgerError(
                f"{whose}, over {self.edge.size} records, has another root; a record was altered, added or removed"
            )

    def finish(self, open_ended: bool) -> None:
        for size, notes in self.kept.items():
            opened_by_any(self.chain.keys, notes[0])
            raise LedgerError(
                f"a head kept elsewhere counts {size} records, and only {self.edge.size} stand here; the log was cut"
            )
        complete = self.last is not None and self.last.size == self.edge.size
        if self.chain.handing_over or not (complete or open_ended):
            raise LedgerError("the last line is not a head over all records; the export was cut")
        silent = sorted(self.erased - self.explained)
        if silent:
            raise LedgerError(f"record {silent[0]}: its body is gone, and no later record says that it was erased")


def _erased_by(record: Record) -> range:
    """The numbers that a record of kind retention says were erased; all below its own."""
    try:
        first, last = (int(record.entry.detail[name]) for name in ("first", "last"))
    except (KeyError, ValueError):
        raise LedgerError(f"record {record.index}: retention without first and last") from None
    if not 0 <= first <= last < record.index:
        raise LedgerError(f"record {record.index}: retention of {first} to {last}, which are not all before it")
    return range(first, last + 1)


def _key(line: str) -> VerifyingKey:
    try:
        members = _object(line)
    except LedgerError:
        members = {}
    if members.get("format") != EXPORT_FORMAT or not isinstance(members.get("key"), str):
        raise LedgerError(f"line 1: not the start of a {EXPORT_FORMAT}; give the file that export wrote")
    return VerifyingKey.parse(members["key"])


def _object(line: str) -> dict[str, Any]:
    try:
        members = json.loads(line)
    except ValueError:
        members = None
    if not isinstance(members, dict) or _line(members) != line.rstrip("\r\n"):
        raise LedgerError("not one JSON object as export writes it; take an untouched export")
    return members


def _hash(text: str) -> bytes:
    try:
        leaf = bytes.fromhex(text)
    except ValueError:
        leaf = b""
    if len(leaf) != 32 or leaf.hex() != text:
        raise LedgerError("a leaf is not 64 hex digits; take an untouched export")
    return leaf


def _line(members: dict[str, Any]) -> str:
    return json.dumps(members, ensure_ascii=False, separators=(",", ":"))
