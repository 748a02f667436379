"""The store in one SQLite file, in WAL mode: durable at every commit, and nothing deleted is left in its free pages."""

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from countenance.errors import GalleryError
from countenance.gallery.store import SCHEMA, TABLES, Tx

__all__ = ["SQLiteStore"]

_WAIT = 10.0  # seconds to wait for another process's write, or for readers before a purge


class _Transaction:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, values).fetchall()

    def run(self, sql: str, values: Sequence[Any] = ()) -> int:
        return self._connection.execute(sql, values).rowcount

    def many(self, sql: str, values: Sequence[Sequence[Any]]) -> None:
        self._connection.executemany(sql, values)

    def alive(self) -> bool:
        return self._connection.in_transaction

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        self._connection.execute("SAVEPOINT op")
        try:
            yield
        except BaseException:
            if self.alive():
                self._connection.execute("ROLLBACK TO op")
                self._connection.execute("RELEASE op")
            raise
        self._connection.execute("RELEASE op")


class SQLiteStore:
    """See ``Store``. Several processes may open one file; each has its vectors in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._own = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._writing = threading.Lock()
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        try:
            self._writer = self._connect()
            self._writer.execute("PRAGMA journal_mode = WAL")
            with self.write() as tx:
                for statement in SCHEMA.format(partitioned="").split(";"):
                    tx.run(statement)
                _explain(tx)
        except sqlite3.DatabaseError as error:
            raise GalleryError(f"{path}: not a gallery that can be opened ({error})") from None

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
        for setting in ("synchronous = FULL", "secure_delete = ON", "temp_store = MEMORY", "mmap_size = 0"):
            connection.execute(f"PRAGMA {setting}")
        self._opened.append(connection)
        return connection

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """One consistent view, on this thread's own connection."""
        connection: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = self._connect()
        connection.execute("BEGIN")
        try:
            yield _Transaction(connection)
        finally:
            connection.execute("ROLLBACK")

    @contextmanager
    def write(self) -> Iterator[Tx]:
        """Alone among writers of all processes; synchronous, so that the commit is on the disk."""
        with self._writing:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield _Transaction(self._writer)
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def partition(self, tx: Tx, uid: int) -> None:
        """Nothing to do: one table holds all collections."""

    def drop_partition(self, tx: Tx, uid: int) -> None:
        """Nothing to do."""

    def clear(self, tx: Tx) -> None:
        """Empty every table."""
        for table in TABLES:
            tx.run(f"DELETE FROM {table}")  # noqa: S608

    def purge(self) -> bool:
        """Empty the write-ahead log into the database, whose free space holds zeros, and cut it to nothing."""
        with self._writing:
            busy, _, _ = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy

    def close(self) -> None:
        """Close every connection; the last one out empties the write-ahead log."""
        for connection in self._opened:
            connection.close()


_FACES = {
    "sqlite_autoindex_faces_1": "1000000 1000000 1",
    "faces_by_user": "1000000 1000000 100000 1",
    "faces_by_version": "1000000 1000000 1000 1",
    "faces_by_expiry": "1000000 1000",
}
"""For SQLite's planner: rows in an index of ``faces``, and how many share its first column, its first two ..."""


def _explain(tx: Tx) -> None:
    """Tell the planner that collections are large; by itself it takes one for ten faces and walks through it."""
    if not tx.rows("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'"):
        tx.run("ANALYZE faces")
    if not tx.rows("SELECT 1 FROM sqlite_stat1 WHERE tbl = 'faces' AND idx = 'faces_by_user'"):
        tx.run("DELETE FROM sqlite_stat1 WHERE tbl = 'faces'")
        tx.many("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('faces', ?, ?)", list(_FACES.items()))
        tx.run("ANALYZE sqlite_schema")
