"""A person finds and erases themselves: uncertified, permissive, shown nothing of anyone else, with a proof."""

import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from countenance.cli import main
from countenance.errors import LedgerError
from countenance.faces import Pipeline, add_model
from countenance.gallery import Gallery, NewFace, Occasion
from countenance.ledger import Kind, Record, VerifyingKey, check_proof
from countenance.policy import load_certificate
from countenance.service.keyring import KeyRing
from countenance.service.people import PERMISSIVE, permissive, probe_of
from countenance.service.receipts import REMAINS
from service.backends import ask, certified, opened, photo, pipeline

POLICY = Path(__file__).parents[2] / "src/countenance/policy/data/test.toml"


class Shop:
    """A data folder with faces of two people in two collections, and the command that runs on it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"

    def fill(self) -> None:
        self.data.mkdir(mode=0o700)
        with opened(self.data) as backend:
            for name in ("family", "festival", "empty"):
                ask(backend, "CreateCollection", CollectionId=name)
            for name, who, external in (
                ("family", "eileen", "eileen-collins"),
                ("family", "mirror", "eileen-mirror"),
                ("family", "grace", "grace-hopper"),
                ("festival", "both", "secret-subject"),
            ):
                ask(backend, "IndexFaces", CollectionId=name, Image={"Bytes": photo(who)}, ExternalImageId=external)
        for who in ("eileen", "grace", "both", "wall"):
            (self.folder / f"{who}.jpg").write_bytes(photo(who))

    def forget(self, who: str, *words: str, role: str = "operator", given: str | None = None) -> "Said":
        key = KeyRing(self.data).issue(role)
        environment = {"AWS_ACCESS_KEY_ID": key.key_id, "AWS_SECRET_ACCESS_KEY": key.secret}
        environment |= {"COUNTENANCE_POLICY": str(POLICY)}
        options = ["--data", str(self.data), "--pipeline", "dlib-resnet-v1", "--receipt", str(self.folder / "receipt")]
        found = CliRunner().invoke(
            main, ["forget", str(self.folder / f"{who}.jpg"), *words, *options], env=environment, input=given
        )
        return Said(found.exit_code, found.output + found.stderr)

    def gallery(self) -> Iterator[Gallery]:
        with opened(self.data) as backend:
            yield backend.gallery


class Said(tuple[int, str]):
    def __new__(cls, code: int, text: str) -> "Said":
        return super().__new__(cls, (code, text))

    @property
    def code(self) -> int:
        return self[0]

    @property
    def text(self) -> str:
        return self[1]

    @property
    def candidates(self) -> list[tuple[int, str, float]]:
        found = re.findall(r"^  (\d+)  (\S+): score (-?[\d.]+), enrolled", self.text, re.MULTILINE)
        return [(int(number), name, float(score)) for number, name, score in found]

    @property
    def list(self) -> str:
        return re.search(r"^list (\w+)$", self.text, re.MULTILINE)[1]  # type: ignore[index]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = Shop(tmp_path_factory.mktemp("shop"))
    found.fill()
    return found.folder


@pytest.fixture
def shop(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A copy, store and keys together. One pipeline for all tests: networks load once."""
    monkeypatch.setattr("countenance.cli.people.pipeline_of", lambda name: pipeline())
    shutil.copytree(filled, tmp_path / "shop")
    return Shop(tmp_path / "shop")


def proved(path: Path, key: str) -> Record:
    record = check_proof(path.read_text(), VerifyingKey.parse(key)).record
    assert record is not None
    return record


def test_found_in_all_collections_and_nothing_of_anyone_is_shown(shop: Shop) -> None:
    found = shop.forget("eileen")
    assert found.code == 0, found.text
    assert [name for _, name, _ in found.candidates][:2] == ["family", "family"]
    assert "festival" in [name for _, name, _ in found.candidates]
    assert [score for *_, score in found.candidates] == sorted((s for *_, s in found.candidates), reverse=True)
    assert "searched empty: 0 faces" in found.text
    assert "does not prove that it is not there" in found.text
    assert "nothing was erased" in found.text
    for gallery in shop.gallery():
        for name in ("family", "festival"):
            for face in gallery.faces(name):
                for secret in (face.face_id, face.external_image_id, face.image_id, face.consent.subject):
                    assert str(secret) not in found.text
        searches = [r.entry for r in gallery.ledger.records(kinds=[Kind.SEARCH])]
        assert {e.gallery for e in searches} == {"family", "festival", "empty"}
        assert {(e.rule, e.purpose, e.certificate) for e in searches} == {("forget", None, None)}
        assert not list(gallery.ledger.records(kinds=[Kind.ERASURE]))


