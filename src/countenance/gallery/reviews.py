"""Searches whose candidates wait for two people: kept by face id and score, with what each person decided.

Nothing that identifies anyone is in it: face ids are random, and what they stand for is sealed elsewhere. A review goes
away by itself, and each step of it is in the ledger, in the same transaction. Who may decide what is not decided
here: a step is a function that the caller brings, and it runs inside the transaction, so that of two people who decide
at the same moment each is counted once.
"""

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from countenance.errors import NotFoundError
from countenance.gallery.changes import collection_row
from countenance.gallery.log import entry_of
from countenance.gallery.records import moment
from countenance.gallery.store import Store, Tx
from countenance.gallery.values import Occasion
from countenance.gallery.writer import Change, Writer
from countenance.ledger import Entry, Kind

__all__ = ["Decided", "KeptReview", "Reviews", "Step"]

_COLUMNS = "r.review, c.name, r.entry, r.closes, r.body"
_FROM = "FROM reviews r JOIN collections c ON c.uid = r.collection"  # a deleted collection takes its reviews along
_EXPIRY = Occasion(actor="countenance", operation="expiry", rule="retention")


@dataclass(frozen=True)
class Decided:
    """What one reviewer decided, and when: a candidate's number from 1 on, or None for nobody."""

    reviewer: str
    candidate: int | None
    at: datetime


@dataclass(frozen=True, kw_only=True)
class KeptReview:
    """One review. ``search`` is the number of the search in the ledger, ``opened_by`` who searched.

    ``candidates``: (score, face id), best first. ``about`` is what the service wants to know again later: JSON values,
    no name. After ``closes`` it goes away.
    """

    review_id: str
    collection: str
    search: int
    opened_by: str
    opened: datetime
    closes: datetime
    candidates: tuple[tuple[float, str], ...]
    decisions: tuple[Decided, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)


Step = Callable[[KeptReview], tuple[Decided, Entry, timedelta]]
"""From the review as it is: one more decision, the entry that tells of it, and how long to keep the review now."""


class Reviews:
    """``gallery.reviews``. Raises NotFoundError for a review, or a collection, that is not there."""

    def __init__(self, store: Store, writer: Writer) -> None:
        self._store, self._writer = store, writer

    def open(
        self,
        collection: str,
        search: int,
        candidates: Sequence[tuple[float, str]],
        occasion: Occasion,
        *,
        keep: timedelta,
        about: Mapping[str, Any] | None = None,
    ) -> KeptReview:
        """Begin the review of a search; ``occasion.actor`` searched. It goes away after ``keep``."""
        now = datetime.now(UTC)
        review = KeptReview(
            review_id=str(uuid.uuid4()),
            collection=collection,
            search=search,
            opened_by=occasion.actor,
            opened=now,
            closes=now + keep,
            candidates=tuple((float(score), face_id) for score, face_id in candidates),
            about=about or {},
        )

        def add(change: Change) -> None:
            uid, _ = collection_row(change, collection)
            change.tx.run(
                "INSERT INTO reviews (review, collection, entry, closes, body) VALUES (?, ?, ?, ?, ?)",
                (review.review_id, uid, search, review.closes.timestamp(), _body(review)),
            )
            change.record(
                entry_of(
                    Kind.REVIEW,
                    occasion,
                    gallery=collection,
                    reason="opened",
                    refers=(search,),
                    candidates=len(review.candidates),
                    detail={"review": review.review_id},
                )
            )

        self._writer.do(add)
        return review

    def get(self, review_id: str) -> KeptReview:
        """One review as it is now."""
        with self._store.read() as tx:
            return _read(tx, review_id)

    def all(self) -> tuple[KeptReview, ...]:
        """All reviews that are kept, oldest search first."""
        with self._store.read() as tx:
            rows = tx.rows(f"SELECT {_COLUMNS} {_FROM} ORDER BY r.entry, r.review")
        return tuple(_review(row) for row in rows)

    def decide(self, review_id: str, step: Step) -> KeptReview:
        """Add what ``step`` gives, and its entry; what it raises leaves everything as it was. The review afterwards."""

        def run(change: Change) -> None:
            review = _read(change.tx, review_id)
            decided, entry, keep = step(review)
            body = _body(review, (*review.decisions, decided))
            closes = (datetime.now(UTC) + keep).timestamp()
            change.tx.run("UPDATE reviews SET body = ?, closes = ? WHERE review = ?", (body, closes, review_id))
            change.record(entry)

        self._writer.do(run)
        return self.get(review_id)

    def expire(self, now: datetime) -> int:
        """Take away the reviews that close by ``now``; how many. The ledger says of each that it is gone."""
        with self._store.read() as tx:
            due = tx.rows(f"SELECT {_COLUMNS} {_FROM} WHERE r.closes <= ?", (now.timestamp(),))
        if due:
            self._writer.do(lambda change: _take_away(change, [_review(row) for row in due]))
        return len(due)


def _take_away(change: Change, reviews: Sequence[KeptReview]) -> None:
    for review in reviews:
        if change.tx.run("DELETE FROM reviews WHERE review = ?", (review.review_id,)):  # else another process did
            entry = entry_of(
                Kind.REVIEW,
                _EXPIRY,
                gallery=review.collection,
                reason="expired",
                refers=(review.search,),
                detail={"review": review.review_id, "decisions": str(len(review.decisions))},
            )
            change.record(entry)
    change.deleted = True


def _read(tx: Tx, review_id: str) -> KeptReview:
    rows = tx.rows(f"SELECT {_COLUMNS} {_FROM} WHERE r.review = ?", (review_id,))
    if not rows:
        raise NotFoundError(f"review {review_id}: there is none of that id; list them: countenance review list")
    return _review(rows[0])


def _body(review: KeptReview, decisions: Sequence[Decided] = ()) -> str:
    return json.dumps(
        {
            "opened_by": review.opened_by,
            "opened": review.opened.timestamp(),
            "candidates": [list(one) for one in review.candidates],
            "decisions": [[d.reviewer, d.candidate, d.at.timestamp()] for d in decisions],
            "about": review.about,
        },
        separators=(",", ":"),
    )


def _review(row: tuple[Any, ...]) -> KeptReview:
    review_id, collection, search, closes, text = row
    body = json.loads(text)
    return KeptReview(
        review_id=review_id,
        collection=collection,
        search=search,
        opened_by=body["opened_by"],
        opened=moment(body["opened"]),
        closes=moment(closes),
        candidates=tuple((score, face_id) for score, face_id in body["candidates"]),
        decisions=tuple(Decided(reviewer, candidate, moment(at)) for reviewer, candidate, at in body["decisions"]),
        about=body["about"],
    )
