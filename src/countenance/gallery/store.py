"""What a gallery asks of a database, and the tables it keeps there: one text of SQL for SQLite and PostgreSQL.

Writers stand in line: a write transaction has the store for itself, from its first row on, across processes. So the
ledger is one line of records, and a collection's ``version`` grows in the order of commits, which is how a process
finds out what others have changed.
"""

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

__all__ = ["SCHEMA", "SCHEMA_VERSION", "TABLES", "Store", "Tx", "marks"]

SCHEMA_VERSION = "1"

# BLOB, INTEGER and REAL are SQLite's names; PostgreSQL's replace them there. Times are seconds since 1970, UTC.
SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS collections (
    uid INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, pipeline TEXT NOT NULL, metric TEXT NOT NULL,
    dimension INTEGER NOT NULL, created REAL NOT NULL, version INTEGER NOT NULL, faces INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS tags (
    collection INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (collection, name));
CREATE TABLE IF NOT EXISTS faces (
    collection INTEGER NOT NULL, face_id TEXT NOT NULL, user_id TEXT, slot INTEGER NOT NULL, version INTEGER NOT NULL,
    expires REAL NOT NULL, sealed BLOB NOT NULL, PRIMARY KEY (collection, face_id)){partitioned};
CREATE INDEX IF NOT EXISTS faces_by_version ON faces (collection, version, face_id);
CREATE INDEX IF NOT EXISTS faces_by_user ON faces (collection, user_id, face_id);
CREATE INDEX IF NOT EXISTS faces_by_expiry ON faces (expires);
CREATE TABLE IF NOT EXISTS removed (
    collection INTEGER NOT NULL, version INTEGER NOT NULL, face_id TEXT NOT NULL,
    PRIMARY KEY (collection, version, face_id));
CREATE TABLE IF NOT EXISTS users (
    collection INTEGER NOT NULL, user_id TEXT NOT NULL, created REAL NOT NULL, PRIMARY KEY (collection, user_id));
CREATE TABLE IF NOT EXISTS tokens (
    token TEXT PRIMARY KEY, request TEXT NOT NULL, answer TEXT NOT NULL, expires REAL NOT NULL);
CREATE TABLE IF NOT EXISTS reviews (
    review TEXT PRIMARY KEY, collection INTEGER NOT NULL, entry INTEGER NOT NULL, closes REAL NOT NULL,
    body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS doomed (slot INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS log (idx INTEGER PRIMARY KEY, kind TEXT NOT NULL, ended REAL NOT NULL, body BLOB);
CREATE TABLE IF NOT EXISTS tree (
    level INTEGER NOT NULL, position INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (level, position));
CREATE TABLE IF NOT EXISTS heads (size INTEGER PRIMARY KEY, note TEXT NOT NULL)
"""

TABLES = tuple(re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", SCHEMA))
"""The names of all of them."""


class Tx(Protocol):
    """A transaction. SQL has ``?`` for each parameter and no other question mark or percent sign."""

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""

    def run(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Change something; the number of rows it touched."""

    def many(self, sql: str, values: Sequence[Sequence[Any]]) -> None:
        """The same change for each of ``values``."""

    def savepoint(self) -> AbstractContextManager[None]:
        """What is changed inside is taken back if an exception leaves it."""

    def alive(self) -> bool:
        """False when the database has given the transaction up: the disk is full, the connection gone."""


class Store(Protocol):
    """A database that keeps the tables above."""

    def read(self) -> AbstractContextManager[Tx]:
        """One consistent view of what is committed. Any number of threads at once; keep it short."""

    def write(self) -> AbstractContextManager[Tx]:
        """Alone among writers. Durable when it is left without an exception, undone when with one."""

    def partition(self, tx: Tx, uid: int) -> None:
        """Make room for the faces of a new collection."""

    def drop_partition(self, tx: Tx, uid: int) -> None:
        """Take that room away; its faces are deleted already."""

    def clear(self, tx: Tx) -> None:
        """Empty every table, and let go of all partitions."""

    def purge(self) -> bool:
        """Bring what was deleted out of the files, too. False when readers stood in the way; ask again."""

    def close(self) -> None:
        """Close every connection."""


def marks(values: Sequence[Any]) -> str:
    """As many question marks as there are values, for IN (...)."""
    return ", ".join("?" * len(values))
