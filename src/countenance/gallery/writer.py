"""The one thread that writes: it takes whatever waits, writes it in one transaction, and answers when it is durable.

A disk takes milliseconds to promise that something is kept. Many changes share one promise (group commit), so the
number of changes in a second is not bounded by the number of promises in a second.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from countenance.errors import StoreError
from countenance.gallery.keys import KeyFile
from countenance.gallery.store import Store, Tx, marks
from countenance.ledger import Edge, Entry, leaf_hash

__all__ = ["Change", "Writer", "read_edge"]

T = TypeVar("T")
_BATCH = 256


def read_edge(tx: Tx) -> Edge:
    """The right edge of the log as it is stored."""
    ((size,),) = tx.rows("SELECT COALESCE(MAX(idx) + 1, 0) FROM log")
    return Edge.read(size, lambda level, position: node(tx, level, position))


def node(tx: Tx, level: int, position: int) -> bytes:
    """One stored node of the tree. Raises GalleryError when it is gone."""
    found = tx.rows("SELECT hash FROM tree WHERE level = ? AND position = ?", (level, position))
    if not found:
        raise StoreError(f"ledger: node ({level}, {position}) is missing from the store; restore it from a backup")
    return bytes(found[0][0])


class Change:
    """One transaction in the making, for the operations that share it."""

    def __init__(self, tx: Tx, edge: Edge) -> None:
        self.tx, self.edge = tx, edge
        self.keys: dict[int, bytes] = {}
        self.doomed: list[int] = []
        self.deleted = False  # something was, so the files have to be purged of it

    def record(self, entry: Entry) -> int:
        """Append to the ledger; the entry's number."""
        record = entry.recorded(self.edge.size)
        body = record.encode()
        self.edge, nodes = self.edge.append(leaf_hash(body))
        self.tx.run(
            "INSERT INTO log (idx, kind, ended, body) VALUES (?, ?, ?, ?)",
            (record.index, str(entry.kind), entry.ended.timestamp(), body),
        )
        self.tx.many("INSERT INTO tree (level, position, hash) VALUES (?, ?, ?)", nodes)
        return record.index

    def numbers(self, name: str, count: int) -> range:
        """``count`` numbers that were never given out under this name, from 1 on."""
        self.tx.run("INSERT INTO counters (name, value) VALUES (?, 1) ON CONFLICT (name) DO NOTHING", (name,))
        ((first,),) = self.tx.rows("SELECT value FROM counters WHERE name = ?", (name,))
        self.tx.run("UPDATE counters SET value = ? WHERE name = ?", (first + count, name))
        return range(first, first + count)

    def doom(self, slots: list[int]) -> None:
        """Destroy these keys once the transaction is durable; if we die first, whoever opens the gallery next does."""
        self.tx.many("INSERT INTO doomed (slot) VALUES (?)", [(slot,) for slot in slots])
        self.doomed.extend(slots)
        self.deleted = True

    def attempt(self, operation: Callable[["Change"], T]) -> T:
        """Run one operation; when it fails, nothing of it remains in the transaction."""
        edge, keys, doomed = self.edge, dict(self.keys), len(self.doomed)
        try:
            with self.tx.savepoint():
                return operation(self)
        except BaseException:
            self.edge, self.keys = edge, keys
            del self.doomed[doomed:]
            raise


class Writer:
    """Runs operations one after the other, several to a transaction. ``after`` is called after each commit."""

    def __init__(self, store: Store, keys: KeyFile) -> None:
        self._store, self._keys = store, keys
        self._queue: queue.SimpleQueue[tuple[Callable[[Change], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._destroyed: list[int] = []
        self._edge: Edge | None = None
        self.purged = True
        self._recover()
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="countenance-writer", daemon=True)
        self._thread.start()

    def do(self, operation: Callable[[Change], T]) -> T:
        """Run ``operation`` and return its result once it is durable. Its exceptions come out here, and undo it."""
        future: Future[T] = Future()
        with self._closing:
            if self._closed:
                raise StoreError("the gallery is closed; open it again")
            self._queue.put((operation, future))
        return future.result()

    def close(self) -> None:
        """Finish what waits, then stop."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def _recover(self) -> None:
        """Destroy the keys that an earlier process had promised to destroy."""
        with self._store.read() as tx:
            slots = [slot for (slot,) in tx.rows("SELECT slot FROM doomed")]
        if slots:
            self._keys.destroy(slots)
            self._store.purge()
            self._destroyed = slots

    def _run(self) -> None:
        while True:
            batch = [self._queue.get()]
            while len(batch) < _BATCH and not self._queue.empty():
                batch.append(self._queue.get())
            work = [item for item in batch if item is not None]
            if work:
                self._batch(work)
            if len(work) < len(batch):
                return

    def _batch(self, work: list[tuple[Callable[[Change], Any], Future[Any]]]) -> None:
        done: list[tuple[Future[Any], Any]] = []
        try:
            change = self._commit(work, done)
            if change.doomed:
                self._keys.destroy(change.doomed)
                self._destroyed.extend(change.doomed)
            self.purged = self.purged and not change.deleted
            if not self.purged:
                self.purged = self._store.purge()
        except Exception as error:  # the disk is full, the server gone: nobody may take it for kept
            self._edge = None
            for _, future in work:
                if not future.done():
                    future.set_exception(StoreError(f"the change could not be made durable ({error}); try again"))
            return
        for future, result in done:
            future.set_result(result)

    def _commit(
        self, work: list[tuple[Callable[[Change], Any], Future[Any]]], done: list[tuple[Future[Any], Any]]
    ) -> Change:
        failed: list[tuple[Future[Any], BaseException]] = []
        with self._store.write() as tx:
            change = Change(tx, self._current(tx))
            for part in range(0, len(self._destroyed), 1000):
                slots = self._destroyed[part : part + 1000]
                tx.run(f"DELETE FROM doomed WHERE slot IN ({marks(slots)})", slots)  # noqa: S608
            for operation, future in work:
                try:
                    done.append((future, change.attempt(operation)))
                except Exception as error:
                    if not tx.alive():  # nothing may run outside the transaction; all that share it fail
                        raise
                    failed.append((future, error))
            self._keys.write(change.keys)
        self._destroyed = []
        self._edge = change.edge
        for future, problem in failed:
            future.set_exception(problem)
        return change

    def _current(self, tx: Tx) -> Edge:
        ((size,),) = tx.rows("SELECT COALESCE(MAX(idx) + 1, 0) FROM log")
        if self._edge is None or self._edge.size != size:
            self._edge = read_edge(tx)
        return self._edge
