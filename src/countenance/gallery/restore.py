"""The way back from a backup: the faces of then, under the keys and the ledger of now. See ``archive``."""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from countenance.errors import GalleryError, LedgerError
from countenance.gallery.archive import PASSING, Archive, columns, sync_folder
from countenance.gallery.log import entry_of
from countenance.gallery.opening import FACE_KEYS, SQLITE_FILE, open_gallery, open_store
from countenance.gallery.store import TABLES, Store, Tx
from countenance.gallery.values import Occasion
from countenance.ledger import (
    Edge,
    Kind,
    Record,
    SigningKey,
    check_export,
    export_lines,
    head_of,
    leaf_hash,
    successor,
)

__all__ = ["Restored", "restore"]

_KEY_BYTES = 32
_LOG = ("log", "tree", "heads")
_OCCASION = Occasion(actor="countenance", operation="restore")
Line = tuple[str, float, bytes | None]
"""Kind, end and body of a record; the body is None where it was erased."""


@dataclass(frozen=True)
class Restored:
    """What a restore did.

    ``erased`` faces of the backup were erased since, and stay so; ``lost`` faces were enrolled since, and are in no
    backup; ``head`` is the signed head of the ledger now.
    """

    collections: int
    faces: int
    erased: int
    lost: int
    records: int
    head: str


@dataclass(frozen=True)
class _Log:
    """A ledger from somewhere: what it is called, and its records in order with their leaf hashes and heads."""

    name: str
    lines: list[Line]
    leaves: list[bytes]
    heads: list[str]

    @classmethod
    def of_tables(cls, name: str, tx: Any) -> "_Log":
        """From the tables of a store or a backup."""
        lines = [(kind, ended, None if body is None else bytes(body)) for kind, ended, body in tx.rows(_LINES)]
        leaves = [bytes(leaf) for (leaf,) in tx.rows("SELECT hash FROM tree WHERE level = 0 ORDER BY position")]
        heads = [note for (note,) in tx.rows("SELECT note FROM heads ORDER BY size")]
        return cls(name, lines, leaves, heads)

    @classmethod
    def of_export(cls, path: Path) -> "_Log":
        """From an export of the ledger, which is checked. Raises LedgerError."""
        try:
            text = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            raise LedgerError(f"{path}: cannot be read; give an export of the ledger") from None
        try:
            check_export(text)
        except LedgerError as error:
            raise LedgerError(f"{path}: {error}") from None
        found = cls(str(path), [], [], [])
        for said in map(json.loads, text[1:]):
            if "entry" in said:
                body = said["entry"].encode()
                entry = Record.decode(body).entry
                found.lines.append((str(entry.kind), entry.ended.timestamp(), body))
                found.leaves.append(leaf_hash(body))
            elif "leaf" in said:
                found.lines.append(("erased", 0.0, None))
                found.leaves.append(bytes.fromhex(said["leaf"]))
            else:
                found.heads.append(said["head"])
        return found

    def records(self, start: int = 0) -> Iterator[Record]:
        """The records from ``start`` on that still have their bodies."""
        return (Record.decode(body) for _, _, body in self.lines[start:] if body is not None)


_LINES = "SELECT kind, ended, body FROM log ORDER BY idx"


def restore(
    path: Path,
    folder: Path,
    database: str | None = None,
    *,
    export: Path | None = None,
    kept: Sequence[str] = (),
    replace: bool = False,
    ledger_lost: bool = False,
) -> Restored:
    """Bring the backup ``path`` back into the gallery in ``folder`` (and ``database``). Nobody may have it open.

    ``folder`` holds the current ``faces.keys`` and ``ledger.key``. The ledger comes from the store that is there, from
    ``export``, or from the backup, whichever is longest; ``kept`` are signed heads that it must contain. With
    ``ledger_lost`` a head that is newer than all of these is accepted, and the ledger says so. With ``replace`` a
    gallery that is there is replaced. Until the end, nothing that is there changes. Raises GalleryError, LedgerError.
    """
    with Archive(path) as archive:
        _belongs(archive, folder)
        logs = [_Log.of_tables("the backup", archive), *_there(folder, database, replace)]
        if export is not None:
            logs.append(_Log.of_export(export))
        log = _longest(logs)
        key = SigningKey.load(folder / "ledger.key")
        missed = _checked(log, key, kept, ledger_lost)
        since = _since(log, archive)
        slots = (folder / FACE_KEYS).stat().st_size // _KEY_BYTES
        _written(_Plan(archive, log, since, slots, missed, str(key.verifying)), folder, database)
    with open_gallery(folder, database, restored=True) as gallery:  # opens every face there is
        head, now = gallery.ledger.head(), gallery.counts()
    return Restored(now.collections, now.faces, since.in_backup - now.faces, since.enrolled, now.records, head)


