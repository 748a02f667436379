"""The desk: which certificate counts, what the ledger says of it and of refusals, and who learns what is there."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from countenance.gallery import Gallery, open_gallery
from countenance.ledger import Entry, Kind, SigningKey
from countenance.policy import load_policy, synthetic_certificate
from countenance.service.backend import Backend
from countenance.service.caller import Call, Caller
from countenance.service.desk import CertificateFile, Desk
from countenance.service.failures import Refused, WireError
from service.backends import OPERATOR, POLICIES, ask, opened

PIPELINE = "ab" * 32
ASKED: dict[str, Any] = {"gallery": 1, "similarity": 80.0}


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with open_gallery(tmp_path) as found:
        yield found


def certified(folder: Path, threshold: float = -0.5, pipeline: str = PIPELINE) -> str:
    """Put a certificate there; its id."""
    found = synthetic_certificate(SigningKey.load(folder / "ledger.key"), pipeline, gallery=10, threshold=threshold)
    (folder / "certificate.json").write_text(found.to_json())
    return found.id


def desk_on(gallery: Gallery, folder: Path, policy: str = "test", pipeline: str = PIPELINE) -> Desk:
    policy_file = load_policy(POLICIES / f"{policy}.toml")
    return Desk(gallery, pipeline, policy_file, CertificateFile(folder / "certificate.json"))


def call(operation: str = "CompareFaces", caller: Caller = OPERATOR) -> Call:
    return Call(operation, caller)


def entries(gallery: Gallery, kind: Kind) -> list[Entry]:
    return [record.entry for record in gallery.ledger.records(kinds=[kind])]


# -- the certificate's file ----------------------------------------------------------------------------------------


def test_the_certificate_is_read_again_when_it_changes(gallery: Gallery, tmp_path: Path) -> None:
    file = CertificateFile(tmp_path / "certificate.json")
    assert file.read() == (None, "certificate.json is not there")
    first = certified(tmp_path)
    found, fault = file.read()
    assert found is not None
    assert (found.id, fault) == (first, None)
    assert file.read()[0] is found, "one that did not change is not read twice"
    second = certified(tmp_path, threshold=-0.4)
    assert first != second
    changed = file.read()[0]
    assert changed is not None
    assert changed.id == second


def test_a_damaged_certificate_is_none_until_it_is_mended(gallery: Gallery, tmp_path: Path) -> None:
    path, desk = tmp_path / "certificate.json", desk_on(gallery, tmp_path)
    certified(tmp_path)
    whole = path.read_bytes()
    desk.ask(call(), "compare", **ASKED)
    for damaged in (b"", whole[: len(whole) // 2], b"\xff" * 100, b"[]", b'{"certificate": null}'):
        path.write_bytes(damaged)
        with pytest.raises(Refused) as wrong:
            desk.ask(call(), "compare", **ASKED)
        assert wrong.value.rule == "certificate"
        assert "certificate.json" in wrong.value.message
        assert str(tmp_path) not in wrong.value.message, "a client does not learn where files lie"
    path.unlink()
    with pytest.raises(Refused, match=r"certificate\.json is not there"):
        desk.ask(call(), "compare", **ASKED)
    path.write_bytes(whole)
    assert desk.ask(call(), "compare", **ASKED).allowed


def test_an_altered_certificate_is_refused(gallery: Gallery, tmp_path: Path) -> None:
    certified(tmp_path)
    path = tmp_path / "certificate.json"
    text = path.read_text()
    path.write_text(text.replace("SYNTHETIC", "Synthetic"))
    assert path.read_text() != text
    with pytest.raises(Refused) as wrong:
        desk_on(gallery, tmp_path).ask(call(), "compare", **ASKED)
    assert wrong.value.rule == "certificate-altered"


# -- what the ledger says of it ------------------------------------------------------------------------------------


def test_a_certificate_is_noted_once_and_before_the_first_answer(gallery: Gallery, tmp_path: Path) -> None:
    known, desk = certified(tmp_path), desk_on(gallery, tmp_path)
    desk.ask(call("ListCollections"), "read")
    assert entries(gallery, Kind.CERTIFICATE) == [], "nothing was measured by it"
    together = threading.Barrier(8)

    def one(_: int) -> int:
        together.wait()
        desk.ask(call(), "compare", **ASKED)
        return len(entries(gallery, Kind.CERTIFICATE))

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(one, range(8))) == {1}
    (entry,) = entries(gallery, Kind.CERTIFICATE)
    assert (entry.certificate, entry.pipeline, entry.policy) == (known, PIPELINE, desk.policy.digest)
    assert entry.detail["issuer"] == str(gallery.ledger.key)


def test_what_is_in_force_now_is_what_was_noted_last(gallery: Gallery, tmp_path: Path) -> None:
    """A, B and A again are three times another; another server that starts on the same says nothing new."""
    noted, desk = [], desk_on(gallery, tmp_path)
    first = certified(tmp_path)
    text = (tmp_path / "certificate.json").read_text()
    for step in range(3):
        if step == 1:
            noted.append(certified(tmp_path, threshold=-0.3))
        else:
            (tmp_path / "certificate.json").write_text(text)
            noted.append(first)
        for other in (desk, desk_on(gallery, tmp_path)):
            other.ask(call(), "compare", **ASKED)
    assert [entry.certificate for entry in entries(gallery, Kind.CERTIFICATE)] == noted


_ELSEWHERE = """
import sys
from pathlib import Path
from countenance.gallery import open_gallery
from countenance.policy import load_policy
from countenance.service.caller import Call, Caller
from countenance.service.desk import CertificateFile, Desk
folder, policy, pipeline = Path(sys.argv[1]), load_policy(Path(sys.argv[2])), sys.argv[3]
with open_gallery(folder) as gallery:
    desk = Desk(gallery, pipeline, policy, CertificateFile(folder / "certificate.json"))
    desk.ask(Call("CompareFaces", Caller("key-2", "operator")), "compare", gallery=1, similarity=80.0)
