"""Reviews as the store keeps them: each step with its entry of the ledger, in one transaction, on every store."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from countenance.errors import InputError, NotFoundError
from countenance.gallery import Decided, Gallery, KeptReview
from countenance.gallery.log import entry_of
from countenance.gallery.reviews import Step
from countenance.ledger import Kind
from gallery.conftest import Place
from gallery.helpers import OPERATOR, enrolled, made, permit, vectors

WEEK = timedelta(days=7)
# Where vectors are searched makes no difference to reviews.
pytestmark = pytest.mark.parametrize("place", ["sqlite", "postgres"], indirect=True)


def opened(gallery: Gallery) -> KeptReview:
    made(gallery)
    array = vectors(3)
    enrolled(gallery, array)
    found = gallery.search("family", array[1], permit())
    candidates = [(c.score, c.face.face_id) for c in found.candidates]
    return gallery.reviews.open("family", found.entry, candidates, OPERATOR, keep=WEEK, about={"searched": 3})


def by(reviewer: str, candidate: int | None, keep: timedelta = WEEK) -> Step:
    def step(review: KeptReview) -> tuple[Decided, object, timedelta]:
        if any(d.reviewer == reviewer for d in review.decisions):
            raise InputError("twice")
        occasion = replace(OPERATOR, actor=reviewer)
        entry = entry_of(Kind.REVIEW, occasion, refers=(review.search,), detail={"review": review.review_id})
        return Decided(reviewer, candidate, datetime.now(UTC)), entry, keep

    return step  # type: ignore[return-value]


def test_a_review_is_kept_and_read_again_by_another_process(place: Place) -> None:
    gallery = place.open()
    review = opened(gallery)
    other = place.open()
    assert other.reviews.get(review.review_id) == review
    assert len(review.candidates) == 3
    assert review.candidates[0][0] == 0.0
    after = other.reviews.decide(review.review_id, by("key-2", 1))
    assert [(d.reviewer, d.candidate) for d in after.decisions] == [("key-2", 1)]
    assert gallery.reviews.all() == (after,)
    entries = [record.entry for record in gallery.ledger.records(kinds=[Kind.REVIEW])]
    assert [(e.actor, e.refers) for e in entries] == [("key-1", (review.search,)), ("key-2", (review.search,))]
    assert (entries[0].candidates, entries[0].detail) == (3, {"review": review.review_id})


def test_a_step_that_fails_leaves_neither_decision_nor_entry(gallery: Gallery) -> None:
    review = opened(gallery)
    gallery.reviews.decide(review.review_id, by("key-2", None))
    before, size = gallery.reviews.get(review.review_id), gallery.ledger.size
    with pytest.raises(InputError, match="twice"):
        gallery.reviews.decide(review.review_id, by("key-2", 1))
    assert (gallery.reviews.get(review.review_id), gallery.ledger.size) == (before, size)
    with pytest.raises(NotFoundError):
        gallery.reviews.decide("nothing", by("key-2", 1))


def test_many_who_decide_at_once_are_each_counted_once(place: Place) -> None:
    galleries = [place.open(), place.open()]
    review = opened(galleries[0])
    refused: list[str] = []

    def decide(number: int) -> None:
        try:
            galleries[number % 2].reviews.decide(review.review_id, by(f"key-{number // 2}", 1))
        except InputError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=decide, args=(k,)) for k in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(d.reviewer for d in galleries[1].reviews.get(review.review_id).decisions) == [
        f"key-{k}" for k in range(6)
    ]
    assert len(refused) == 6


def test_reviews_go_away_by_themselves_and_the_ledger_says_so(gallery: Gallery) -> None:
    review = opened(gallery)
    gallery.reviews.decide(review.review_id, by("key-2", 1, keep=timedelta(hours=1)))
    gallery.tick(datetime.now(UTC) + timedelta(minutes=50))
    assert len(gallery.reviews.all()) == 1
    gallery.tick(datetime.now(UTC) + timedelta(minutes=70))
    assert gallery.reviews.all() == ()
    *_, last = (record.entry for record in gallery.ledger.records(kinds=[Kind.REVIEW]))
    assert (last.reason, last.refers, last.detail["decisions"]) == ("expired", (review.search,), "1")


def test_a_deleted_collection_takes_its_reviews_along(place: Place) -> None:
    gallery = place.open()
    review = opened(gallery)
    gallery.delete_collection("family", OPERATOR)
    with pytest.raises(NotFoundError):
        gallery.reviews.get(review.review_id)
    with gallery._store.read() as tx:
        assert tx.rows("SELECT * FROM reviews") == []
    made(gallery)
    with pytest.raises(NotFoundError):
        gallery.reviews.open("strangers", 0, [(1.0, "x")], OPERATOR, keep=WEEK)


def test_nothing_of_a_person_stands_in_a_review(place: Place) -> None:
    gallery = place.open()
    review = opened(gallery)
    with gallery._store.read() as tx:
        ((body,),) = tx.rows("SELECT body FROM reviews")
    for face in gallery.faces("family"):
        assert face.face_id in body
        for secret in (face.external_image_id, face.image_id, face.consent.subject):
            assert str(secret) not in body
    if place.kind == "sqlite":
        gallery.tick(review.closes)
        stored = b"".join(file.read_bytes() for file in place.data.iterdir() if file.name.startswith("gallery.db"))
        assert b'"opened_by"' not in stored