def test_erased_only_what_was_confirmed_and_proved_offline(shop: Shop) -> None:
    seen = shop.forget("eileen")
    mine = [number for number, name, _ in seen.candidates if name == "family"][:2]
    named = ",".join(map(str, mine))
    without = shop.forget("eileen", "--erase", named)
    assert (without.code, "--list go together" in without.text) == (2, True)
    wrong = shop.forget("eileen", "--erase", named, "--list", "00000000")
    assert (wrong.code, "the list has changed" in wrong.text) == (2, True)
    beyond = shop.forget("eileen", "--erase", "99", "--list", seen.list)
    assert (beyond.code, "candidate 99: is not in the list" in beyond.text) == (2, True)
    for gallery in shop.gallery():
        assert len(gallery.faces("family")) == 3
        before = {f.external_image_id: f.face_id for f in gallery.faces("family")}

    done = shop.forget("eileen", "--erase", named, "--list", seen.list)
    assert done.code == 0, done.text
    assert "erased 2 faces" in done.text
    for gallery in shop.gallery():
        assert [f.external_image_id for f in gallery.faces("family")] == ["grace-hopper"]
        assert len(gallery.faces("festival")) == 2
        (record,) = gallery.ledger.records(kinds=[Kind.ERASURE])
        public = str(gallery.ledger.key)
    gone = {before["eileen-collins"], before["eileen-mirror"]}
    proof = shop.folder / "receipt" / "erasure-1.json"
    assert proved(proof, public) == record
    assert set(record.entry.faces) == gone
    assert (record.entry.reason, record.entry.rule, record.entry.gallery) == ("forget", "forget", "family")
    for face_id in gone:
        with pytest.raises(LedgerError):
            check_proof(proof.read_text().replace(face_id[:8], "00000000"), VerifyingKey.parse(public))
    text = (shop.folder / "receipt" / "receipt.txt").read_text()
    for part in (*gone, public, *REMAINS, f"entry {record.index}", "countenance ledger verify erasure-1.json"):
        assert part in text

    again = shop.forget("eileen")
    assert [name for _, name, _ in again.candidates] == ["festival"]
    last = shop.forget("eileen", "--erase", "1", "--list", again.list)  # another receipt beside the first
    assert "erased 1 face;" in last.text
    assert proved(proof, public) == record
    assert proved(shop.folder / "receipt-2" / "erasure-1.json", public).entry.gallery == "festival"
    assert not (shop.folder / "receipt-3").exists()
    stale = shop.forget("eileen", "--erase", "1", "--list", seen.list)
    assert (stale.code, "the list has changed" in stale.text) == (2, True)


