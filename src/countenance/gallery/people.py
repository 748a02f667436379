"""Users of a collection: people to whom several faces are given. Functions on one change, for ``Gallery``."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from countenance.errors import ConflictError, NotFoundError, TokenReusedError
from countenance.gallery.changes import bump, collection_row
from countenance.gallery.index import best_scores
from countenance.gallery.keys import KeyFile
from countenance.gallery.log import entry_of
from countenance.gallery.records import FACE_COLUMNS, open_faces
from countenance.gallery.store import marks
from countenance.gallery.values import Assigned, Occasion, Token
from countenance.gallery.writer import Change
from countenance.ledger import Kind

__all__ = ["assign", "assigned", "create_user", "delete_user", "once", "unassign"]

_TOKEN_LIFE = timedelta(days=1)
Answer = dict[str, Any]


def once(change: Change, token: Token | None, operation: Callable[[], Answer]) -> Answer:
    """Run ``operation``, unless the token shows that it was run; then its answer again.

    Raises TokenReusedError when the token came before with another request.
    """
    if token is None:
        return operation()
    now = datetime.now(UTC)
    change.tx.run("DELETE FROM tokens WHERE expires <= ?", (now.timestamp(),))
    found = change.tx.rows("SELECT request, answer FROM tokens WHERE token = ?", (token.value,))
    if found:
        if found[0][0] != token.request:
            raise TokenReusedError("token: came before with another request; give each request its own")
        answer: Answer = json.loads(found[0][1])
        return answer
    answer = operation()
    change.tx.run(
        "INSERT INTO tokens (token, request, answer, expires) VALUES (?, ?, ?, ?)",
        (token.value, token.request, json.dumps(answer), (now + _TOKEN_LIFE).timestamp()),
    )
    return answer


def create_user(change: Change, name: str, user_id: str, occasion: Occasion) -> Answer:
    """Raises ConflictError when there is one of that id."""
    uid, _ = collection_row(change, name)
    if change.tx.rows("SELECT 1 FROM users WHERE collection = ? AND user_id = ?", (uid, user_id)):
        raise ConflictError(f"user of {name}: there is one of that id already")
    change.tx.run(
        "INSERT INTO users (collection, user_id, created) VALUES (?, ?, ?)",
        (uid, user_id, datetime.now(UTC).timestamp()),
    )
    change.record(entry_of(Kind.USER, occasion, gallery=name))
    return {}


def delete_user(change: Change, name: str, user_id: str, occasion: Occasion) -> Answer:
    """The user's faces stay, as nobody's. Raises NotFoundError."""
    uid = _user(change, name, user_id)[0]
    version, _ = bump(change, uid)
    change.tx.run(
        "UPDATE faces SET user_id = NULL, version = ? WHERE collection = ? AND user_id = ?", (version, uid, user_id)
    )
    change.tx.run("DELETE FROM users WHERE collection = ? AND user_id = ?", (uid, user_id))
    change.deleted = True
    change.record(entry_of(Kind.USER, occasion, gallery=name, gallery_version=version))
    return {}


def assign(
    change: Change,
    keys: KeyFile,
    name: str,
    user_id: str,
    face_ids: Sequence[str],
    threshold: float | None,
    occasion: Occasion,
) -> Answer:
    """Give faces to a user. With a threshold, only those that score at least that with a face the user has already."""
    uid, metric = _user(change, name, user_id)
    refused, free = _sorted_out(change, uid, user_id, face_ids, None)
    if threshold is not None:
        low = _too_far(change, keys, uid, metric, user_id, free, threshold)
        refused |= dict.fromkeys(low, "low_match")
        free = [face_id for face_id in free if face_id not in low]
    _give(change, uid, name, user_id, free, occasion, threshold)
    return {"face_ids": free, "refused": refused}


def unassign(change: Change, name: str, user_id: str, face_ids: Sequence[str], occasion: Occasion) -> Answer:
    """Take faces away from a user."""
    uid, _ = _user(change, name, user_id)
    refused, theirs = _sorted_out(change, uid, user_id, face_ids, user_id)
    _give(change, uid, name, None, theirs, occasion)
    return {"face_ids": theirs, "refused": refused}


def assigned(answer: Answer) -> Assigned:
    """The answer of ``assign`` and ``unassign`` as callers see it."""
    return Assigned(tuple(answer["face_ids"]), answer["refused"])


def _user(change: Change, name: str, user_id: str) -> tuple[int, str]:
    uid, metric = collection_row(change, name)
    if not change.tx.rows("SELECT 1 FROM users WHERE collection = ? AND user_id = ?", (uid, user_id)):
        raise NotFoundError(f"user of {name}: there is none of that id")
    return uid, metric


def _sorted_out(
    change: Change, uid: int, user_id: str, face_ids: Sequence[str], owner: str | None
) -> tuple[dict[str, str], list[str]]:
    """Why some of the faces cannot be used, and those that can: the faces of ``owner`` (this user, or nobody).

    What is as asked for already is in neither: faces that the user has, or that nobody has.
    """
    wanted = list(dict.fromkeys(face_ids))
    owners = dict(
        change.tx.rows(
            f"SELECT face_id, user_id FROM faces WHERE collection = ? AND face_id IN ({marks(wanted)})",  # noqa: S608
            (uid, *wanted),
        )
        if wanted
        else []
    )
    refused, usable = {}, []
    for face_id in wanted:
        if face_id not in owners:
            refused[face_id] = "face_not_found"
        elif owners[face_id] == owner:
            usable.append(face_id)
        elif owners[face_id] not in (None, user_id):
            refused[face_id] = "of_another_user"
    return refused, usable


def _too_far(
    change: Change, keys: KeyFile, uid: int, metric: str, user_id: str, face_ids: list[str], threshold: float
) -> set[str]:
    """Those whose best score with the user's faces stays below the threshold; none if the user has no face yet."""
    theirs = change.tx.rows(
        f"SELECT {FACE_COLUMNS} FROM faces WHERE collection = ? AND user_id = ?",  # noqa: S608
        (uid, user_id),
    )
    others = change.tx.rows(
        f"SELECT {FACE_COLUMNS} FROM faces WHERE collection = ? AND user_id IS NULL"  # noqa: S608
        f" AND face_id IN ({marks(face_ids)})",
        (uid, *face_ids),
    )
    if not theirs or not others:
        return set()
    own, new = open_faces(uid, theirs, keys)[0], open_faces(uid, others, keys)[0]
    scores = best_scores(np.stack([f.vector for f in new]), np.stack([f.vector for f in own]), metric)
    return {face.face_id for face, score in zip(new, scores.tolist(), strict=True) if score < threshold}


def _give(
    change: Change,
    uid: int,
    name: str,
    user_id: str | None,
    face_ids: list[str],
    occasion: Occasion,
    threshold: float | None = None,
) -> None:
    version, _ = bump(change, uid)
    change.tx.many(
        "UPDATE faces SET user_id = ?, version = ? WHERE collection = ? AND face_id = ?",
        [(user_id, version, uid, face_id) for face_id in face_ids],
    )
    entry = entry_of(
        Kind.USER,
        occasion,
        gallery=name,
        gallery_version=version,
        faces=tuple(face_ids),
        threshold=None if threshold is None else float(threshold),
    )
    change.record(entry)
