"""What a gallery changes in its tables: functions on one change. Each writes its own entry of the ledger."""

from collections.abc import Mapping, Sequence
from typing import Any

from countenance.errors import ConflictError, NotFoundError
from countenance.gallery.log import entry_of
from countenance.gallery.records import moment
from countenance.gallery.store import Store, Tx, marks
from countenance.gallery.values import Collection, Occasion
from countenance.gallery.writer import Change
from countenance.ledger import Kind

__all__ = [
    "SealedFace",
    "bump",
    "change_tags",
    "collection_row",
    "create_collection",
    "delete_collection",
    "enrol",
    "erase",
    "read_collection",
]

_COLUMNS = "uid, name, pipeline, metric, dimension, created, version, faces"
SealedFace = tuple[str, float, bytes, bytes]
"""Face id, expiry, key, sealed record."""


def read_collection(tx: Tx, name: str) -> Collection:
    """A collection as it is in this transaction. Raises NotFoundError."""
    rows = tx.rows(
        f"SELECT {_COLUMNS}, (SELECT COUNT(*) FROM users u WHERE u.collection = c.uid)"  # noqa: S608
        " FROM collections c WHERE name = ?",
        (name,),
    )
    if not rows:
        raise NotFoundError(f"collection {name}: there is none of that name")
    uid, name, pipeline, metric, dimension, created, version, faces, users = rows[0]
    return Collection(
        name=name,
        uid=uid,
        pipeline=pipeline,
        metric=metric,
        dimension=dimension,
        created=moment(created),
        version=version,
        faces=faces,
        users=users,
    )


def collection_row(change: Change, name: str) -> tuple[int, str]:
    """The uid and metric of a collection. Raises NotFoundError."""
    found = change.tx.rows("SELECT uid, metric FROM collections WHERE name = ?", (name,))
    if not found:
        raise NotFoundError(f"collection {name}: there is none of that name")
    return found[0][0], found[0][1]


def bump(change: Change, uid: int, faces: int = 0) -> tuple[int, int]:
    """Count one change of the collection's faces, and ``faces`` more of them: its version and number of faces now."""
    change.tx.run("UPDATE collections SET version = version + 1, faces = faces + ? WHERE uid = ?", (faces, uid))
    found = change.tx.rows("SELECT version, faces FROM collections WHERE uid = ?", (uid,))
    if not found:
        raise NotFoundError("the collection was deleted meanwhile")
    return found[0]


def create_collection(
    change: Change, store: Store, new: Collection, tags: Mapping[str, str], occasion: Occasion
) -> None:
    """Make ``new``, with a uid of its own. Raises ConflictError when the name is taken."""
    if change.tx.rows("SELECT 1 FROM collections WHERE name = ?", (new.name,)):
        raise ConflictError(f"collection {new.name}: there is one of that name already")
    (uid,) = change.numbers("collection", 1)
    change.tx.run(
        f"INSERT INTO collections ({_COLUMNS}) VALUES ({marks(_COLUMNS.split())})",  # noqa: S608
        (uid, new.name, new.pipeline, new.metric, new.dimension, new.created.timestamp(), 0, 0),
    )
    store.partition(change.tx, uid)
    _put_tags(change, uid, tags)
    detail = {"pipeline": new.pipeline, "tags": ",".join(sorted(tags))}
    change.record(entry_of(Kind.COLLECTION, occasion, gallery=new.name, gallery_size=0, detail=detail))


