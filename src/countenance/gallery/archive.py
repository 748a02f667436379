"""Backups of a gallery, and their way back: one format for every store, without the keys that open the faces.

A backup is a SQLite file with the tables of ``store.SCHEMA``, as one moment saw them, and a signed head of the ledger.
What identifies a person is sealed in it under keys that lie in ``faces.keys`` alone, so erasing reaches backups too:
they hold what cannot be opened any more. A restore therefore needs the *current* keys, and the current ledger, which
must not go back in time: the longest one at hand wins, all others must be its beginnings, and what it says was erased
since the backup is not brought back.
"""

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from countenance.errors import GalleryError
from countenance.gallery.opening import SQLITE_FILE, open_ledger, open_store
from countenance.gallery.store import SCHEMA, SCHEMA_VERSION, TABLES, Tx
from countenance.ledger import head_of

__all__ = ["PASSING", "Archive", "BackupMade", "columns", "sync_folder", "write_backup"]

PASSING = ("tokens", "reviews")
"""Tables of what passes within days: not in a backup."""
_PAGE = 2000


@dataclass(frozen=True)
class BackupMade:
    """What a backup holds, and the signed head of the ledger in it: keep that elsewhere."""

    path: Path
    collections: int
    faces: int
    records: int
    head: str


def write_backup(path: Path, folder: Path, database: str | None = None) -> BackupMade:
    """Write the gallery in ``folder`` (and ``database``), which may be in use, to the file ``path``, mode 0600.

    The file is there whole or not at all. Raises GalleryError when there is one already, or no gallery.
    """
    if path.exists():
        raise GalleryError(f"{path}: there is such a file; backups are not written over")
    with open_ledger(folder, database) as ledger:
        head = ledger.head()
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        if database is None:
            with closing(sqlite3.connect(folder / SQLITE_FILE)) as source:
                source.execute("VACUUM INTO ?", (str(partial),))  # one view of it, at the speed of the disk
        else:
            store, _ = open_store(folder, database)
            with closing(store), store.read() as tx:
                _copy_out(tx, partial)
        made = _finished(partial, path, head)
        os.link(partial, path)  # not over a file that came meanwhile
    except OSError as error:
        raise GalleryError(f"{path}: cannot be written ({error.strerror}); give another place") from None
    except sqlite3.Error as error:
        raise GalleryError(f"{path}: cannot be written ({error}); give a place with room") from None
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(path.parent)
    return made


def columns(file: sqlite3.Connection, table: str) -> tuple[list[str], list[str]]:
    """The columns of a table, and those of its primary key in order."""
    about = file.execute(f"PRAGMA table_info({table})").fetchall()
    keys = sorted((row[5], row[1]) for row in about if row[5])
    return [row[1] for row in about], [name for _, name in keys]


def _copy_out(tx: Tx, path: Path) -> None:
    """All tables of one transaction into a fresh SQLite file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("BEGIN")
        for statement in SCHEMA.format(partitioned="").split(";"):
            file.execute(statement)
        for table in TABLES:
            if table in PASSING:
                continue
            names, key = columns(file, table)
            marks = ", ".join("?" * len(names))
            for rows in _pages(tx, table, names, key):
                file.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608
        file.execute("COMMIT")


def _pages(tx: Tx, table: str, names: Sequence[str], key: Sequence[str]) -> Iterator[list[tuple[Any, ...]]]:
    """A table's rows in order of its key, some at a time."""
    ordered, at = ", ".join(key), [names.index(name) for name in key]
    select = f"SELECT {', '.join(names)} FROM {table}"  # noqa: S608
    where, place = "", ()
    while True:
        rows = tx.rows(f"{select}{where} ORDER BY {ordered} LIMIT {_PAGE}", place)
        if rows:
            yield rows
        if len(rows) < _PAGE:
            return
        where = f" WHERE ({ordered}) > ({', '.join('?' * len(key))})"
        place = tuple(rows[-1][i] for i in at)


def _finished(path: Path, name: Path, head: str) -> BackupMade:
    """Take out what passes, say what it is, check it, and wait for the disk."""
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("PRAGMA secure_delete = ON")
        for table in PASSING:
            file.execute(f"DELETE FROM {table}")  # noqa: S608
        said = json.dumps({"made": datetime.now(UTC).isoformat(), "head": head})
        file.execute("INSERT INTO meta (name, value) VALUES ('backup', ?)", (said,))
    with Archive(path) as archive:
        made = BackupMade(name, archive.count("collections"), archive.count("faces"), archive.size, head)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return made


def sync_folder(folder: Path) -> None:
    """Wait until the disk knows the names in a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Archive:
    """A backup, opened for reading and found whole; entered and left like a file. Raises GalleryError otherwise."""

    def __init__(self, path: Path) -> None:
        self._path = path
        if not path.is_file():
            raise GalleryError(f"{path}: no such file; give a backup")
        self.file = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
        try:
            self.meta = dict(self.file.execute("SELECT name, value FROM meta").fetchall())
            said = json.loads(self.meta["backup"])
            self.head, self.made = str(said["head"]), str(said["made"])
            whole = self.file.execute("PRAGMA quick_check").fetchone() == ("ok",)
            ((self.size,),) = self.file.execute("SELECT COALESCE(MAX(idx) + 1, 0) FROM log").fetchall()
        except (sqlite3.Error, KeyError, ValueError, TypeError):
            self.file.close()
            raise GalleryError(
                f"{path}: not a backup that `countenance backup` made, or damaged; give another"
            ) from None
        if not whole or self.count("log") != self.size or head_of(self.head).size > self.size:
            self.file.close()
            raise GalleryError(f"{path}: the backup is damaged; give another")
        if self.meta.get("schema") != SCHEMA_VERSION:
            self.file.close()
            raise GalleryError(
                f"{path}: its tables are of version {self.meta.get('schema')}, this program knows {SCHEMA_VERSION}"
            )

    def count(self, table: str) -> int:
        """How many rows a table has."""
        return int(self.file.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])  # noqa: S608

    def rows(self, sql: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Rows of a query, as they are read."""
        return iter(self.file.execute(sql, values))

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
