"""The vectors of every collection, kept in memory and level with what is committed, also by other processes."""

import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from countenance.errors import NotFoundError, StoreError
from countenance.gallery.changes import read_collection
from countenance.gallery.index import Hit, Lock, VectorIndex
from countenance.gallery.keys import KeyFile
from countenance.gallery.records import FACE_COLUMNS, Opened, open_faces
from countenance.gallery.store import Store, Tx
from countenance.gallery.values import Collection

__all__ = ["Changes", "Index", "Indexes", "Live", "changes_since", "explain", "load_all"]

_PAGE = 4096


class Index(Protocol):
    """The vectors of one collection, ready to be searched."""

    version: int
    lock: Lock

    def __len__(self) -> int:
        """How many faces."""

    def vectors(self, face_ids: Iterable[str]) -> NDArray[np.float32]:
        """(m, d) of those of the faces that are there."""

    def of_user(self, user_id: str) -> list[str]:
        """The ids of a user's faces."""

    def search(
        self,
        probes: NDArray[np.float32],
        threshold: float,
        most: int,
        *,
        users: bool = False,
        without_faces: Iterable[str] = (),
        without_user: str | None = None,
    ) -> tuple[list[Hit], int]:
        """See ``VectorIndex.search``."""


class Indexes(Protocol):
    """Where the vectors are searched: in this process's memory, or inside the database."""

    def level(self, name: str) -> tuple[Collection, Index]:
        """A collection and its vectors, at least at its ``version``. Raises NotFoundError."""

    def load(self) -> None:
        """Bring every collection level, and let go of those that were deleted."""

    def let_go(self) -> None:
        """Let go of the collections that were deleted."""

    def purged(self) -> bool:
        """Whether nothing is left of what was erased."""

    def close(self) -> None:
        """Let go of everything."""


@dataclass(frozen=True)
class Changes:
    """What changed in a collection since a version."""

    opened: list[Opened]
    removed: list[str]
    lost: list[str]


def changes_since(tx: Tx, keys: KeyFile, collection: Collection, base: int) -> Changes:
    """Faces that are new or changed since version ``base``, ids that were erased, and ids whose key is gone."""
    removed = tx.rows("SELECT face_id FROM removed WHERE collection = ? AND version > ?", (collection.uid, base))
    found = Changes([], [face_id for (face_id,) in removed], [])
    place = (base, chr(0x10FFFF))  # behind every face id of that version
    while True:
        rows = tx.rows(
            f"SELECT {FACE_COLUMNS}, version FROM faces WHERE collection = ? AND (version, face_id) > (?, ?)"  # noqa: S608
            " ORDER BY version, face_id LIMIT ?",
            (collection.uid, *place, _PAGE),
        )
        opened, lost = open_faces(collection.uid, [row[:4] for row in rows], keys)
        found.opened.extend(opened)
        found.lost.extend(lost)
        if len(rows) < _PAGE:
            return found
        place = (rows[-1][4], rows[-1][0])


def explain(store: Store, uid: int, lost: list[str]) -> None:
    """A key may be gone because its face was erased since our view began; a fresh view tells. Raises StoreError."""
    for face_id in lost:
        with store.read() as tx:
            if tx.rows("SELECT 1 FROM faces WHERE collection = ? AND face_id = ?", (uid, face_id)):
                raise StoreError(
                    f"face {face_id}: its key is missing; the store is older than faces.keys, or that file was lost"
                )


def load_all(store: Store, indexes: Indexes) -> None:
    """Bring every collection level."""
    with store.read() as tx:
        rows = tx.rows("SELECT name FROM collections ORDER BY name")
    for (name,) in rows:
        with suppress(NotFoundError):  # deleted meanwhile
            indexes.level(name)


class Live:
    """In memory: one index for each collection. A search asks first, and so sees every change committed before."""

    def __init__(self, store: Store, keys: KeyFile) -> None:
        self._store, self._keys = store, keys
        self._indexes: dict[int, VectorIndex] = {}
        self._guard = threading.Lock()

    def level(self, name: str) -> tuple[Collection, VectorIndex]:
        """A collection and its vectors, at least at its ``version``. Raises NotFoundError."""
        with self._store.read() as tx:
            collection = read_collection(tx, name)
            index = self._index(collection)
            if index.version >= collection.version:
                return collection, index
            base = index.version
            changes = changes_since(tx, self._keys, collection, base)
        explain(self._store, collection.uid, changes.lost)
        with index.lock.writing():
            if index.version == base:
                for face in changes.opened:
                    index.put(face.face_id, face.vector, face.user_id)
                index.drop(changes.removed)
                index.version = collection.version
        if index.version >= collection.version:
            return collection, index
        return self.level(name)  # another thread was faster, but did not come as far

    def load(self) -> None:
        """Bring every collection level, and write zeros over those that are gone."""
        self.let_go()
        load_all(self._store, self)

    def let_go(self) -> None:
        """Write zeros over the collections that were deleted."""
        with self._store.read() as tx:
            self._keep_only({uid for (uid,) in tx.rows("SELECT uid FROM collections")})

    def purged(self) -> bool:
        """Zeros are written at once."""
        return True

    def close(self) -> None:
        """Write zeros over everything."""
        self._keep_only(set())

    def _keep_only(self, uids: set[int]) -> None:
        with self._guard:
            gone = [self._indexes.pop(uid) for uid in list(self._indexes) if uid not in uids]
        for index in gone:
            with index.lock.writing():
                index.clear()

    def _index(self, collection: Collection) -> VectorIndex:
        with self._guard:
            index = self._indexes.get(collection.uid)
            if index is None:
                index = self._indexes[collection.uid] = VectorIndex(collection.dimension, collection.metric)
            return index