def delete_collection(change: Change, store: Store, name: str, occasion: Occasion) -> list[str]:
    """Delete a collection with all that is in it; the ids of its faces."""
    uid, _ = collection_row(change, name)
    rows = change.tx.rows("SELECT face_id, slot FROM faces WHERE collection = ?", (uid,))
    for table in ("faces", "removed", "users", "tags", "reviews"):
        change.tx.run(f"DELETE FROM {table} WHERE collection = ?", (uid,))  # noqa: S608
    change.tx.run("DELETE FROM collections WHERE uid = ?", (uid,))
    store.drop_partition(change.tx, uid)
    change.doom([slot for _, slot in rows])
    gone = [face_id for face_id, _ in rows]
    if gone:
        change.record(
            entry_of(
                Kind.ERASURE, occasion, gallery=name, gallery_size=0, reason="collection deleted", faces=tuple(gone)
            )
        )
    change.record(entry_of(Kind.COLLECTION, occasion, gallery=name, reason="deleted"))
    return gone


def change_tags(change: Change, name: str, put: Mapping[str, str], drop: Sequence[str], occasion: Occasion) -> None:
    """Set some tags of a collection, and take others away. The ledger keeps their names, not their values."""
    uid, _ = collection_row(change, name)
    change.tx.many("DELETE FROM tags WHERE collection = ? AND name = ?", [(uid, tag) for tag in drop])
    _put_tags(change, uid, put)
    detail = {"put": ",".join(sorted(put)), "dropped": ",".join(sorted(drop))}
    change.record(entry_of(Kind.COLLECTION, occasion, gallery=name, detail=detail))


def enrol(change: Change, collection: Collection, faces: Sequence[SealedFace], occasion: Occasion) -> None:
    """Add sealed faces. Raises NotFoundError when the collection was deleted meanwhile."""
    version, size = bump(change, collection.uid, len(faces))
    slots = change.numbers("slot", len(faces))
    change.keys.update((slot, key) for slot, (_, _, key, _) in zip(slots, faces, strict=True))
    change.tx.many(
        "INSERT INTO faces (collection, face_id, slot, version, expires, sealed) VALUES (?, ?, ?, ?, ?, ?)",
        [
            (collection.uid, face_id, slot, version, expires, sealed)
            for slot, (face_id, expires, _, sealed) in zip(slots, faces, strict=True)
        ],
    )
    entry = entry_of(
        Kind.ENROLMENT,
        occasion,
        gallery=collection.name,
        gallery_version=version,
        gallery_size=size,
        pipeline=collection.pipeline,
        faces=tuple(face[0] for face in faces),
    )
    change.record(entry)


def erase(change: Change, name: str, wanted: Sequence[str], occasion: Occasion, reason: str) -> list[str]:
    """Erase those of the faces that are there; their ids. The keys are destroyed when the change is durable."""
    uid, _ = collection_row(change, name)
    found: list[tuple[Any, ...]] = []
    for part in range(0, len(wanted), 1000):
        ids = wanted[part : part + 1000]
        where = f"collection = ? AND face_id IN ({marks(ids)})"
        found += change.tx.rows(f"SELECT face_id, slot FROM faces WHERE {where}", (uid, *ids))  # noqa: S608
        change.tx.run(f"DELETE FROM faces WHERE {where}", (uid, *ids))  # noqa: S608
    if not found:
        return []
    version, size = bump(change, uid, -len(found))
    change.tx.many(
        "INSERT INTO removed (collection, version, face_id) VALUES (?, ?, ?)",
        [(uid, version, face_id) for face_id, _ in found],
    )
    change.doom([slot for _, slot in found])
    gone = {face_id for face_id, _ in found}
    ids = [face_id for face_id in wanted if face_id in gone]
    change.record(
        entry_of(
            Kind.ERASURE,
            occasion,
            gallery=name,
            gallery_version=version,
            gallery_size=size,
            reason=reason,
            faces=tuple(ids),
        )
    )
    return ids


def _put_tags(change: Change, uid: int, tags: Mapping[str, str]) -> None:
    change.tx.many(
        "INSERT INTO tags (collection, name, value) VALUES (?, ?, ?)"
        " ON CONFLICT (collection, name) DO UPDATE SET value = excluded.value",
        [(uid, name, value) for name, value in tags.items()],
    )
