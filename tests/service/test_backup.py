"""Backup and restore on both stores: consistent while in use, what was erased stays erased, the ledger only grows."""

import json
import shutil
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from countenance.cli import main
from countenance.errors import CountenanceError
from countenance.gallery import Gallery, open_gallery, open_ledger, replace_key
from countenance.ledger import Kind, check_export
from countenance.service.backup import Restored, make_backup, restore_backup
from countenance.service.folder import hold, kept_head
from gallery.helpers import OPERATOR, enrolled, made, permit, vectors


@dataclass
class Site:
    """A data folder, and on PostgreSQL a database."""

    data: Path
    database: str | None
    fresh: Callable[[], str]

    def open(self) -> Gallery:
        return open_gallery(self.data, self.database)

    def backup(self, name: str = "b") -> Path:
        return make_backup(self.data.parent / name, self.data, self.database).path

    def lose_store(self) -> None:
        """The disk of the store is gone; the keys are left."""
        if self.database is None:
            for path in self.data.glob("gallery.db*"):
                path.unlink()
        else:
            self.database = self.fresh()

    def restore(self, backup: Path, **more: Any) -> Restored:
        return restore_backup(backup, self.data, self.database, **more)

    def export(self) -> list[str]:
        with open_ledger(self.data, self.database) as ledger:
            return list(ledger.export())


