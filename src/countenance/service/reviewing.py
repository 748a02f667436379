"""The two-person rule at work: a search waits here until two different people have looked, each alone.

What may be decided, by whom, and when an identity comes out is `countenance.policy.review`'s; this keeps it in the
gallery's store and asks the desk who may.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from countenance.errors import GalleryError
from countenance.gallery import Decided, Face, Found, Gallery, KeptReview, Occasion, entry_of
from countenance.ledger import Entry, Kind
from countenance.policy import Decision, Outcome, Review, State, Verdict, open_review
from countenance.service.caller import Call
from countenance.service.desk import Desk

__all__ = ["KEPT_FOR", "OPEN_FOR", "Looked", "Result", "ReviewDesk"]

OPEN_FOR = timedelta(days=14)
"""Two people must have decided by then, or the search lapses without a match."""
KEPT_FOR = timedelta(days=30)
"""How long a finished review can still be read; the ledger keeps who reviewed."""


@dataclass(frozen=True)
class Looked:
    """A review as one reviewer may see it: numbers and scores, their own decision, and both when it is done.

    ``faces`` are the references behind the numbers (None: erased meanwhile), for showing their photos without a name.
    """

    kept: KeptReview
    state: State
    own: Verdict | None
    verdicts: tuple[Verdict, ...]
    faces: tuple[Face | None, ...] = ()


@dataclass(frozen=True)
class Result:
    """How a review ended. ``face`` is who both named: None for nobody, or where that face was erased meanwhile."""

    kept: KeptReview
    outcome: Outcome[str]
    verdicts: tuple[Verdict, ...]
    face: Face | None


class ReviewDesk:
    """Reviews of one gallery. Every method asks the desk first and raises Refused where the policy says no.

    Raises NotFoundError for a review that is not there, InputError for a decision that does not fit.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @property
    def _gallery(self) -> Gallery:
        return self._desk.gallery

    def open(self, call: Call, decision: Decision, found: Found, about: Mapping[str, Any] | None = None) -> KeptReview:
        """Keep what a search found until two people have looked. ``about`` is kept beside it: JSON, no name.

        Raises InputError where the search found nobody, GalleryError for a decision without a permit.
        """
        if decision.permit is None:
            raise GalleryError("review: only a search that the policy allowed can be reviewed")
        open_review(str(found.entry), call.caller.key_id, [(c.score, c.face.face_id) for c in found.candidates])
        return self._gallery.reviews.open(
            decision.permit.collection,
            found.entry,
            [(c.score, c.face.face_id) for c in found.candidates],
            self._desk.occasion(call, decision),
            keep=OPEN_FOR,
            about=about,
        )

    def all(self, call: Call) -> tuple[Looked, ...]:
        """All reviews that are kept, as this reviewer may see them."""
        self._desk.ask(call, "review")
        return tuple(_looked(kept, call) for kept in self._gallery.reviews.all())

    def look(self, call: Call, review_id: str) -> Looked:
        """One review, with the references whose photos may be shown under their numbers."""
        self._desk.ask(call, "review")
        kept = self._gallery.reviews.get(review_id)
        return replace(_looked(kept, call), faces=_faces(self._gallery, kept))

    def decide(self, call: Call, review_id: str, candidate: int | None) -> Looked:
        """Record this reviewer's decision: a candidate's number, or None for nobody. It is never changed."""
        occasion = self._desk.occasion(call, self._desk.ask(call, "review"))

        def step(kept: KeptReview) -> tuple[Decided, Entry, timedelta]:
            now = datetime.now(UTC)
            review = _review(kept).record(Verdict(call.caller.key_id, candidate, now))
            keep = KEPT_FOR if review.state is State.DONE else kept.closes - now
            return Decided(call.caller.key_id, candidate, now), _entry(kept, review, occasion), keep

        return _looked(self._gallery.reviews.decide(review_id, step), call)

    def result(self, call: Call, review_id: str) -> Result:
        """Who it is, if both named the same candidate. For reviewers, and for whoever searched.

        Raises InputError before two people have decided. That an identity was given out is in the ledger.
        """
        kept = self._gallery.reviews.get(review_id)
        action = "read" if call.caller.key_id == kept.opened_by else "review"
        occasion = self._desk.occasion(call, self._desk.ask(call, action))
        review = _review(kept)
        outcome = review.outcome
        number = review.verdicts[0].candidate if outcome.match is not None else None
        face = _faces(self._gallery, kept)[number - 1] if number else None
        if face is not None:
            self._gallery.ledger.record(
                entry_of(
                    Kind.REVIEW,
                    occasion,
                    gallery=kept.collection,
                    reason="identity given",
                    refers=(kept.search,),
                    reviewers=outcome.reviewers,
                    detail={"review": kept.review_id},
                )
            )
        return Result(kept, outcome, review.verdicts, face)

    def is_probe(self, call: Call, review_id: str, photo: bytes) -> bool:
        """Whether these are the bytes that were searched with, by the HMAC in the ledger; no photo is kept."""
        self._desk.ask(call, "review")
        search = self._gallery.reviews.get(review_id).search
        record = next(self._gallery.ledger.records(search, search + 1, [Kind.SEARCH]), None)
        kept = record.entry.probe if record else None
        return kept is not None and hmac.compare_digest(kept, self._gallery.probe_mac(photo))


def _review(kept: KeptReview) -> Review[str]:
    review = open_review(f"search {kept.search}", kept.opened_by, kept.candidates)
    for decided in kept.decisions:
        review = review.record(Verdict(decided.reviewer, decided.candidate, decided.at))
    return review


def _looked(kept: KeptReview, call: Call) -> Looked:
    """What this reviewer may see; who opened it and what was decided stay out of the value until both have decided."""
    review = _review(kept)
    own = review.seen_by(call.caller.key_id)
    return Looked(kept if review.verdicts else replace(kept, decisions=()), review.state, own, review.verdicts)


def _faces(gallery: Gallery, kept: KeptReview) -> tuple[Face | None, ...]:
    ids = [face_id for _, face_id in kept.candidates]
    found = {face.face_id: face for face in gallery.faces(kept.collection, face_ids=ids)}
    return tuple(found.get(face_id) for face_id in ids)


def _entry(kept: KeptReview, review: Review[str], occasion: Occasion) -> Entry:
    """What the ledger says of a decision: that it was made; when both have decided, by whom and how."""
    detail = {"review": kept.review_id, "state": review.state.value}
    reason: str = "decided"
    reviewers: tuple[str, ...] = ()
    if review.state is State.DONE:
        outcome = review.outcome
        reviewers = outcome.reviewers
        reason = (
            "match" if outcome.match is not None else "agreed on nobody" if outcome.agreed else "no match: disagreed"
        )
        detail |= {f"decision {k}": _said(v) for k, v in enumerate(review.verdicts, 1)}
    return entry_of(
        Kind.REVIEW,
        occasion,
        gallery=kept.collection,
        reason=reason,
        refers=(kept.search,),
        reviewers=reviewers,
        candidates=len(kept.candidates),
        detail=detail,
    )


def _said(verdict: Verdict) -> str:
    return f"{verdict.reviewer}: {'nobody' if verdict.candidate is None else f'candidate {verdict.candidate}'}"
