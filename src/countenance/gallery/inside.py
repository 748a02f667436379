"""Search inside PostgreSQL with pgvector, for collections that the memory of a server process does not hold.

The sealed records stay the truth. Beside them each collection gets a table of plain vectors, ``searchable_<uid>``,
that can be made again from them at any time. It is UNLOGGED: PostgreSQL writes nothing of it to its log, sends nothing
of it to replicas, and empties it when it recovers from a crash; then it is filled again. What was erased is deleted and
the table rewritten (VACUUM FULL), so that no dead row is left in its file, before the answer leaves.

No approximate index: every vector is compared. pgvector's float32 distances find what could matter, float64 decides,
so that the result is the one of the search in memory.
"""

import threading
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from countenance.errors import GalleryError
from countenance.gallery.changes import read_collection
from countenance.gallery.index import Hit, Lock, best_scores, decide, prepared
from countenance.gallery.keys import KeyFile
from countenance.gallery.live import Changes, changes_since, explain, load_all
from countenance.gallery.postgres import PostgresStore
from countenance.gallery.store import Tx, marks
from countenance.gallery.values import Collection

__all__ = ["InDatabase"]

# Versions shown, and whether dead rows may be left. Emptied together with the vectors.
_SCHEMA = """CREATE UNLOGGED TABLE IF NOT EXISTS searchable (
    collection BIGINT PRIMARY KEY, version BIGINT NOT NULL, dirty BOOLEAN NOT NULL)"""
_ROUNDING = (1.0001, 0.0001)  # far more than float32 distances are off; what is too much is sorted out exactly
_OPERATORS = {"euclidean": "<->", "cosine": "<=>"}


class InDatabase:
    """See ``Indexes``."""

    def __init__(self, store: PostgresStore, keys: KeyFile) -> None:
        self._store, self._keys = store, keys
        self._dirty: set[int] = set()
        self._guard = threading.Lock()
        with store.write() as tx:
            if not tx.rows("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"):
                raise GalleryError("pgvector: this PostgreSQL does not have it; install it, or search in memory")
            tx.run("CREATE EXTENSION IF NOT EXISTS vector")
            tx.run(_SCHEMA)

    def level(self, name: str) -> tuple[Collection, "DatabaseIndex"]:
        """A collection and its vectors, at least at its ``version``. Raises NotFoundError."""
        with self._store.read() as tx:
            collection = read_collection(tx, name)
            shown, dirty = _shown(tx, collection.uid)
        if shown is None or shown < collection.version:
            collection, dirty = self._catch_up(name)
        if dirty:
            self._rewrite(collection.uid)
        return collection, DatabaseIndex(self._store, collection)

    def load(self) -> None:
        """Bring every collection level; tables of those that are gone went with them."""
        load_all(self._store, self)

    def let_go(self) -> None:
        """Nothing to do: the table went with its collection."""

    def purged(self) -> bool:
        """False while a table could not be rewritten because others were reading it."""
        with self._guard:
            return not self._dirty

    def close(self) -> None:
        """Nothing to let go of."""

    def _catch_up(self, name: str) -> tuple[Collection, bool]:
        with self._store.write() as tx:
            collection = read_collection(tx, name)
            shown, dirty = _shown(tx, collection.uid)
            changes = changes_since(tx, self._keys, collection, shown or 0)
            self._apply(tx, collection, changes, fresh=shown is None)
            dirty = dirty or (shown is not None and bool(changes.removed))
            tx.run(
                "INSERT INTO searchable (collection, version, dirty) VALUES (?, ?, ?) ON CONFLICT (collection)"
                " DO UPDATE SET version = excluded.version, dirty = excluded.dirty",
                (collection.uid, collection.version, dirty),
            )
        explain(self._store, collection.uid, changes.lost)
        return collection, dirty

    def _apply(self, tx: Tx, collection: Collection, changes: Changes, *, fresh: bool) -> None:
        table = f"searchable_{collection.uid}"
        if fresh:
            tx.run(
                f'CREATE UNLOGGED TABLE IF NOT EXISTS {table} (face_id TEXT COLLATE "C" PRIMARY KEY,'
                f' user_id TEXT COLLATE "C", embedding vector({collection.dimension}) NOT NULL)'
            )
            tx.run(f"TRUNCATE {table}")
        tx.many(f"DELETE FROM {table} WHERE face_id = ?", [(face_id,) for face_id in changes.removed])  # noqa: S608
        tx.many(
            f"INSERT INTO {table} (face_id, user_id, embedding) VALUES (?, ?, ?::vector)"  # noqa: S608
            " ON CONFLICT (face_id) DO UPDATE SET user_id = excluded.user_id",
            [
                (face.face_id, face.user_id, _text(prepared(face.vector[None], collection.metric)[0]))
                for face in changes.opened
            ],
        )

    def _rewrite(self, uid: int) -> None:
        """Leave no dead row in the file; if readers do not let us, at the next occasion."""
        done = self._store.vacuum(f"searchable_{uid}")
        if done:
            with self._store.write() as tx:
                tx.run("UPDATE searchable SET dirty = FALSE WHERE collection = ?", (uid,))
        with self._guard:
            (self._dirty.discard if done else self._dirty.add)(uid)