@pytest.fixture(params=["sqlite", "postgres"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    data = tmp_path / "data"
    if request.param == "sqlite":
        return Site(data, None, lambda: "")
    fresh = request.getfixturevalue("new_database")
    return Site(data, fresh(), fresh)


def ids(gallery: Gallery, name: str = "family") -> set[str]:
    return {face.face_id for face in gallery.faces(name, limit=100_000)}


def test_a_backup_comes_back_whole(site: Site) -> None:
    array = vectors(40)
    with site.open() as gallery:
        made(gallery)
        there = enrolled(gallery, array)
        gallery.tag("family", OPERATOR, put={"team": "red"})
        gallery.create_user("family", "u1", OPERATOR)
        gallery.assign("family", "u1", there[:2], OPERATOR)
        want = [c.face.face_id for c in gallery.search("family", array[7], permit()).candidates]
    backup = site.backup()
    before = site.export()
    site.lose_store()
    done = site.restore(backup)
    assert (done.faces, done.erased, done.lost) == (40, 0, 0)
    with site.open() as gallery:
        assert [c.face.face_id for c in gallery.search("family", array[7], permit()).candidates] == want
        assert gallery.tags("family") == {"team": "red"}
        assert [(user.user_id, user.faces) for user in gallery.users("family")] == [("u1", 2)]
        assert gallery.collection("family").faces == 40
        new = enrolled(gallery, vectors(3, seed=9))  # no number is given out twice: nothing collides
        made(gallery, "second")
    with site.open() as gallery:
        assert ids(gallery) == {*there, *new}
    now = site.export()
    assert now[: len(before) - 1] == before[:-1]
    check_export(now, kept=[json.loads(before[-1])["head"], done.head])


def test_what_was_erased_since_stays_erased(site: Site) -> None:
    array = vectors(20)
    with site.open() as gallery:
        made(gallery)
        made(gallery, "other")
        there = enrolled(gallery, array)
        enrolled(gallery, vectors(5, seed=3), "other")
    old_keys = (site.data / "faces.keys").read_bytes()
    backup = site.backup()
    with site.open() as gallery:
        gallery.erase("family", there[:4], OPERATOR)
        gallery.delete_collection("other", OPERATOR)
        since = enrolled(gallery, vectors(2, seed=4))
    export = site.data.parent / "ledger.jsonl"
    export.write_text("\n".join(site.export()) + "\n")
    site.lose_store()
    # Even if somebody brings the keys of then along, the ledger of now tells what has to go.
    keys = bytearray(old_keys)
    (site.data / "faces.keys").write_bytes(keys)
    done = site.restore(backup, export=export)
    assert (done.collections, done.faces, done.erased, done.lost) == (1, 16, 9, 2)
    with site.open() as gallery:
        assert ids(gallery) == set(there[4:])
        assert not ids(gallery) & set(since)
        assert gallery.collection("family").faces == 16
        found = gallery.search("family", array[0], permit())
        assert found.searched == 16
        assert not {c.face.face_id for c in found.candidates} & set(there[:4])
        (record,) = gallery.ledger.records(kinds=[Kind.RESTORE])
        assert record.entry.detail["erased_since"] == "9"
        assert record.entry.detail["enrolled_since_and_lost"] == "2"
    after = (site.data / "faces.keys").read_bytes()
    zero = [n for n in range(1, len(old_keys) // 32) if after[32 * n : 32 * n + 32] == bytes(32)]
    assert len(zero) == 9  # their keys are destroyed again
    check_export(site.export(), kept=[json.loads(export.read_text().splitlines()[-1])["head"], done.head])


def test_without_the_ledger_of_now_nothing_is_restored(site: Site) -> None:
    with site.open() as gallery:
        made(gallery)
        there = enrolled(gallery, vectors(6))
    backup = site.backup()
    old = site.data.parent / "old.jsonl"
    old.write_text("\n".join(site.export()) + "\n")
    with site.open() as gallery:
        gallery.erase("family", there[:2], OPERATOR)
    newer = site.backup("newer")  # keeps its head in the data folder
    kept = kept_head(site.data)
    site.lose_store()
    for export in (None, old):
        with pytest.raises(CountenanceError, match="a head was kept over"):
            site.restore(backup, export=export)
    export = site.data.parent / "new.jsonl"
    done = site.restore(newer, export=old)
    assert (done.faces, done.erased) == (4, 0)
    export.write_text("\n".join(site.export()) + "\n")
    check_export(export.read_text().splitlines(), kept=[kept or ""])
    with pytest.raises(CountenanceError, match="there is a gallery already"):
        site.restore(backup)
    assert site.restore(backup, replace=True).faces == 4  # the ledger that is there counts


def test_no_number_is_given_out_twice(site: Site) -> None:
    with site.open() as gallery:
        made(gallery)
        there = enrolled(gallery, vectors(3))
    backup = site.backup()
    with site.open() as gallery:
        enrolled(gallery, vectors(4, seed=2))
        made(gallery, "since")
        before, version = gallery.collection("since").uid, gallery.collection("family").version
    keys = (site.data / "faces.keys").read_bytes()
    export = site.data.parent / "ledger.jsonl"
    export.write_text("\n".join(site.export()) + "\n")
    site.lose_store()
    site.restore(backup, export=export)
    with site.open() as gallery:
        new = enrolled(gallery, vectors(2, seed=3))
        made(gallery, "after")
        assert gallery.collection("after").uid > before
        assert gallery.collection("family").version > version
        assert ids(gallery) == {*there, *new}
    assert (site.data / "faces.keys").read_bytes()[: len(keys)] == keys  # a newer backup could still be brought back


def test_a_lost_ledger_is_said_to_be_lost(site: Site) -> None:
    with site.open() as gallery:
        made(gallery)
        there = enrolled(gallery, vectors(6))
    backup = site.backup()
    with site.open() as gallery:
        gallery.erase("family", there[:2], OPERATOR)
        head = gallery.ledger.head()
    kept = site.data.parent / "head.txt"
    kept.write_text(head)
    site.lose_store()
    with pytest.raises(CountenanceError, match="--ledger-lost"):
        site.restore(backup, heads=[kept])
    done = site.restore(backup, heads=[kept], ledger_lost=True)
    assert (done.faces, done.erased) == (4, 2)  # the keys of the two are gone all the same
    with site.open() as gallery:
        (record,) = gallery.ledger.records(kinds=[Kind.RESTORE])
        assert "records_missing" in record.entry.detail
        (erasure,) = gallery.ledger.records(kinds=[Kind.ERASURE])
        assert set(erasure.entry.faces) == set(there[:2])
    with pytest.raises(CountenanceError):
        check_export(site.export(), kept=[head])  # whoever kept the head can tell


def test_an_old_copy_put_there_by_hand_is_found_out(tmp_path: Path) -> None:
    site = Site(tmp_path / "data", None, lambda: "")
    with site.open() as gallery:
        made(gallery)
        enrolled(gallery, vectors(3))
    copy = (site.data / "gallery.db").read_bytes()
    with site.open() as gallery:
        enrolled(gallery, vectors(1))
    site.backup()
    (site.data / "gallery.db").write_bytes(copy)
    with pytest.raises(CountenanceError, match="older copy"):
        site.backup("again")
    found = CliRunner().invoke(main, ["serve", "--data", str(site.data), "--port", "0"])
    assert found.exit_code == 2
    assert "countenance restore" in found.stderr
    assert site.restore(tmp_path / "b", replace=True).faces == 4
    (site.data / "gallery.db").write_bytes(copy)
    with site.open() as gallery:  # and written to: now there are two ledgers
        enrolled(gallery, vectors(1, seed=5))
    with pytest.raises(CountenanceError, match="contradict each other"):
        site.restore(tmp_path / "b", replace=True)


def test_a_ledger_that_was_altered_is_refused(site: Site) -> None:
    with site.open() as gallery:
        made(gallery)
        enrolled(gallery, vectors(2))
    backup = site.backup()
    with sqlite3.connect(backup) as file:
        ((body,),) = file.execute("SELECT body FROM log WHERE idx = 1").fetchall()
        file.execute("UPDATE log SET body = ? WHERE idx = 1", (body.replace(b"family", b"famila"),))
    file.close()
    site.lose_store()
    with pytest.raises(CountenanceError, match="root"):
        site.restore(backup)


def test_a_backup_is_of_one_moment_while_others_write(site: Site) -> None:
    array = vectors(400)
    stop = threading.Event()
    with site.open() as gallery:
        made(gallery)

        def hammer(part: int) -> None:
            number = part
            while not stop.is_set():
                (face_id,) = enrolled(gallery, array[number : number + 1])
                if number % 3 == 0:
                    gallery.erase("family", [face_id], OPERATOR)
                number = (number + 4) % 400

        threads = [threading.Thread(target=hammer, args=(part,)) for part in range(4)]
        for thread in threads:
            thread.start()
        backups = [site.backup(f"b{number}") for number in range(3)]
        stop.set()
        for thread in threads:
            thread.join()
        last, erased = ids(gallery), {f for r in gallery.ledger.records(kinds=[Kind.ERASURE]) for f in r.entry.faces}
    sizes = []
    for backup in backups:
        with sqlite3.connect(backup) as file:
            in_backup = {face for (face,) in file.execute("SELECT face_id FROM faces")}
            logged: set[str] = set()
            for kind, body in file.execute("SELECT kind, body FROM log ORDER BY idx"):
                faces = set(json.loads(body).get("faces", []))
                logged = logged | faces if kind == "enrolment" else logged - faces
            ((counted,),) = file.execute("SELECT faces FROM collections").fetchall()
            sizes += file.execute("SELECT COUNT(*) FROM log").fetchone()
        file.close()
        assert in_backup == logged, "the faces and the ledger of one moment"
        assert counted == len(in_backup)
        site.restore(backup, replace=True)
        with site.open() as gallery:
            assert ids(gallery) == in_backup - erased <= last
    assert sorted(set(sizes)) == sizes, "each of a later moment"
    assert len(sizes) == 3


def test_from_one_store_to_the_other(tmp_path: Path, new_database: Callable[[], str]) -> None:
    array = vectors(30)
    site = Site(tmp_path / "data", None, new_database)
    with site.open() as gallery:
        made(gallery)
        there = enrolled(gallery, array)
    backup = site.backup()
    database = new_database()
    site.lose_store()
    assert restore_backup(backup, site.data, database).faces == 30
    with open_gallery(site.data, database, search="database") as gallery:
        assert gallery.search("family", array[3], permit()).candidates[0].face.face_id == there[3]
        gallery.erase("family", there[:1], OPERATOR)
    assert restore_backup(backup, site.data, database, replace=True).faces == 29
    with open_gallery(site.data, database, search="database") as gallery:  # its tables of vectors are made anew
        assert gallery.search("family", array[3], permit()).searched == 29
    back = make_backup(tmp_path / "back", site.data, database).path
    assert restore_backup(back, site.data).faces == 29
    with site.open() as gallery:
        assert ids(gallery) == set(there[1:])


def test_the_keys_and_who_holds_the_folder(tmp_path: Path) -> None:
    site = Site(tmp_path / "data", None, lambda: "")
    with site.open() as gallery:
        made(gallery)
        enrolled(gallery, vectors(2))
    backup = site.backup()
    assert backup.stat().st_mode & 0o777 == 0o600
    held = backup.read_bytes()
    keys = (site.data / "faces.keys").read_bytes()
    assert not any(keys[at : at + 32] in held for at in range(32, len(keys), 32))
    with pytest.raises(CountenanceError, match="not written over"):
        site.backup()
    with hold(site.data, alone=True), pytest.raises(CountenanceError, match="stop it first"):
        site.restore(backup, replace=True)
    with open_gallery(tmp_path / "another") as gallery:
        made(gallery)
    shutil.copy(tmp_path / "another" / "faces.keys", site.data / "faces.keys")
    with pytest.raises(CountenanceError, match="keys of another gallery"):
        site.restore(backup, replace=True)
    (site.data / "faces.keys").unlink()
    with pytest.raises(CountenanceError, match="without the current keys"):
        site.restore(backup, replace=True)
    (tmp_path / "junk").write_bytes(held[: len(held) // 2])
    for bad in ("junk", "nothing"):
        with pytest.raises(CountenanceError, match="backup"):
            site.restore(tmp_path / bad, replace=True)


def test_a_key_that_was_replaced_since(site: Site) -> None:
    with site.open() as gallery:
        made(gallery)
        enrolled(gallery, vectors(2))
    backup = site.backup()
    with site.open() as gallery:
        replace_key(site.data, gallery.ledger, OPERATOR)
    export = site.data.parent / "ledger.jsonl"
    export.write_text("\n".join(site.export()) + "\n")
    site.lose_store()
    assert site.restore(backup, export=export).faces == 2
    assert len(check_export(site.export()).keys) == 2


def test_retention_is_not_undone(site: Site) -> None:
    with site.open() as gallery:
        made(gallery)
        gallery.ledger.refuse(OPERATOR, "a refusal of long ago")
    backup = site.backup()
    with site.open() as gallery:
        entry = next(iter(gallery.ledger.records())).entry
        gallery.ledger.erase_bodies(entry.ended.replace(year=entry.ended.year + 1), OPERATOR)
    export = site.data.parent / "ledger.jsonl"
    export.write_text("\n".join(site.export()) + "\n")
    site.lose_store()
    site.restore(backup, export=export)
    assert "long ago" not in "\n".join(site.export())
    check_export(site.export())


def test_the_commands(tmp_path: Path) -> None:
    site = Site(tmp_path / "data", None, lambda: "")
    with site.open() as gallery:  # open all the while, as a server has it
        made(gallery)
        enrolled(gallery, vectors(3))
        found = CliRunner().invoke(main, ["backup", str(tmp_path / "b"), "--data", str(site.data)])
        assert found.exit_code == 0, found.output
        assert "3 faces in 1 collections" in found.output
        assert found.output.endswith(kept_head(site.data) or "?")
    again = CliRunner().invoke(main, ["restore", str(tmp_path / "b"), "--data", str(site.data), "--replace"])
    assert again.exit_code == 0, again.output
    assert "3 faces in 1 collections" in again.output