def _belongs(archive: Archive, folder: Path) -> None:
    """Raises GalleryError unless the current keys of the very gallery are in the folder."""
    keys = folder / FACE_KEYS
    if not keys.exists():
        raise GalleryError(f"{keys}: is not there, and without the current keys no face of a backup can be opened")
    with keys.open("rb") as file:
        mark = file.read(_KEY_BYTES)
    if mark != sha256(archive.meta["gallery"].encode()).digest():
        raise GalleryError(
            f"{keys}: the keys of another gallery than the one in the backup; give the folder of that one"
        )


def _there(folder: Path, database: str | None, replace: bool) -> list[_Log]:
    """The ledger of the gallery that is there now, if one is. Raises GalleryError when it may not be replaced."""
    file = folder / SQLITE_FILE
    if database is None and not file.exists():
        return []
    try:
        store, _ = open_store(folder, database)
        with closing(store):
            store.purge()  # into the one file that is replaced
            with store.read() as tx:
                found = dict(tx.rows("SELECT name, value FROM meta"))
                log = _Log.of_tables("the gallery that is there", tx)
    except (GalleryError, sqlite3.DatabaseError):
        if database is not None or not replace:
            raise
        return []  # too damaged to be read; a head that was kept tells what is missing
    if found and not replace:
        raise GalleryError(f"{database or file}: there is a gallery already; --replace replaces it")
    return [log] if log.leaves else []


def _longest(logs: Sequence[_Log]) -> _Log:
    """The longest; all others are its beginnings, else LedgerError."""
    longest = max(logs, key=lambda log: (len(log.leaves), log is not logs[0]))
    for log in logs:
        if log.leaves != longest.leaves[: len(log.leaves)]:
            raise LedgerError(
                f"the ledgers of {log.name} and of {longest.name} contradict each other: one of them was altered, or"
                " was written to after it had been taken back; leave out, or move away, what you do not trust"
            )
    return longest


def _checked(log: _Log, key: SigningKey, kept: Sequence[str], ledger_lost: bool) -> int:
    """Check every hash, signature and kept head; the size of the largest kept head that is missed, or 0."""
    size = len(log.leaves)
    ahead = [head_of(note).size for note in kept if head_of(note).size > size]
    if ahead and not ledger_lost:
        raise LedgerError(
            f"a head was kept over {max(ahead)} records, and the longest ledger at hand ({log.name}) has {size};"
            " give an export of the current one (--ledger EXPORT), or say that it is lost: --ledger-lost"
        )
    first = next((pair[0] for pair in map(successor, log.records()) if pair), key.verifying)
    bodies = (body for _, _, body in log.lines)
    found = check_export(
        export_lines(first, bodies, log.leaves, log.heads),
        key.verifying,
        [note for note in kept if head_of(note).size <= size],
        open_ended=True,
    )
    if found.key != key.verifying:
        raise LedgerError(f"the ledger of {log.name} ends under the key {found.key}; put that key into ledger.key")
    return max(ahead, default=0)


@dataclass(frozen=True)
class _Since:
    """What the ledger tells of the time since the backup."""

    erased: frozenset[str]
    deleted: frozenset[str]
    enrolled: int
    in_backup: int


@dataclass(frozen=True)
class _Plan:
    """What is brought back, what is known of the time since, how many slots ``faces.keys`` has, and the ledger's key.

    ``missed``: the size of a head that was kept and is newer than the ledger, or 0.
    """

    archive: Archive
    log: _Log
    since: _Since
    slots: int
    missed: int
    key: str


def _since(log: _Log, archive: Archive) -> _Since:
    erased: set[str] = set()
    enrolled: set[str] = set()
    deleted: set[str] = set()
    for record in log.records(archive.size):
        entry = record.entry
        if entry.kind is Kind.ERASURE:
            erased.update(entry.faces)
        elif entry.kind is Kind.ENROLMENT:
            enrolled.update(entry.faces)
        elif entry.kind is Kind.COLLECTION and entry.reason == "deleted" and entry.gallery:
            deleted.add(entry.gallery)
    return _Since(frozenset(erased), frozenset(deleted), len(enrolled - erased), archive.count("faces"))


def _written(plan: _Plan, folder: Path, database: str | None) -> None:
    """Everything in one transaction; of SQLite, in a new file that then takes the old one's place."""
    if database is not None:
        store, _ = open_store(folder, database)
        with closing(store), store.write() as tx:
            _fill(tx, store, plan)
        return
    from countenance.gallery.sqlite import SQLiteStore

    fresh = folder / f".{SQLITE_FILE}.restoring"
    _unlink(fresh)
    try:
        with closing(SQLiteStore(fresh)) as file:
            with file.write() as tx:
                _fill(tx, file, plan)
            file.purge()
        for side in ("-wal", "-shm"):  # empty since `_there`; another file's must not lie beside the new one
            (folder / f"{SQLITE_FILE}{side}").unlink(missing_ok=True)
        os.replace(fresh, folder / SQLITE_FILE)
        sync_folder(folder)
    finally:
        _unlink(fresh)


