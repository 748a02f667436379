"""After erasing, no file of the data directory holds the vector, in any encoding used, nor what came with it."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from countenance.errors import GalleryError
from countenance.gallery import Gallery, open_gallery
from countenance.gallery.keys import KeyFile, seal, unseal
from countenance.ledger import Kind
from gallery.conftest import Place
from gallery.helpers import OPERATOR, PIPELINE, consent, enrolled, made, new, permit, vectors


def every_byte(folder: Path) -> bytes:
    return b"\0\0".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def spellings(vector: np.ndarray) -> list[bytes]:
    """The vector in every encoding that a program could have used, in pieces: a file may hold a part."""
    unit = (vector.astype(np.float64) / np.linalg.norm(vector.astype(np.float64))).astype(np.float32)
    found = []
    for array in (vector, unit, vector.astype(np.float64), vector.astype(np.float16), vector.astype(">f4")):
        raw = array.tobytes()
        for start in range(0, len(raw) - 23, 96):
            found += [raw[start : start + 16], raw[start : start + 16].hex().encode()]
            found.append(base64.b64encode(raw[start : start + 24]))
    found += [repr(float(x)).encode() for x in vector[:4]]
    return found


def sealed_rows(gallery: Gallery) -> dict[str, tuple[int, bytes]]:
    with gallery._store.read() as tx:
        return {
            face_id: (slot, bytes(sealed))
            for face_id, slot, sealed in tx.rows("SELECT face_id, slot, sealed FROM faces")
        }


def test_no_byte_of_an_erased_face_is_left(place: Place) -> None:
    gallery = place.open()
    made(gallery)
    array = vectors(2)
    personal = new(array[0], external_image_id="Jane-Q-Public", consent=consent(subject="subject-of-jane"))
    (face,) = gallery.enrol("family", [personal], OPERATOR, pipeline=PIPELINE)
    enrolled(gallery, array[1:])
    gallery.search("family", array[0], permit())
    slot, sealed = sealed_rows(gallery)[face.face_id]
    (key,) = gallery._keys.read([slot])
    assert key is not None
    place.flush("searchable_1" if place.kind == "pgvector" else None)
    bytes_before = every_byte(place.data)
    assert key in every_byte(place.folder)  # so that a miss below means something
    if place.kind == "sqlite":
        assert sealed[:64] in bytes_before
    in_the_clear = any(piece in bytes_before for piece in spellings(array[0]))
    assert in_the_clear == (place.kind == "pgvector")
    assert b"Jane-Q-Public" not in bytes_before
    assert gallery.erase("family", [face.face_id], OPERATOR).purged
    place.flush()
    after = every_byte(place.data) + every_byte(place.folder)
    assert key not in after
    assert gallery._keys.read([slot]) == [None]
    if place.kind == "sqlite":
        assert not any(sealed[i : i + 32] in after for i in range(0, len(sealed) - 31, 32))
    for piece in [*spellings(array[0]), b"Jane-Q-Public", b"subject-of-jane"]:
        assert piece not in after
    if place.kind != "pgvector":
        (index,) = gallery._live._indexes.values()
        assert not any(array[0].tobytes()[:64] in block.tobytes() for block in index._blocks)


def test_nothing_that_could_be_opened_is_left_of_many(place: Place) -> None:
    """Enough faces that SQLite splits and merges its pages, and leaves stale copies in them."""
    gallery = place.open()
    made(gallery)
    array = vectors(1500)
    ids = enrolled(gallery, array)
    rows = sealed_rows(gallery)
    keys = dict(zip(ids, gallery._keys.read([rows[i][0] for i in ids]), strict=True))
    order = np.random.default_rng(1).permutation(1500)
    for part in range(0, 1000, 100):
        gallery.erase("family", [ids[i] for i in order[part : part + 100]], OPERATOR)
    held = every_byte(place.folder)
    for i in order[:1000]:
        assert keys[ids[i]] not in held  # type: ignore[operator]
    assert all(keys[ids[i]] in held for i in order[1000:])  # type: ignore[operator]
    assert {f.face_id for f in gallery.faces("family", limit=2000)} == {ids[i] for i in order[1000:]}


def test_deleting_a_collection_erases_its_faces(place: Place) -> None:
    gallery = place.open()
    made(gallery)
    ids = enrolled(gallery, vectors(5))
    gallery.tick()
    blocks = []
    if place.kind != "pgvector":
        (index,) = gallery._live._indexes.values()
        blocks = index._blocks[:1]
    rows = sealed_rows(gallery)
    keys = gallery._keys.read([rows[i][0] for i in ids])
    gallery.create_user("family", "Jane-Q-Public", OPERATOR)
    assert gallery.delete_collection("family", OPERATOR).purged
    held = every_byte(place.folder)
    assert not any(key in held for key in keys if key)
    assert not any(block.any() for block in blocks)
    if place.kind == "sqlite":
        assert b"Jane-Q-Public" not in held


def test_a_promise_to_destroy_a_key_outlives_the_process(place: Place) -> None:
    """Die between the commit that erases and the destruction of the key: whoever opens next does it."""
    gallery = place.open()
    made(gallery)
    (face_id,) = enrolled(gallery, vectors(1))
    slot, _ = sealed_rows(gallery)[face_id]

    def dies(slots: Any) -> None:
        raise OSError("died here")

    gallery._keys.destroy = dies  # type: ignore[method-assign]
    with pytest.raises(GalleryError, match="durable"):
        gallery.erase("family", [face_id], OPERATOR)
    assert gallery._keys.read([slot]) != [None]
    again = place.open()
    assert again._keys.read([slot]) == [None]
    enrolled(again, vectors(1))
    place.close()
    assert place.open().collection("family").faces == 1


def test_an_old_copy_of_the_database_cannot_bring_a_face_back(tmp_path: Path) -> None:
    folder = tmp_path / "g"
    with open_gallery(folder) as gallery:
        made(gallery)
        array = vectors(2)
        ids = enrolled(gallery, array)
    copy = (folder / "gallery.db").read_bytes()
    with open_gallery(folder) as gallery:
        gallery.erase("family", ids[:1], OPERATOR)
    (folder / "gallery.db").write_bytes(copy)
    with pytest.raises(GalleryError, match="key is missing"):
        open_gallery(folder)
    with open_gallery(folder, restored=True) as gallery:
        assert [face.face_id for face in gallery.faces("family")] == ids[1:]
        assert gallery.collection("family").faces == 1
        assert gallery.search("family", array[0], permit()).searched == 1
        (erasure,) = gallery.ledger.records(kinds=[Kind.ERASURE])
        assert (erasure.entry.operation, erasure.entry.faces) == ("restore", (ids[0],))
    open_gallery(folder).close()


def test_keys_of_another_gallery(tmp_path: Path) -> None:
    for name in ("a", "b"):
        open_gallery(tmp_path / name).close()
    (tmp_path / "a" / "faces.keys").write_bytes((tmp_path / "b" / "faces.keys").read_bytes())
    with pytest.raises(GalleryError, match="another gallery"):
        open_gallery(tmp_path / "a")


def test_secrets_that_others_can_read_are_not_used(tmp_path: Path) -> None:
    open_gallery(tmp_path / "g").close()
    for name in ("faces.keys", "probe.key", "ledger.key"):
        path = tmp_path / "g" / name
        assert path.stat().st_mode & 0o777 == 0o600
        path.chmod(0o644)
        with pytest.raises(Exception, match="chmod 600"):
            open_gallery(tmp_path / "g")
        path.chmod(0o600)
    assert (tmp_path / "g").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "g" / "gallery.db").stat().st_mode & 0o777 == 0o600


def test_a_sealed_record_that_was_altered_does_not_open() -> None:
    key, sealed = seal(b"plain", b"1/face")
    assert unseal(key, sealed, b"1/face") == b"plain"
    for other in (bytes([sealed[0] ^ 1]) + sealed[1:], sealed[:-1] + bytes([sealed[-1] ^ 1])):
        with pytest.raises(GalleryError, match="does not open"):
            unseal(key, other, b"1/face")
    with pytest.raises(GalleryError, match="does not open"):
        unseal(key, sealed, b"2/face")


def test_key_file(tmp_path: Path) -> None:
    mark = b"m" * 32
    keys = KeyFile(tmp_path / "k", mark)
    many = {slot: bytes([slot % 255 + 1]) * 32 for slot in range(1, 600)}
    keys.write(many)
    keys.write({1000: b"x" * 32, 900: b"y" * 32})
    slots = [*many, 900, 1000, 5000, 700]
    assert keys.read(slots) == [*many.values(), b"y" * 32, b"x" * 32, None, None]
    keys.destroy([5, 900])
    assert keys.read([4, 5, 6, 900]) == [many[4], None, many[6], None]
    keys.close()
    assert KeyFile(tmp_path / "k", mark).read([7]) == [many[7]]
