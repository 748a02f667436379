"""Search inside PostgreSQL finds what the search in memory finds, and outlives a crash of the place."""

from pathlib import Path

import numpy as np
import pytest

from countenance.errors import GalleryError
from countenance.gallery import FaceProbe, UserProbe, open_gallery
from countenance.ledger import check_export
from gallery.conftest import Place
from gallery.helpers import OPERATOR, PIPELINE, enrolled, made, new, permit, vectors

pgvector = pytest.mark.parametrize("place", ["pgvector"], indirect=True)


@pgvector
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_both_ways_of_searching_find_the_same(place: Place, metric: str) -> None:
    inside = place.open()
    place.search = "memory"
    memory = place.open()
    made(inside, metric=metric, dimension=24)
    array = vectors(400, dimension=24)
    array[300:] = array[:100]  # ties
    ids = enrolled(inside, array)
    for number in range(5):
        inside.create_user("family", f"u{number}", OPERATOR)
        inside.assign("family", f"u{number}", ids[number * 90 : number * 90 + 40], OPERATOR)
    inside.erase("family", ids[150:170], OPERATOR)
    probes = [*vectors(3, seed=2, dimension=24), array[3], FaceProbe(ids[7]), UserProbe("u1")]
    middle = 0.3 if metric == "cosine" else -6.0
    for probe in probes:
        for users in (False, True):
            for threshold in (-1e6, middle, 0.0):
                for most in (1, 7):
                    facts = {"threshold": threshold, "max_candidates": most}
                    a = inside.search("family", probe, permit(**facts), users=users)
                    b = memory.search("family", probe, permit(**facts), users=users)
                    assert a.candidates == b.candidates
                    assert (a.searched, a.version) == (b.searched, b.version)


@pgvector
def test_a_large_vector_is_kept_exactly(place: Place) -> None:
    gallery = place.open()
    made(gallery, dimension=2048)
    array = (vectors(3, dimension=2048) * np.float32(1e-3)) ** 3
    ids = enrolled(gallery, array)
    (candidate,) = gallery.search("family", array[1], permit(threshold=0.0)).candidates
    assert (candidate.face.face_id, candidate.score) == (ids[1], 0.0)


@pgvector
def test_what_a_crash_of_the_database_emptied_is_filled_again(place: Place) -> None:
    gallery = place.open()
    made(gallery)
    array = vectors(20)
    ids = enrolled(gallery, array)
    gallery.erase("family", ids[:1], OPERATOR)
    found = gallery.search("family", array[5], permit())
    place.crash()
    again = gallery.search("family", array[5], permit())
    assert again.candidates == found.candidates
    assert again.searched == 19
    assert {f.face_id for f in gallery.faces("family")} == set(ids[1:])
    gallery.enrol("family", [new(array[0])], OPERATOR, pipeline=PIPELINE)
    check_export(gallery.ledger.export(), gallery.ledger.key)


@pgvector
def test_a_rewrite_that_readers_prevent_is_made_up_for(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = place.open()
    made(gallery)
    ids = enrolled(gallery, vectors(3))
    gallery.tick()
    with monkeypatch.context() as patch:
        patch.setattr(gallery._store, "vacuum", lambda table: False)
        assert not gallery.erase("family", ids[:1], OPERATOR).purged
    gallery.tick()
    assert gallery.erase("family", ids[1:2], OPERATOR).purged


def test_only_postgres_searches_inside(tmp_path: Path) -> None:
    for search in ("database", "elsewhere"):
        with pytest.raises(GalleryError, match="search"):
            open_gallery(tmp_path / "g", search=search)