def test_each_is_asked_about_where_somebody_can_answer(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("countenance.cli.people._answers", lambda: True)
    found = shop.forget("eileen", "--collection", "family", given="y\nn\n")
    assert found.code == 0, found.text
    assert "Erase candidate 1? [y/N]" in found.text
    for gallery in shop.gallery():
        assert len(gallery.faces("family")) == 2


def test_the_other_faces_of_a_user_go_along_and_so_does_the_user(shop: Shop) -> None:
    for gallery in shop.gallery():
        ids = {f.external_image_id: f.face_id for f in gallery.faces("family")}
    with opened(shop.data) as backend:
        ask(backend, "CreateUser", CollectionId="family", UserId="u-77")
        both = [ids["eileen-collins"], ids["eileen-mirror"]]
        ask(backend, "AssociateFaces", CollectionId="family", UserId="u-77", FaceIds=both)
    near = shop.forget("eileen", "--collection", "family", "--threshold", "-0.01")
    assert "with 1 more of the same user" in near.text
    assert len(near.candidates) == 1
    assert "u-77" not in near.text
    done = shop.forget("eileen", "--collection", "family", "--threshold", "-0.01", "--erase", "1", "--list", near.list)
    assert "erased 2 faces" in done.text
    for gallery in shop.gallery():
        assert gallery.users("family") == ()
        assert len(gallery.faces("family")) == 1
    assert "The user record went with them" in (shop.folder / "receipt" / "receipt.txt").read_text()


def test_a_photo_without_a_face_and_one_with_several(shop: Shop) -> None:
    found = shop.forget("wall")
    assert (found.code, "no face found" in found.text) == (2, True)
    found = shop.forget("both")
    assert (found.code, "holds 2 faces; say which with --face" in found.text) == (2, True)
    found = shop.forget("both", "--face", "3")
    assert (found.code, "there is no number 3" in found.text) == (2, True)
    large, small = shop.forget("both", "--face", "1"), shop.forget("both", "--face", "2")
    assert large.candidates[0][1:] == ("festival", 0.0)
    assert small.candidates[0][1:] == ("festival", 0.0)
    assert large.list != small.list


def test_a_role_that_may_not_and_a_collection_that_is_not(shop: Shop) -> None:
    found = shop.forget("eileen", role="reader")
    assert (found.code, "may not forget" in found.text) == (2, True)
    found = shop.forget("eileen", "--collection", "nowhere")
    assert (found.code, "there is none of that name" in found.text) == (2, True)
    for gallery in shop.gallery():
        (entry,) = (r.entry for r in gallery.ledger.records(kinds=[Kind.REFUSAL]))
        assert entry.rule == "role"


def test_a_collection_of_a_model_that_is_not_here_is_named(shop: Shop) -> None:
    for gallery in shop.gallery():
        gallery.create_collection(
            "old", Occasion(actor="t", operation="t"), pipeline="f" * 64, metric="cosine", dimension=512
        )
    found = shop.forget("eileen")
    assert "NOT searched old: the model that made its templates (pipeline ffffffffffff) is not at hand" in found.text
    assert "searched family" in found.text


@pytest.mark.shared
def test_a_collection_of_another_model_is_searched_with_that_model(
    shop: Shop, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTENANCE_HOME", str(shop.folder / "home"))
    model = next((shared / "models" / "mobilefacenet").glob("*.onnx"))
    other = Pipeline(pipeline().detector, add_model(model))
    with opened(shop.data) as backend:
        occasion = Occasion(actor="t", operation="t")
        backend.gallery.create_collection(
            "old", occasion, pipeline=other.digest, metric=other.metric, dimension=other.dim
        )
        for who in ("eileen", "grace"):
            found = probe_of(other, photo(who), who)
            face = backend.gallery.faces("family")[0]
            new = NewFace(
                vector=other.embed_faces(found.face.chip[None])[0],
                consent=face.consent,
                image_id="i",
                box=face.box,
                confidence=99.0,
            )
            backend.gallery.enrol("old", [new], occasion, pipeline=other.digest)
    found = shop.forget("eileen", "--collection", "old", "--collection", "empty")
    assert "searched old: 2 faces" in found.text
    ((number, name, score),) = found.candidates
    assert (number, name) == (1, "old")
    assert score == pytest.approx(1.0, abs=1e-4)  # a cosine


def test_the_photo_is_nowhere_on_the_disk(shop: Shop) -> None:
    shop.forget("eileen")
    data = photo("eileen")
    for file in shop.data.rglob("*"):
        if file.is_file():
            stored = file.read_bytes()
            assert data[1000:1200] not in stored
            assert b"JFIF" not in stored


def test_where_the_permissive_score_comes_from(tmp_path: Path) -> None:
    engine = pipeline()
    score, why = permissive(engine, None)
    assert "embedded measurements" in why
    assert -0.64 < score < -0.6  # type: ignore[operator]
    with opened(tmp_path):
        certified(tmp_path)
    found = load_certificate(tmp_path / "certificate.json")
    score, why = permissive(engine, found)
    assert found.id in why
    assert score is not None
    assert found.curve.similarity(score) >= PERMISSIVE
    other = Pipeline(engine.detector, engine.embedder, mirror=not engine.mirror)
    assert permissive(other, found) == (
        -0.6,
        "its makers' threshold for two photos; strangers above it are not counted",
    )


def test_it_finds_a_person_whom_a_certified_search_misses(shop: Shop) -> None:
    """A small, blurred photo: far below what is certified, and above the permissive score."""
    from PIL import Image

    small = Image.open(io.BytesIO(photo("eileen"))).resize((80, 80))
    small.save(shop.folder / "small.jpg", quality=60)
    certified(shop.data, threshold=-0.42)
    with opened(shop.data) as backend:
        image = {"Bytes": (shop.folder / "small.jpg").read_bytes()}
        found = ask(backend, "SearchFacesByImage", CollectionId="family", Image=image, FaceMatchThreshold=0.0)
        assert found["FaceMatches"] == []
    (shop.data / "certificate.json").unlink()  # forgetting needs none
    assert [name for _, name, _ in shop.forget("small", "--collection", "family").candidates] == ["family", "family"]
