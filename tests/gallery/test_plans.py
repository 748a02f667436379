"""How SQLite looks faces up: by their key or an index, never by walking through the collection."""

from pathlib import Path

from countenance.gallery import FaceProbe, open_gallery
from countenance.gallery.sqlite import SQLiteStore
from gallery.helpers import OPERATOR, enrolled, made, permit, vectors


def test_no_lookup_of_faces_walks_through_the_collection(tmp_path: Path) -> None:
    asked: list[str] = []
    with open_gallery(tmp_path / "data") as gallery:
        made(gallery)
        ids = enrolled(gallery, vectors(50))
        gallery.create_user("family", "anna", OPERATOR)
        store = gallery._store
        assert isinstance(store, SQLiteStore)
        for connection in store._opened:
            connection.set_trace_callback(asked.append)
        assert len(gallery.search("family", FaceProbe(ids[0]), permit()).candidates) == 49
        gallery.faces("family", face_ids=ids[:3], after=ids[0])
        gallery.assign("family", "anna", ids[:3], OPERATOR)
        gallery.assign("family", "anna", ids[3:5], OPERATOR, permit=permit())
        gallery.faces("family", user_id="anna", limit=2)
        gallery.unassign("family", "anna", ids[:2], OPERATOR)
        gallery.erase("family", ids[:3], OPERATOR)
        plans = {}
        for sql in {one for one in asked if "FROM faces" in one or "UPDATE faces" in one}:
            with store.read() as tx:
                plans[sql] = " ".join(row[3] for row in tx.rows(f"EXPLAIN QUERY PLAN {sql}"))
    assert len(plans) >= 5
    for sql, plan in plans.items():
        assert "SCAN" not in plan, sql
        assert " IN (" not in sql or "face_id=?" in plan, f"{sql}: {plan}"
