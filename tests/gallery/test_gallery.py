"""What a gallery does, on every store."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from countenance.errors import ConflictError, GalleryError, NotFoundError, TokenReusedError
from countenance.gallery import FaceProbe, Gallery, Token, UserProbe
from countenance.ledger import Kind, check_export, consistent, included
from gallery.conftest import Place
from gallery.helpers import OPERATOR, PIPELINE, consent, enrolled, made, new, permit, vectors


def test_a_face_enrolled_is_found_and_read_again(gallery: Gallery) -> None:
    made(gallery)
    array = vectors(20)
    given = [new(row, i) for i, row in enumerate(array)]
    faces = gallery.enrol("family", given, OPERATOR, pipeline=PIPELINE)
    assert sorted(faces, key=lambda f: f.face_id) == list(gallery.faces("family"))
    for i in (0, 7, 19):
        found = gallery.search("family", array[i], permit(threshold=-0.5))
        assert [(c.score, c.face) for c in found.candidates] == [(0.0, faces[i])]
        assert found.searched == 20
    assert faces[7].consent == given[7].consent
    assert faces[7].external_image_id == "external-7"
    assert faces[7].quality == {"sharpness": 80.0}


def test_everything_is_there_after_opening_again(place: Place) -> None:
    gallery = place.open()
    made(gallery)
    array = vectors(30)
    ids = enrolled(gallery, array)
    gallery.erase("family", ids[:10], OPERATOR)
    gallery.create_user("family", "anna", OPERATOR)
    gallery.assign("family", "anna", ids[10:12], OPERATOR)
    before = (gallery.collections(), gallery.faces("family"), gallery.users("family"), gallery.ledger.root())
    place.close()
    again = place.open()
    assert (again.collections(), again.faces("family"), again.users("family"), again.ledger.root()) == before
    assert [c.face.face_id for c in again.search("family", array[15], permit(threshold=-1)).candidates] == [ids[15]]
    assert again.search("family", array[5], permit(threshold=-1)).candidates == ()


def test_collections_are_isolated(gallery: Gallery) -> None:
    array = vectors(4)
    for name in ("a", "b"):
        made(gallery, name)
    enrolled(gallery, array[:2], "a")
    there = enrolled(gallery, array[2:], "b")
    assert gallery.search("a", array[2], permit("a", -1.0)).candidates == ()
    assert gallery.search("a", array[2], permit("a")).searched == 2
    with pytest.raises(NotFoundError):
        gallery.search("a", FaceProbe(there[0]), permit("a"))
    assert gallery.erase("a", there, OPERATOR).missing == tuple(there)
    assert len(gallery.faces("b")) == 2


def test_collections(gallery: Gallery) -> None:
    for name in ("b", "a", "c"):
        made(gallery, name)
    assert [c.name for c in gallery.collections()] == ["a", "b", "c"]
    assert [c.name for c in gallery.collections(after="a", limit=1)] == ["b"]
    with pytest.raises(ConflictError):
        made(gallery, "a")
    with pytest.raises(NotFoundError):
        gallery.collection("d")
    enrolled(gallery, vectors(3), "a")
    first = gallery.collection("a")
    assert (first.faces, first.pipeline, first.metric, first.dimension) == (3, PIPELINE, "euclidean", 128)
    assert len(gallery.delete_collection("a", OPERATOR).face_ids) == 3
    made(gallery, "a")
    assert gallery.collection("a").uid != first.uid
    assert gallery.faces("a") == ()
    with pytest.raises(GalleryError, match="metric"):
        made(gallery, "x", metric="manhattan")


def test_tags(gallery: Gallery) -> None:
    gallery.create_collection(
        "a", OPERATOR, pipeline=PIPELINE, metric="cosine", dimension=4, tags={"purpose": "archive", "x": "1"}
    )
    gallery.tag("a", OPERATOR, put={"x": "2", "y": "3"}, drop=["purpose", "none"])
    assert gallery.tags("a") == {"x": "2", "y": "3"}
    with pytest.raises(NotFoundError):
        gallery.tag("b", OPERATOR, put={"x": "2"})


def test_enrolling_is_all_or_nothing(gallery: Gallery) -> None:
    made(gallery)
    array = vectors(3)
    with pytest.raises(GalleryError, match="NaN"):
        gallery.enrol("family", [new(array[0]), new(array[1] * np.float32(np.nan))], OPERATOR, pipeline=PIPELINE)
    expired = consent(until=datetime.now(UTC) - timedelta(seconds=1))
    with pytest.raises(GalleryError, match="has passed"):
        gallery.enrol("family", [new(array[0]), new(array[1], consent=expired)], OPERATOR, pipeline=PIPELINE)
    with pytest.raises(GalleryError, match="not of other"):
        gallery.enrol("family", [new(array[0])], OPERATOR, pipeline="other")
    with pytest.raises(NotFoundError):
        gallery.enrol("none", [new(array[0])], OPERATOR, pipeline=PIPELINE)
    assert gallery.enrol("family", [], OPERATOR, pipeline=PIPELINE) == ()
    assert gallery.faces("family") == ()
    assert gallery.collection("family").faces == 0


def test_pages_of_faces(gallery: Gallery) -> None:
    made(gallery)
    ids = sorted(enrolled(gallery, vectors(25)))
    seen: list[str] = []
    while page := gallery.faces("family", after=seen[-1] if seen else None, limit=10):
        seen += [face.face_id for face in page]
    assert seen == ids
    assert [f.face_id for f in gallery.faces("family", face_ids=[ids[3], ids[1], "none"])] == [ids[1], ids[3]]
    assert gallery.faces("family", face_ids=[]) == ()


def test_erasing(gallery: Gallery) -> None:
    made(gallery)
    array = vectors(10)
    ids = enrolled(gallery, array)
    gallery.search("family", array[0], permit())
    erased = gallery.erase("family", [ids[2], "none", ids[2], ids[5]], OPERATOR)
    assert (erased.face_ids, erased.missing, erased.purged) == ((ids[2], ids[5]), ("none",), True)
    assert gallery.search("family", array[2], permit(threshold=-1)).candidates == ()
    assert gallery.search("family", array[3], permit(threshold=-1)).searched == 8
    assert gallery.collection("family").faces == 8
    assert gallery.erase("family", [ids[2]], OPERATOR).face_ids == ()


def test_what_a_search_is_limited_to(gallery: Gallery) -> None:
    made(gallery)
    array = vectors(10)
    ids = enrolled(gallery, array)
    assert len(gallery.search("family", array[0], permit(max_candidates=3)).candidates) == 3
    found = gallery.search("family", FaceProbe(ids[4]), permit())
    assert ids[4] not in [c.face.face_id for c in found.candidates]
    assert found.searched == 9
    with pytest.raises(NotFoundError):
        gallery.search("none", array[0], permit("none"))
    with pytest.raises(NotFoundError):
        gallery.search("family", UserProbe("none"), permit())
    with pytest.raises(GalleryError, match="shape"):
        gallery.search("family", array[0][:5], permit())


def test_users(gallery: Gallery) -> None:
    made(gallery)
    array = vectors(10)
    ids = enrolled(gallery, array)
    for user in ("anna", "bert"):
        gallery.create_user("family", user, OPERATOR)
    with pytest.raises(ConflictError):
        gallery.create_user("family", "anna", OPERATOR)
    given = gallery.assign("family", "anna", [ids[0], ids[1], "none"], OPERATOR)
    assert (given.face_ids, given.refused) == ((ids[0], ids[1]), {"none": "face_not_found"})
    again = gallery.assign("family", "anna", [ids[0]], OPERATOR)
    assert (again.face_ids, again.refused) == ((), {})
    given = gallery.assign("family", "bert", [ids[1], ids[2]], OPERATOR)
    assert (given.face_ids, given.refused) == ((ids[2],), {ids[1]: "of_another_user"})
    assert [(u.user_id, u.faces) for u in gallery.users("family")] == [("anna", 2), ("bert", 1)]
    assert [f.face_id for f in gallery.faces("family", user_id="bert")] == [ids[2]]
    found = gallery.search("family", array[1], permit(), users=True)
    assert next((c.face.user_id, c.face.face_id) for c in found.candidates) == ("anna", ids[1])
    assert (len(found.candidates), found.searched) == (2, 3)
    found = gallery.search("family", UserProbe("anna"), permit(), users=True)
    assert [c.face.user_id for c in found.candidates] == ["bert"]
    taken = gallery.unassign("family", "anna", [ids[0], ids[2], ids[5], "none"], OPERATOR)
    assert taken.face_ids == (ids[0],)
    assert taken.refused == {ids[2]: "of_another_user", "none": "face_not_found"}  # ids[5] is nobody's already
    gallery.delete_user("family", "anna", OPERATOR)
    assert [u.user_id for u in gallery.users("family")] == ["bert"]
    assert gallery.search("family", array[1], permit(), users=True).searched == 1
    assert len(gallery.faces("family")) == 10
    with pytest.raises(NotFoundError):
        gallery.delete_user("family", "anna", OPERATOR)
    with pytest.raises(NotFoundError):
        gallery.assign("family", "anna", ids, OPERATOR)


def test_giving_faces_that_must_match(gallery: Gallery) -> None:
    made(gallery)
    array = vectors(3)
    ids = enrolled(gallery, np.stack([array[0], array[0] + np.float32(0.001), array[1]]))
    gallery.create_user("family", "anna", OPERATOR)
    first = gallery.assign("family", "anna", ids[:1], OPERATOR, permit=permit(threshold=-1))
    assert first.face_ids == (ids[0],)
    more = gallery.assign("family", "anna", ids[1:], OPERATOR, permit=permit(threshold=-1))
    assert (more.face_ids, more.refused) == ((ids[1],), {ids[2]: "low_match"})


def test_request_tokens(gallery: Gallery) -> None:
    made(gallery)
    ids = enrolled(gallery, vectors(2))
    token = Token("t", "request-1")
    for _ in range(2):
        gallery.create_user("family", "anna", OPERATOR, token)
    with pytest.raises(TokenReusedError):
        gallery.create_user("family", "bert", OPERATOR, replace(token, request="request-2"))
    answers = [gallery.assign("family", "anna", ids, OPERATOR, token=Token("u", "r")) for _ in range(2)]
    assert answers[0] == answers[1]
    with pytest.raises(ConflictError):
        gallery.create_user("family", "anna", OPERATOR, Token("v", "r"))
    with pytest.raises(ConflictError):  # what failed is not remembered as done
        gallery.create_user("family", "anna", OPERATOR, Token("v", "r"))
    assert len(list(gallery.ledger.records(kinds=[Kind.USER]))) == 2


def test_what_expires_is_erased(gallery: Gallery) -> None:
    made(gallery)
    array = vectors(3)
    now = datetime.now(UTC)
    soon = consent(until=now + timedelta(hours=1))
    faces = gallery.enrol(
        "family", [new(array[0], consent=soon), new(array[1]), new(array[2], consent=soon)], OPERATOR, pipeline=PIPELINE
    )
    assert gallery.tick(now + timedelta(minutes=59)) == 0
    assert gallery.tick(now + timedelta(minutes=61)) == 2
    assert [f.face_id for f in gallery.faces("family")] == [faces[1].face_id]
    (erasure,) = gallery.ledger.records(kinds=[Kind.ERASURE])
    assert (erasure.entry.actor, erasure.entry.reason) == ("countenance", "expired")
    assert set(erasure.entry.faces) == {faces[0].face_id, faces[2].face_id}


def test_many_threads(gallery: Gallery) -> None:
    made(gallery)
    array = vectors(100)
    problems: list[BaseException] = []

    def work(part: int) -> None:
        try:
            for i in range(part, 100, 4):
                (face,) = gallery.enrol("family", [new(array[i], i)], OPERATOR, pipeline=PIPELINE)
                found = gallery.search("family", array[i], permit(threshold=-0.1))
                assert [c.face.face_id for c in found.candidates] == [face.face_id]
                if i % 3 == 0:
                    gallery.erase("family", [face.face_id], OPERATOR)
                    assert gallery.search("family", array[i], permit(threshold=-0.1)).candidates == ()
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert gallery.collection("family").faces == 100 - 34
    assert check_export(gallery.ledger.export(), gallery.ledger.key).head.size == gallery.ledger.size


def test_two_processes_see_each_other(place: Place) -> None:
    here, there = place.open(), place.open()
    made(here)
    array = vectors(6)
    ids = enrolled(here, array[:3])
    assert there.search("family", array[1], permit(threshold=-1)).candidates[0].face.face_id == ids[1]
    more = enrolled(there, array[3:])
    here.erase("family", ids[:1], OPERATOR)
    assert there.search("family", array[0], permit(threshold=-1)).candidates == ()
    assert here.search("family", array[4], permit(threshold=-1)).candidates[0].face.face_id == more[1]
    here.create_user("family", "anna", OPERATOR)
    there.assign("family", "anna", more, OPERATOR)
    assert here.search("family", array[5], permit(), users=True).searched == 3
    here.delete_collection("family", OPERATOR)
    with pytest.raises(NotFoundError):
        there.search("family", array[4], permit())
    assert there.tick() == 0
    assert not getattr(there._live, "_indexes", None)
    check_export(there.ledger.export(), here.ledger.key)


def test_closed_is_closed(place: Place) -> None:
    gallery = place.open()
    made(gallery)
    place.close()
    with pytest.raises(GalleryError, match="closed"):
        made(gallery, "other")


# -- the ledger of a gallery -----------------------------------------------------------------------------------------


def test_everything_is_in_the_ledger(gallery: Gallery) -> None:
    made(gallery)
    array = vectors(5)
    ids = enrolled(gallery, array)
    mac = gallery.probe_mac(b"photo")
    found = gallery.search("family", array[0], permit(threshold=-1.0, threshold_asked=80.0), probe_mac=mac)
    gallery.erase("family", ids[:2], OPERATOR)
    gallery.ledger.refuse(OPERATOR, "no certificate", "family")
    records = list(gallery.ledger.records())
    assert [r.entry.kind for r in records] == [
        Kind.COLLECTION, Kind.ENROLMENT, Kind.SEARCH, Kind.ERASURE, Kind.REFUSAL
    ]  # fmt: skip
    assert [r.index for r in records] == [0, 1, 2, 3, 4]
    search = records[found.entry].entry
    assert (search.actor, search.purpose, search.basis, search.certificate) == (
        "key-1",
        "photo-archive",
        "consent",
        "cert",
    )
    assert (search.gallery, search.gallery_size, search.gallery_version) == ("family", 5, 1)
    assert (search.threshold, search.threshold_asked, search.candidates, search.probe) == (-1.0, 80.0, 1, mac)
    assert records[1].entry.faces == tuple(ids)
    assert records[3].entry.faces == tuple(ids[:2])
    assert records[3].entry.gallery_size == 3


def test_nothing_personal_is_in_the_ledger(gallery: Gallery) -> None:
    made(gallery)
    array = vectors(2)
    ids = enrolled(gallery, array)
    gallery.create_user("family", "anna-smith", OPERATOR)
    gallery.assign("family", "anna-smith", ids, OPERATOR)
    gallery.search("family", array[0], permit())
    text = "\n".join(gallery.ledger.export())
    for secret in ("anna", "external-", "image-", "person-1"):
        assert secret not in text
    digests = {mac.entry.probe for mac in gallery.ledger.records(kinds=[Kind.SEARCH])}
    assert len(digests) == 1


def test_a_probe_leaves_the_same_mac_each_time_and_another_in_another_gallery(place: Place, tmp_path: object) -> None:
    gallery = place.open()
    assert gallery.probe_mac(b"x") == gallery.probe_mac(b"x") != gallery.probe_mac(b"y")


def test_proofs(gallery: Gallery) -> None:
    made(gallery)
    ledger = gallery.ledger
    first = ledger.key.open(ledger.head())
    for i in range(9):
        ledger.refuse(OPERATOR, f"no {i}")
    last = ledger.key.open(ledger.head())
    assert (first.size, last.size) == (1, 10)
    assert consistent(1, 10, first.root, last.root, ledger.consistency(1))
    for record in ledger.records():
        assert included(record.leaf, record.index, 10, ledger.inclusion(record.index), last.root)
    assert ledger.heads() == (*ledger.heads()[:1], ledger.head())
    with pytest.raises(GalleryError.__mro__[1], match="10 records"):
        ledger.inclusion(0, 11)


def test_retention(gallery: Gallery) -> None:
    made(gallery)
    ids = enrolled(gallery, vectors(2))
    gallery.erase("family", ids[:1], OPERATOR)
    kept = [gallery.ledger.head()]
    later = datetime.now(UTC) + timedelta(seconds=1)
    root = gallery.ledger.root(3)
    assert gallery.ledger.erase_bodies(later, OPERATOR) == 2
    assert gallery.ledger.erase_bodies(later, OPERATOR) == 0
    assert [r.entry.kind for r in gallery.ledger.records()] == [Kind.ERASURE, Kind.RETENTION]
    assert gallery.ledger.root(3) == root
    found = check_export(gallery.ledger.export(), gallery.ledger.key, kept)
    assert found.erased == (0, 1)