"""


def test_of_several_processes_one_notes_it(tmp_path: Path) -> None:
    with open_gallery(tmp_path):
        pass
    certified(tmp_path)
    words = [sys.executable, "-c", _ELSEWHERE, str(tmp_path), str(POLICIES / "test.toml"), PIPELINE]
    others = [subprocess.Popen(words, stderr=subprocess.PIPE) for _ in range(2)]
    for other in others:
        _, said = other.communicate(timeout=60)
        assert other.returncode == 0, said
    with open_gallery(tmp_path) as gallery:
        desk_on(gallery, tmp_path).ask(call(), "compare", **ASKED)
        assert len(entries(gallery, Kind.CERTIFICATE)) == 1


# -- refusals ------------------------------------------------------------------------------------------------------


def test_a_refusal_is_in_the_ledger_with_its_rule(gallery: Gallery, tmp_path: Path) -> None:
    desk = desk_on(gallery, tmp_path)
    police = Caller("key-p", "operator", ("law-enforcement",), "law-enforcement")
    tags = desk.terms({"countenance:purpose": "law-enforcement", "countenance:legal-basis": "consent"})
    cases: list[tuple[str, Call, str, dict[str, Any]]] = [
        ("role", call("DeleteFaces", Caller("key-r", "reader")), "erase", {"collection": "family"}),
        ("certificate", call(), "compare", ASKED),
        ("purpose-refused", call("CompareFaces", police), "compare", ASKED),
        ("purpose-refused", call("IndexFaces"), "enrol", {"collection": "family", "terms": tags}),
        ("consent", call("IndexFaces"), "enrol", {"collection": "family", "terms": desk.terms({})}),
    ]
    for rule, asked, action, facts in cases:
        with pytest.raises(Refused) as wrong:
            desk.ask(asked, action, **facts)
        assert (wrong.value.rule, wrong.value.code) == (rule, "AccessDeniedException")
        entry = entries(gallery, Kind.REFUSAL)[-1]
        assert (entry.rule, entry.reason) == (rule, wrong.value.message)
        assert (entry.operation, entry.actor) == (asked.operation, asked.caller.key_id)
        assert (entry.gallery, entry.started) == (facts.get("collection"), asked.started)
        assert (entry.policy, entry.faces, entry.probe) == (desk.policy.digest, (), None)
    assert len(entries(gallery, Kind.REFUSAL)) == len(cases), "each once"


def test_what_an_operation_refuses_itself_is_in_the_ledger_too(gallery: Gallery, tmp_path: Path) -> None:
    desk = desk_on(gallery, tmp_path)
    allowed = desk.ask(call("TagResource"), "collections", collection="family", terms=desk.terms({}))
    with pytest.raises(Refused, match="not so"):
        desk.refuse(call("TagResource"), "purpose-of-faces", "not so", "family", allowed)
    (entry,) = entries(gallery, Kind.REFUSAL)
    assert (entry.rule, entry.reason, entry.gallery) == ("purpose-of-faces", "not so", "family")
    assert (entry.purpose, entry.basis) == ("evaluation", "consent")


def test_tags_that_say_nothing_sensible(gallery: Gallery, tmp_path: Path) -> None:
    desk = desk_on(gallery, tmp_path)
    with pytest.raises(WireError) as wrong:
        desk.terms({"countenance:retention-days": "a while"})
    assert wrong.value.code == "InvalidParameterException"


# -- who learns what is there --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with opened(tmp_path_factory.mktemp("desk")) as found:
        ask(found, "CreateCollection", CollectionId="there")
        yield found


_ONE, _FACES = {"Bytes": b"never opened"}, {"FaceIds": ["00000000-0000-4000-8000-000000000000"]}
_OF_COLLECTIONS: dict[str, dict[str, Any]] = {
    "AssociateFaces": {"UserId": "anna"} | _FACES,
    "CreateUser": {"UserId": "anna"},
    "DeleteCollection": {},
    "DeleteFaces": _FACES,
    "DeleteUser": {"UserId": "anna"},
    "DisassociateFaces": {"UserId": "anna"} | _FACES,
    "IndexFaces": {"Image": _ONE},
    "SearchFaces": {"FaceId": _FACES["FaceIds"][0]},
    "SearchFacesByImage": {"Image": _ONE},
    "SearchUsers": {"UserId": "anna"},
    "SearchUsersByImage": {"Image": _ONE},
    "CreateCollection": {},
    "TagResource": {"Tags": {"a": "b"}},
    "UntagResource": {"TagKeys": ["a"]},
}


@pytest.mark.parametrize("operation", sorted(_OF_COLLECTIONS))
def test_the_role_is_asked_for_before_the_collection_is(backend: Backend, operation: str) -> None:
    """An auditor may do none of these, and does not learn by trying which collections there are."""
    auditor, said = Caller("key-a", "auditor"), set()
    for name in ("there", "gone"):
        arn = f"arn:aws:rekognition:us-east-1:000000000000:collection/{name}"
        of = {"ResourceArn": arn} if operation in ("TagResource", "UntagResource") else {"CollectionId": name}
        with pytest.raises(Refused) as wrong:
            ask(backend, operation, auditor, **of, **_OF_COLLECTIONS[operation])
        assert wrong.value.rule == "role"
        said.add(wrong.value.message)
    assert len(said) == 1
