"""The vectors of every collection, kept in memory and level with what is committed, also by other processes."""

import threading
from contextlib import suppress

from countenance.errors import GalleryError, NotFoundError
from countenance.gallery.changes import read_collection
from countenance.gallery.index import VectorIndex
from countenance.gallery.keys import KeyFile
from countenance.gallery.records import FACE_COLUMNS, Opened, open_faces
from countenance.gallery.store import Store, Tx
from countenance.gallery.values import Collection

__all__ = ["Live"]

_PAGE = 4096


class Live:
    """One index for each collection. A search asks for it first, and so sees every change committed before."""

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
            opened, lost = self._changed(tx, collection, base)
            removed = [
                face_id
                for (face_id,) in tx.rows(
                    "SELECT face_id FROM removed WHERE collection = ? AND version > ?", (collection.uid, base)
                )
            ]
        self._explain(collection.uid, lost)
        with index.lock.writing():
            if index.version == base:
                for face in opened:
                    index.put(face.face_id, face.vector, face.user_id)
                index.drop(removed)
                index.version = collection.version
        if index.version >= collection.version:
            return collection, index
        return self.level(name)  # another thread was faster, but did not come as far

    def load(self) -> None:
        """Bring every collection level."""
        with self._store.read() as tx:
            names = [name for (name,) in tx.rows("SELECT name FROM collections ORDER BY name")]
            uids = {uid for (uid,) in tx.rows("SELECT uid FROM collections")}
        self.keep_only(uids)
        for name in names:
            with suppress(NotFoundError):  # deleted meanwhile
                self.level(name)

    def keep_only(self, uids: set[int]) -> None:
        """Write zeros over the collections that are gone."""
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

    def _changed(self, tx: Tx, collection: Collection, base: int) -> tuple[list[Opened], list[str]]:
        """The faces that are new or changed since version ``base``, and the ids of those whose key is gone."""
        opened: list[Opened] = []
        lost: list[str] = []
        place = (base, chr(0x10FFFF))  # behind every face id of that version
        while True:
            rows = tx.rows(
                f"SELECT {FACE_COLUMNS}, version FROM faces WHERE collection = ? AND (version, face_id) > (?, ?)"  # noqa: S608
                " ORDER BY version, face_id LIMIT ?",
                (collection.uid, *place, _PAGE),
            )
            found, gone = open_faces(collection.uid, [row[:4] for row in rows], self._keys)
            opened.extend(found)
            lost.extend(gone)
            if len(rows) < _PAGE:
                return opened, lost
            place = (rows[-1][4], rows[-1][0])

    def _explain(self, uid: int, lost: list[str]) -> None:
        """A key may be gone because its face was erased since our view began; a fresh view tells."""
        for face_id in lost:
            with self._store.read() as tx:
                if tx.rows("SELECT 1 FROM faces WHERE collection = ? AND face_id = ?", (uid, face_id)):
                    raise GalleryError(
                        f"face {face_id}: its key is missing; the store is older than faces.keys, or that file was lost"
                    )
