"""The store in PostgreSQL, for several server processes and machines.

Faces are partitioned by collection. PostgreSQL keeps old row versions until a vacuum and its log until it is recycled,
so nothing is certain about when bytes go; that is why what identifies a person is sealed, and the keys are not in it.
Writers of all processes take one advisory lock in turn, which makes the ledger one line.
"""

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, LiteralString

from countenance.errors import GalleryError, StoreError, UnavailableError
from countenance.gallery.store import SCHEMA, TABLES, Tx

try:
    import psycopg
    import psycopg.sql
except ImportError:
    raise UnavailableError("a PostgreSQL gallery needs an extra: pip install 'countenance[postgres]'") from None

__all__ = ["PostgresStore"]

_Connection = psycopg.Connection[tuple[Any, ...]]
_LOCK = 0x636F756E  # one number for all galleries of a database: "coun"
_TYPES = {"BLOB": "BYTEA", "INTEGER": "BIGINT", "REAL": "DOUBLE PRECISION", "TEXT": 'TEXT COLLATE "C"'}


@lru_cache(maxsize=512)
def _dialect(sql: str) -> str:
    return sql.replace("?", "%s")


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


class _Transaction:
    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._connection.execute(_dialect(sql), values).fetchall()

    def run(self, sql: str, values: Sequence[Any] = ()) -> int:
        return self._connection.execute(_dialect(sql), values).rowcount

    def many(self, sql: str, values: Sequence[Sequence[Any]]) -> None:
        if values:
            with self._connection.cursor() as cursor:
                cursor.executemany(_dialect(sql), values)

    def alive(self) -> bool:
        return self._connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        self._connection.execute("SAVEPOINT op")
        try:
            yield
        except BaseException:
            if not self._connection.closed:
                self._connection.execute("ROLLBACK TO op")
                self._connection.execute("RELEASE op")
            raise
        self._connection.execute("RELEASE op")


class PostgresStore:
    """See ``Store``. ``url`` as libpq takes it: ``postgresql://user@host/database``."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._own = threading.local()
        self._opened: list[_Connection] = []
        self._writing = threading.Lock()
        self._writer = self._connect()
        for setting in ("fsync", "full_page_writes"):
            ((value,),) = self._writer.execute(f"SHOW {setting}").fetchall()
            if value != "on":
                raise GalleryError(f"{setting}: is off in this PostgreSQL, so nothing is durable; turn it on")
        types = re.compile("|".join(_TYPES))
        schema = types.sub(lambda found: _TYPES[found[0]], SCHEMA.format(partitioned=" PARTITION BY LIST (collection)"))
        with self.write() as tx:
            for statement in schema.split(";"):
                tx.run(statement)

    def _connect(self) -> _Connection:
        try:
            connection = psycopg.connect(self._url, autocommit=True)
            connection.execute("SET synchronous_commit = on")
        except psycopg.OperationalError as error:
            raise StoreError(f"database: does not answer ({_first_line(error)}); start it, or mend the URL") from None
        self._opened.append(connection)
        return connection

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """One consistent view, on this thread's own connection."""
        begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        connection = self._own.connection = self._begin(getattr(self._own, "connection", None), begin)
        try:
            yield _Transaction(connection)
        except psycopg.OperationalError as error:
            raise StoreError(f"database: went away ({_first_line(error)}); try again") from None
        finally:
            if not connection.closed:
                connection.execute("ROLLBACK")

    @contextmanager
    def write(self) -> Iterator[Tx]:
        """Alone among writers of all processes; the commit waits for the disk."""
        with self._writing:
            self._writer = self._begin(self._writer, "BEGIN")
            try:
                self._writer.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
                yield _Transaction(self._writer)
                self._writer.execute("COMMIT")
            except BaseException:
                if not self._writer.closed:
                    self._writer.execute("ROLLBACK")
                raise

    def _begin(self, connection: _Connection | None, begin: LiteralString) -> _Connection:
        """Begin on this connection, or on a fresh one where it has died since it was last used."""
        if connection is not None and not connection.closed:
            try:
                connection.execute(begin)
            except psycopg.OperationalError:
                connection.close()
            else:
                return connection
        connection = self._connect()
        connection.execute(begin)
        return connection

    def partition(self, tx: Tx, uid: int) -> None:
        """A partition for the faces of one collection."""
        tx.run(f"CREATE TABLE faces_{int(uid)} PARTITION OF faces FOR VALUES IN ({int(uid)})")

    def drop_partition(self, tx: Tx, uid: int) -> None:
        """Drop it, and the table that searches inside the database made; their files go with them."""
        tx.run(f"DROP TABLE faces_{int(uid)}")
        tx.run(f"DROP TABLE IF EXISTS searchable_{int(uid)}")

    def clear(self, tx: Tx) -> None:
        """Empty every table, drop all partitions, and what searching inside the database made."""
        for (uid,) in tx.rows("SELECT uid FROM collections"):
            self.drop_partition(tx, uid)
        for table in TABLES:
            tx.run(f"DELETE FROM {table}")  # noqa: S608
        tx.run("DROP TABLE IF EXISTS searchable")

    def vacuum(self, table: str) -> bool:
        """Rewrite a table without what was deleted from it. False when readers were in the way for too long."""
        connection = self._connect()
        try:
            connection.execute("SET lock_timeout = '10s'")
            connection.execute(psycopg.sql.SQL("VACUUM (FULL) {}").format(psycopg.sql.Identifier(table)))
        except psycopg.errors.LockNotAvailable:
            return False
        finally:
            connection.close()
            self._opened.remove(connection)
        return True

    def purge(self) -> bool:
        """Nothing to do: what remains of an erased face is sealed under a key that is gone."""
        return True

    def close(self) -> None:
        """Close every connection."""
        for connection in self._opened:
            connection.close()
