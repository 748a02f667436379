"""The gallery: collections of references that are enrolled, searched and erased."""

import hmac
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from countenance.errors import GalleryError, NotFoundError, PermitError
from countenance.gallery import changes, people
from countenance.gallery.changes import read_collection
from countenance.gallery.index import METRICS, Hit, checked
from countenance.gallery.keys import KeyFile
from countenance.gallery.live import Index, Indexes
from countenance.gallery.log import Ledger, entry_of
from countenance.gallery.permit import Door, Permit
from countenance.gallery.records import FACE_COLUMNS, open_faces, seal_face
from countenance.gallery.reviews import Reviews
from countenance.gallery.store import Store, marks
from countenance.gallery.values import (
    Assigned,
    Candidate,
    Collection,
    Counts,
    Erased,
    Face,
    FaceProbe,
    Found,
    NewFace,
    Occasion,
    Probe,
    Token,
    User,
    UserProbe,
)
from countenance.gallery.writer import Change, Writer
from countenance.ledger import Kind, SigningKey

__all__ = ["Gallery"]

_RESTORE = Occasion(actor="countenance", operation="restore")
_EXPIRY = Occasion(actor="countenance", operation="expiry", rule="retention")


class Gallery:
    """Collections of references. Made by ``open_gallery``; used by any number of threads; closed once.

    Every change and every search is in the ledger and on the disk before the method returns. Faces are named by id;
    their vectors never come out. Raises NotFoundError for a collection, face or user that is not there.
    """

    def __init__(self, store: Store, keys: KeyFile, signing: SigningKey, probe_key: bytes, indexes: Indexes) -> None:
        self._store, self._keys, self._probe_key = store, keys, probe_key
        self._live = indexes
        self._writer = Writer(store, keys)
        self._door = Door()
        self.ledger = Ledger(store, self._writer, signing)
        self.reviews = Reviews(store, self._writer)

    # -- collections ---------------------------------------------------------------------------------------------

    def create_collection(
        self,
        name: str,
        occasion: Occasion,
        *,
        pipeline: str,
        metric: str,
        dimension: int,
        tags: Mapping[str, str] | None = None,
    ) -> Collection:
        """A new, empty collection for the vectors of one pipeline. Raises ConflictError when the name is taken."""
        if metric not in METRICS or dimension < 1:
            raise GalleryError(f"metric: {metric!r} with {dimension} dimensions; use one of {', '.join(METRICS)}")
        new = Collection(
            name=name,
            uid=0,
            pipeline=pipeline,
            metric=metric,
            dimension=dimension,
            created=datetime.now(UTC),
            version=0,
            faces=0,
            users=0,
        )
        self._writer.do(lambda change: changes.create_collection(change, self._store, new, tags or {}, occasion))
        return self.collection(name)

    def collection(self, name: str) -> Collection:
        """One collection as it is now."""
        with self._store.read() as tx:
            return read_collection(tx, name)

    def collections(self, after: str | None = None, limit: int = 1000) -> tuple[Collection, ...]:
        """At most ``limit`` collections in order of name, those behind ``after``."""
        with self._store.read() as tx:
            rows = tx.rows("SELECT name FROM collections WHERE name > ? ORDER BY name LIMIT ?", (after or "", limit))
            return tuple(read_collection(tx, name) for (name,) in rows)

    def delete_collection(self, name: str, occasion: Occasion) -> Erased:
        """Erase all faces and users of a collection, and itself."""
        gone = self._writer.do(lambda change: changes.delete_collection(change, self._store, name, occasion))
        self._live.let_go()
        return Erased(tuple(gone), (), self._writer.purged and self._live.purged())

    def tags(self, name: str) -> dict[str, str]:
        """The collection's tags."""
        return self.described(name)[1]

    def described(self, name: str) -> tuple[Collection, dict[str, str]]:
        """One collection and its tags, as of one moment."""
        with self._store.read() as tx:
            found = read_collection(tx, name)
            rows = tx.rows("SELECT name, value FROM tags WHERE collection = ? ORDER BY name", (found.uid,))
            return found, dict(rows)

    def tag(
        self, name: str, occasion: Occasion, *, put: Mapping[str, str] | None = None, drop: Sequence[str] = ()
    ) -> None:
        """Set some tags, and take others away."""
        self._writer.do(lambda change: changes.change_tags(change, name, put or {}, drop, occasion))

    # -- faces ---------------------------------------------------------------------------------------------------

    def enrol(self, name: str, faces: Sequence[NewFace], occasion: Occasion, *, pipeline: str) -> tuple[Face, ...]:
        """Add references, each with its consent; all of them or none. Raises GalleryError for another pipeline."""
        collection = self.collection(name)
        if pipeline != collection.pipeline:
            raise GalleryError(f"collection {name}: holds vectors of {collection.pipeline}, not of {pipeline}")
        now = datetime.now(UTC)
        sealed = [self._sealed(collection, new, now) for new in faces]
        if sealed:
            self._writer.do(lambda change: changes.enrol(change, collection, sealed, occasion))
        return tuple(_enrolled(face[0], new, now) for face, new in zip(sealed, faces, strict=True))

    def faces(
        self,
        name: str,
        *,
        after: str | None = None,
        limit: int = 1000,
        user_id: str | None = None,
        face_ids: Sequence[str] | None = None,
    ) -> tuple[Face, ...]:
        """At most ``limit`` faces in order of face id, those behind ``after``; of this user, or with these ids."""
        where, values = "collection = ? AND expires > ?", list[Any]([datetime.now(UTC).timestamp()])
        if user_id is not None:
            where, values = where + " AND user_id = ?", [*values, user_id]
        if face_ids is None:
            where, values = where + " AND face_id > ?", [*values, after or ""]
        else:  # not both: SQLite would walk through the whole collection behind ``after``
            wanted = [face_id for face_id in face_ids if face_id > (after or "")]
            where, values = where + f" AND face_id IN ({marks(wanted) or 'NULL'})", [*values, *wanted]
        with self._store.read() as tx:
            uid = read_collection(tx, name).uid
            rows = tx.rows(
                f"SELECT {FACE_COLUMNS} FROM faces WHERE {where} ORDER BY face_id LIMIT ?",  # noqa: S608
                (uid, *values, limit),
            )
        return tuple(opened.face for opened in open_faces(uid, rows, self._keys)[0])

    def erase(self, name: str, face_ids: Sequence[str], occasion: Occasion, *, reason: str = "request") -> Erased:
        """Erase faces: records, keys, memory, free pages, the write-ahead log. Gone when this returns."""
        wanted = list(dict.fromkeys(face_ids))
        gone = self._writer.do(lambda change: changes.erase(change, name, wanted, occasion, reason))
        with suppress(NotFoundError):
            self._live.level(name)
        return Erased(
            tuple(gone), tuple(f for f in wanted if f not in set(gone)), self._writer.purged and self._live.purged()
        )

    def search(
        self, name: str, probe: Probe, permit: Permit, *, users: bool = False, probe_mac: str | None = None
    ) -> Found:
        """The references most like the probe, at or above the permit's threshold, at most as many as it says.

        With ``users``, only faces that belong to a user, each user with their best face. ``probe_mac`` is what the
        ledger keeps of the input, from ``probe_mac()`` over the photo; without it, one over the vector or the id.
        Raises PermitError, with a refusal in the ledger, for a permit that does not hold for this search.
        """
        self._admit(name, permit)
        collection, index = self._live.level(name)
        with index.lock.reading():
            problem = self._door.covers(permit, collection, len(index))
            hits: list[Hit] = []
            searched = 0
            if problem is None:
                vectors, options = self._probe(collection, index, probe)
                hits, searched = index.search(vectors, permit.threshold, permit.max_candidates, users=users, **options)
            version = index.version
        if problem is not None:
            self._refuse(problem, name, permit)
        candidates = self._candidates(collection, hits)
        entry = entry_of(
            Kind.SEARCH,
            permit.occasion,
            gallery=name,
            gallery_version=version,
            gallery_size=searched,
            pipeline=collection.pipeline,
            threshold=float(permit.threshold),
            threshold_asked=None if permit.threshold_asked is None else float(permit.threshold_asked),
            candidates=len(candidates),
            probe=probe_mac or self._mac_of(probe),
            detail={"decision": permit.decision},
        )
        return Found(candidates=candidates, searched=searched, version=version, entry=self.ledger.record(entry))

    def probe_mac(self, data: bytes) -> str:
        """HMAC-SHA-256 of a probe photo under this gallery's key, in hex: what the ledger keeps instead of it."""
        return hmac.digest(self._probe_key, b"photo\0" + data, "sha256").hex()

    # -- users ---------------------------------------------------------------------------------------------------

    def create_user(self, name: str, user_id: str, occasion: Occasion, token: Token | None = None) -> None:
        """A new user without faces. Raises ConflictError when there is one; with a token, only once."""
        self._once(token, lambda change: people.create_user(change, name, user_id, occasion))

    def delete_user(self, name: str, user_id: str, occasion: Occasion, token: Token | None = None) -> None:
        """Delete a user; their faces stay in the collection."""
        self._once(token, lambda change: people.delete_user(change, name, user_id, occasion))

    def users(self, name: str, after: str | None = None, limit: int = 500) -> tuple[User, ...]:
        """At most ``limit`` users in order of id, those behind ``after``."""
        with self._store.read() as tx:
            uid = read_collection(tx, name).uid
            rows = tx.rows(
                "SELECT u.user_id, (SELECT COUNT(*) FROM faces f WHERE f.collection = u.collection"
                " AND f.user_id = u.user_id) FROM users u WHERE u.collection = ? AND u.user_id > ?"
                " ORDER BY u.user_id LIMIT ?",
                (uid, after or "", limit),
            )
        return tuple(User(user_id, count) for user_id, count in rows)

    def assign(
        self,
        name: str,
        user_id: str,
        face_ids: Sequence[str],
        occasion: Occasion,
        *,
        permit: Permit | None = None,
        token: Token | None = None,
    ) -> Assigned:
        """Give faces to a user. With a permit, only faces that match one the user has, at the permit's threshold."""
        if permit is not None:
            self._admit(name, permit)
            collection = self.collection(name)
            problem = self._door.covers(permit, collection, collection.faces)
            if problem is not None:
                self._refuse(problem, name, permit)
        threshold = None if permit is None else permit.threshold
        return people.assigned(
            self._once(
                token,
                lambda change: people.assign(change, self._keys, name, user_id, face_ids, threshold, occasion),
            )
        )

    def unassign(
        self, name: str, user_id: str, face_ids: Sequence[str], occasion: Occasion, token: Token | None = None
    ) -> Assigned:
        """Take faces away from a user; they stay in the collection."""
        return people.assigned(
            self._once(token, lambda change: people.unassign(change, name, user_id, face_ids, occasion))
        )

    # -- upkeep --------------------------------------------------------------------------------------------------

    def tick(self, now: datetime | None = None) -> int:
        """Upkeep, to be called every minute or so: erase what has expired, retry purges, take up others' changes.

        Returns the number of faces that expired.
        """
        now = now or datetime.now(UTC)
        with self._store.read() as tx:
            due = tx.rows(
                "SELECT c.name, f.face_id FROM faces f JOIN collections c ON c.uid = f.collection WHERE f.expires <= ?",
                (now.timestamp(),),
            )
        for name in sorted({name for name, _ in due}):
            self.erase(name, [face_id for owner, face_id in due if owner == name], _EXPIRY, reason="expired")
        self.reviews.expire(now)
        if not self._writer.purged:
            self._writer.do(lambda _: None)
        self._live.load()
        return len(due)

    def counts(self) -> Counts:
        """How much there is, as one moment saw it."""
        with self._store.read() as tx:
            ((collections, faces),) = tx.rows("SELECT COUNT(*), COALESCE(SUM(faces), 0) FROM collections")
            ((records,),) = tx.rows("SELECT COALESCE(MAX(idx) + 1, 0) FROM log")
        return Counts(int(collections), int(faces), int(records))

    def probe_store(self) -> None:
        """Change something that means nothing, durably. Raises StoreError when the store takes no change."""
        self._writer.do(lambda change: change.numbers("probe", 1))

    def erase_lost(self) -> int:
        """After a restore: erase the faces whose keys were destroyed since the backup; how many there were.

        ``open_gallery(..., restored=True)`` calls it; otherwise a gallery with such faces does not open.
        """
        count = 0
        with self._store.read() as tx:
            rows = tx.rows("SELECT c.name, f.face_id, f.slot FROM faces f JOIN collections c ON c.uid = f.collection")
        keys = self._keys.read([slot for _, _, slot in rows]) if rows else []
        lost = [(name, face_id) for (name, face_id, _), key in zip(rows, keys, strict=True) if key is None]
        for name in sorted({name for name, _ in lost}):
            ids = [face_id for owner, face_id in lost if owner == name]
            count += len(
                self._writer.do(partial(changes.erase, name=name, wanted=ids, occasion=_RESTORE, reason="restore"))
            )
        return count

    def close(self) -> None:
        """Finish what is being written, write zeros over the vectors in memory, close the store."""
        self._writer.close()
        self._live.close()
        self._store.close()
        self._keys.close()

    def __enter__(self) -> "Gallery":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # -- inside --------------------------------------------------------------------------------------------------

    def _once(self, token: Token | None, operation: Callable[[Change], dict[str, Any]]) -> dict[str, Any]:
        return self._writer.do(lambda change: people.once(change, token, lambda: operation(change)))

    def _sealed(self, collection: Collection, new: NewFace, now: datetime) -> changes.SealedFace:
        if new.consent.until <= now:
            raise GalleryError("consent.until: has passed; a reference without consent is not enrolled")
        face_id = str(uuid.uuid4())
        vector = checked(new.vector, collection.dimension, collection.metric)
        return (face_id, new.consent.until.timestamp(), *seal_face(collection.uid, face_id, new, vector, now))

    def _refuse(self, problem: str, name: str, permit: object) -> NoReturn:
        occasion = permit.occasion if isinstance(permit, Permit) else Occasion(actor="python", operation="search")
        self.ledger.refuse(occasion, problem, name)
        raise PermitError(problem)

    def _admit(self, name: str, permit: Permit) -> None:
        """Take the permit. Raises PermitError, with a refusal in the ledger, for one that is not, or not for this."""
        problem = self._door.hand_in(name, permit)
        if problem is not None:
            self._refuse(problem, name, permit)

    def _probe(self, collection: Collection, index: Index, probe: Probe) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """(m, dimension) vectors to compare with, and what to leave out."""
        options: dict[str, Any]
        if isinstance(probe, FaceProbe):
            vectors, options = index.vectors([probe.face_id]), {"without_faces": (probe.face_id,)}
            missing = f"face {probe.face_id}: not in the collection {collection.name}"
        elif isinstance(probe, UserProbe):
            vectors, options = index.vectors(index.of_user(probe.user_id)), {"without_user": probe.user_id}
            missing = f"user of {collection.name}: none of that id has faces"
        else:
            return checked(probe, collection.dimension, collection.metric)[None], {}
        if not len(vectors):
            raise NotFoundError(missing)
        return vectors, options

    def _mac_of(self, probe: Probe) -> str:
        match probe:
            case FaceProbe(name):
                data = b"face\0" + name.encode()
            case UserProbe(name):
                data = b"user\0" + name.encode()
            case _:
                data = b"vector\0" + np.ascontiguousarray(probe, dtype="<f4").tobytes()
        return hmac.digest(self._probe_key, data, "sha256").hex()

    def _candidates(self, collection: Collection, hits: Sequence[Hit]) -> tuple[Candidate, ...]:
        """The hits with their faces; one that was erased or has expired meanwhile is left out."""
        if not hits:
            return ()
        found = {face.face_id: face for face in self.faces(collection.name, face_ids=[hit.face_id for hit in hits])}
        return tuple(Candidate(hit.score, found[hit.face_id]) for hit in hits if hit.face_id in found)


def _enrolled(face_id: str, new: NewFace, enrolled: datetime) -> Face:
    return Face(
        face_id=face_id,
        image_id=new.image_id,
        box=new.box,
        confidence=new.confidence,
        external_image_id=new.external_image_id,
        quality=dict(new.quality),
        consent=new.consent,
        enrolled=enrolled,
        user_id=None,
    )