def _unlink(path: Path) -> None:
    for side in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + side).unlink()


def _fill(tx: Tx, store: Store, plan: _Plan) -> None:
    archive, deleted = plan.archive, plan.since.deleted
    collections = list(archive.rows("SELECT uid, name FROM collections ORDER BY uid"))
    gone = {uid for uid, name in collections if name in deleted}
    store.clear(tx)
    for uid, _ in collections:
        if uid not in gone:
            store.partition(tx, uid)
    doomed: list[int] = []
    for table in TABLES:
        if table in PASSING or table in _LOG:
            continue
        names, _ = columns(archive.file, table)
        rows = archive.rows(f"SELECT {', '.join(names)} FROM {table}")  # noqa: S608
        _insert(tx, table, names, _kept(table, names, rows, plan.since, gone, doomed))
    there = {slot for (slot,) in tx.rows("SELECT slot FROM doomed")}
    _insert(tx, "doomed", ["slot"], ((slot,) for slot in doomed if slot not in there))
    tx.many("DELETE FROM meta WHERE name = ?", [("backup",), ("ledger-key",)])
    tx.run("INSERT INTO meta (name, value) VALUES (?, ?)", ("ledger-key", plan.key))
    _ahead(tx, len(plan.log.leaves) - archive.size, plan.slots)
    _ledger(tx, plan, len(doomed))


def _kept(
    table: str,
    names: Sequence[str],
    rows: Iterable[tuple[Any, ...]],
    since: _Since,
    gone: set[int],
    doomed: list[int],
) -> Iterator[tuple[Any, ...]]:
    """The rows of a table that come back; the slots of faces that do not are added to ``doomed``."""
    at = {name: number for number, name in enumerate(names)}
    of = at.get("uid" if table == "collections" else "collection")
    for row in rows:
        lost = of is not None and row[of] in gone
        if table == "faces":
            lost = lost or row[at["face_id"]] in since.erased
            if lost:
                doomed.append(row[at["slot"]])
        if not lost:
            yield row


def _insert(tx: Tx, table: str, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    sql = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608
    batch: list[Sequence[Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == 2000:
            tx.many(sql, batch)
            batch = []
    tx.many(sql, batch)


def _ahead(tx: Tx, records: int, slots: int) -> None:
    """Let no number that was given out since the backup be given out again: each took a record, each slot a key."""
    for name, least, more in (("slot", slots, 0), ("collection", 1, records)):
        tx.run("INSERT INTO counters (name, value) VALUES (?, 1) ON CONFLICT (name) DO NOTHING", (name,))
        ((value,),) = tx.rows("SELECT value FROM counters WHERE name = ?", (name,))
        tx.run("UPDATE counters SET value = ? WHERE name = ?", (max(value, least) + more, name))
    count = "SELECT COUNT(*) FROM faces f WHERE f.collection = collections.uid"
    tx.run(f"UPDATE collections SET version = version + ?, faces = ({count})", (records + 1,))  # noqa: S608


def _ledger(tx: Tx, plan: _Plan, erased: int) -> None:
    """The whole ledger, and the record of this restore behind it."""
    log, since = plan.log, plan.since
    detail = {
        "backup": plan.archive.made,
        "records_then": str(plan.archive.size),
        "faces_then": str(since.in_backup),
        "erased_since": str(erased),
        "enrolled_since_and_lost": str(since.enrolled),
    }
    if plan.missed:
        detail["records_missing"] = f"{len(log.leaves)} to {plan.missed - 1}"
    entry = entry_of(Kind.RESTORE, _OCCASION, detail=detail)
    record = entry.recorded(len(log.leaves))
    lines: list[Line] = [*log.lines, (str(Kind.RESTORE), entry.ended.timestamp(), record.encode())]
    _insert(tx, "log", ["idx", "kind", "ended", "body"], ((i, *line) for i, line in enumerate(lines)))
    _insert(tx, "tree", ["level", "position", "hash"], _nodes([*log.leaves, record.leaf]))
    _insert(tx, "heads", ["size", "note"], ((head_of(note).size, note) for note in log.heads))


def _nodes(leaves: Iterable[bytes]) -> Iterator[tuple[int, int, bytes]]:
    """The whole stored tree over these leaves."""
    edge = Edge()
    for leaf in leaves:
        edge, nodes = edge.append(leaf)
        yield from nodes