def _shown(tx: Tx, uid: int) -> tuple[int | None, bool]:
    """The version that a collection's table shows, None without one; and whether it may hold dead rows."""
    found = tx.rows("SELECT version, dirty FROM searchable WHERE collection = ?", (uid,))
    return found[0] if found else (None, False)


def _text(vector: NDArray[np.float32]) -> str:
    """A vector as pgvector reads it; every float32 comes back as it was."""
    return "[" + ",".join(map(repr, vector.tolist())) + "]"


class DatabaseIndex:
    """The vectors of one collection, in its table. See ``Index``."""

    def __init__(self, store: PostgresStore, collection: Collection) -> None:
        self._store, self._collection = store, collection
        self._table = f"searchable_{collection.uid}"
        self.version, self.lock = collection.version, Lock()

    def __len__(self) -> int:
        return self._collection.faces

    def vectors(self, face_ids: Iterable[str]) -> NDArray[np.float32]:
        """(m, d) of those of the faces that are there."""
        with self._store.read() as tx:
            return self._fetch(tx, list(face_ids))[1]

    def of_user(self, user_id: str) -> list[str]:
        """The ids of a user's faces."""
        with self._store.read() as tx:
            rows = tx.rows(f"SELECT face_id FROM {self._table} WHERE user_id = ? ORDER BY face_id", (user_id,))  # noqa: S608
        return [face_id for (face_id,) in rows]

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
        metric = self._collection.metric
        probes = prepared(probes, metric)
        left_out = list(without_faces)
        where, values = ["TRUE"], [_text(probe) for probe in probes]
        if users:
            where.append("user_id IS NOT NULL")
        if left_out:
            where.append(f"face_id NOT IN ({marks(left_out)})")
            values += left_out
        if without_user is not None:
            where.append("user_id IS DISTINCT FROM ?")
            values.append(without_user)
        distance = ", ".join([f"embedding {_OPERATORS[metric]} ?::vector"] * len(probes))
        bar = 1.0 - threshold if metric == "cosine" else max(0.0, -threshold)
        with self._store.read() as tx:
            rows = tx.rows(
                _SEARCH.format(
                    table=self._table,
                    distance=f"LEAST({distance})",
                    where=" AND ".join(where),
                    who="user_id" if users else "face_id",
                ),
                (*values, _wider(bar), most - 1, *_ROUNDING, *_ROUNDING),
            )
            found, vectors = self._fetch(tx, [face_id for face_id, _, _ in rows if face_id is not None])
        exact = best_scores(vectors, probes, metric)
        who = {face_id: group for face_id, group, _ in rows}
        return decide(exact.tolist(), found, [who[face_id] for face_id in found], threshold, most), rows[0][2]

    def _fetch(self, tx: Tx, face_ids: list[str]) -> tuple[list[str], NDArray[np.float32]]:
        rows = []
        for part in range(0, len(face_ids), 1000):
            ids = face_ids[part : part + 1000]
            sql = f"SELECT face_id, embedding::real[] FROM {self._table} WHERE face_id IN ({marks(ids)})"  # noqa: S608
            rows += tx.rows(sql, ids)
        matrix = np.array([row[1] for row in rows], dtype=np.float32).reshape(len(rows), self._collection.dimension)
        return [row[0] for row in rows], matrix


# Ids that could be, once exact, among the best of different faces or users; on each row the number that was compared.
_SEARCH = """
WITH scored AS MATERIALIZED (SELECT face_id, {who} AS who, {distance} AS d FROM {table} WHERE {where}),
near AS (SELECT who, MIN(d) AS d FROM scored WHERE d <= ?::float8 GROUP BY who),
last AS (SELECT d FROM near ORDER BY d OFFSET ?::bigint LIMIT 1),
best AS (SELECT n.who, n.d FROM near n
         WHERE n.d <= COALESCE((SELECT d FROM last), 'Infinity'::float8) * ?::float8 + ?::float8),
hits AS (SELECT s.face_id, s.who FROM scored s JOIN best b ON b.who = s.who WHERE s.d <= b.d * ?::float8 + ?::float8)
SELECT h.face_id, h.who, c.n FROM (SELECT COUNT(*) AS n FROM scored) c LEFT JOIN hits h ON TRUE"""


def _wider(distance: float) -> float:
    """A distance with room for what float32 rounds."""
    return distance * _ROUNDING[0] + _ROUNDING[1]
