"""The one thread that writes: several changes to a commit, each whole or not at all."""

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from countenance.errors import ConflictError, GalleryError
from countenance.gallery import Gallery, entry_of, open_gallery
from countenance.gallery.writer import Change
from countenance.ledger import Kind, check_export
from gallery.conftest import Place
from gallery.helpers import OPERATOR, PIPELINE, consent, enrolled, made, new, permit, vectors


def at_once(gallery: Gallery, works: list[object]) -> list[object]:
    """Run the works so that they share a commit: they queue up behind one that waits."""
    begin, outcome = threading.Event(), [None] * len(works)
    entered = threading.Event()

    def block(change: object) -> None:
        entered.set()
        begin.wait(10)

    def run(i: int, work: object) -> None:
        try:
            outcome[i] = work()  # type: ignore[operator]
        except Exception as error:
            outcome[i] = error  # type: ignore[call-overload]

    blocker = threading.Thread(target=lambda: gallery._writer.do(block))
    blocker.start()
    entered.wait(10)
    threads = [threading.Thread(target=run, args=(i, work)) for i, work in enumerate(works)]
    for thread in threads:
        thread.start()
    while gallery._writer._queue.qsize() < len(works):
        time.sleep(0.001)
    begin.set()
    for thread in [blocker, *threads]:
        thread.join()
    return outcome


def test_a_change_that_fails_leaves_nothing_and_spares_the_others(gallery: Gallery) -> None:
    made(gallery)
    commits = []
    original = gallery._store.write
    gallery._store.write = lambda: commits.append(1) or original()  # type: ignore[method-assign,func-returns-value]
    outcome = at_once(
        gallery,
        [
            lambda: gallery.create_user("family", "a", OPERATOR),
            lambda: gallery.create_collection("family", OPERATOR, pipeline="p", metric="cosine", dimension=2),
            lambda: enrolled(gallery, vectors(2)),
            lambda: gallery.create_user("family", "b", OPERATOR),
        ],
    )
    assert len(commits) == 2
    assert isinstance(outcome[1], ConflictError)
    assert [u.user_id for u in gallery.users("family")] == ["a", "b"]
    assert gallery.collection("family").faces == 2
    assert gallery.ledger.size == 4
    assert check_export(gallery.ledger.export(), gallery.ledger.key).head.size == 4


def test_a_change_that_fails_late_leaves_nothing(gallery: Gallery) -> None:
    made(gallery)
    before = gallery.ledger.root()

    def fails(change: Change) -> None:
        change.record(entry_of(Kind.REFUSAL, OPERATOR))
        change.keys[10**6] = b"x" * 32
        change.doomed.append(10**6)
        raise ConflictError("late")

    with pytest.raises(ConflictError, match="late"):
        gallery._writer.do(fails)
    assert gallery.ledger.root() == before
    assert gallery._keys.read([10**6]) == [None]
    gallery.ledger.refuse(OPERATOR, "goes on")
    assert check_export(gallery.ledger.export(), gallery.ledger.key).head.size == 2


def test_when_the_database_gives_a_transaction_up_all_that_share_it_fail(gallery: Gallery) -> None:
    made(gallery)

    def given_up(change: Change) -> None:
        change.tx.run("ROLLBACK")
        raise RuntimeError("the database gave up")

    outcome = at_once(
        gallery,
        [
            lambda: gallery.create_user("family", "a", OPERATOR),
            lambda: gallery._writer.do(given_up),
            lambda: gallery.create_user("family", "b", OPERATOR),
        ],
    )
    assert all(isinstance(problem, GalleryError) for problem in outcome)
    assert gallery.users("family") == ()
    assert len(enrolled(gallery, vectors(2))) == 2
    assert check_export(gallery.ledger.export(), gallery.ledger.key).head.size == 2


def test_a_full_disk(tmp_path: Path) -> None:
    with open_gallery(tmp_path / "g") as gallery:
        made(gallery)
        ids = enrolled(gallery, vectors(50))
        ((pages,),) = gallery._store._writer.execute("PRAGMA page_count").fetchall()  # type: ignore[attr-defined]
        gallery._store._writer.execute(f"PRAGMA max_page_count = {pages + 2}")  # type: ignore[attr-defined]
        outcome = at_once(
            gallery,
            [
                lambda: gallery.create_user("family", "a", OPERATOR),
                lambda: enrolled(gallery, vectors(200)),
                lambda: gallery.create_user("family", "b", OPERATOR),
            ],
        )
        assert isinstance(outcome[1], Exception)
        there = [u.user_id for u in gallery.users("family")]
        for user, result in (("a", outcome[0]), ("b", outcome[2])):
            assert (result is None) == (user in there)
        assert {f.face_id for f in gallery.faces("family")} == set(ids)
        gallery._store._writer.execute("PRAGMA max_page_count = 1000000")  # type: ignore[attr-defined]
        more = enrolled(gallery, vectors(200))
        assert len(gallery.faces("family", face_ids=more)) == 200
        check_export(gallery.ledger.export(), gallery.ledger.key)


@pytest.mark.parametrize("place", ["postgres", "pgvector"], indirect=True)
def test_a_database_that_goes_away(place: Place) -> None:
    gallery = place.open()
    made(gallery)
    ids = enrolled(gallery, vectors(3))
    other = place.open()
    with other._store.write() as tx:
        tx.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
    assert len(enrolled(gallery, vectors(2))) == 2  # on fresh connections

    def dies(change: Change) -> None:
        change.record(entry_of(Kind.REFUSAL, OPERATOR))
        change.tx.rows("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(GalleryError, match="durable"):
        gallery._writer.do(dies)
    assert not list(gallery.ledger.records(kinds=[Kind.REFUSAL]))
    gallery.ledger.refuse(OPERATOR, "goes on")
    assert gallery.collection("family").faces == 5
    assert len(gallery.faces("family", face_ids=ids)) == 3
    check_export(gallery.ledger.export(), gallery.ledger.key)


def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(GalleryError, match="does not answer"):
        open_gallery(tmp_path / "g", f"postgresql://nobody@/none?host={tmp_path}")


def test_a_file_that_is_not_a_gallery(tmp_path: Path) -> None:
    (tmp_path / "gallery.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(GalleryError, match="not a gallery"):
        open_gallery(tmp_path)


def test_a_face_whose_consent_has_ended_is_no_candidate_even_before_it_is_erased(gallery: Gallery) -> None:
    made(gallery)
    array = vectors(2)
    short = consent(until=datetime.now(UTC) + timedelta(seconds=0.5))
    gallery.enrol("family", [new(array[0], consent=short), new(array[1])], OPERATOR, pipeline=PIPELINE)
    assert len(gallery.search("family", array[0], permit()).candidates) == 2
    time.sleep(0.6)
    assert len(gallery.search("family", array[0], permit()).candidates) == 1
    assert len(gallery.faces("family")) == 1
