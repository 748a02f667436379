"""Faces that belong to users: what is told when nothing changes, and what a token or a deletion does to them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from countenance.ledger import Kind
from countenance.service.backend import Backend
from countenance.service.caller import Caller
from service.backends import ask, opened, photo, refused

OF = {"CollectionId": "family"}


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Backend]:
    """A server without a certificate: none of this compares anybody."""
    with opened(tmp_path) as made:
        ask(made, "CreateCollection", **OF)
        for user in ("anna", "bea"):
            ask(made, "CreateUser", **OF, UserId=user)
        yield made


@pytest.fixture
def faces(backend: Backend) -> list[str]:
    """Two faces of the collection."""
    found = ask(backend, "IndexFaces", **OF, Image={"Bytes": photo("both")})["FaceRecords"]
    return [record["Face"]["FaceId"] for record in found]


def test_a_face_of_a_user_is_deleted_once_it_is_nobodys(backend: Backend, faces: list[str]) -> None:
    kept, free = faces
    anna = OF | {"UserId": "anna", "FaceIds": [kept]}
    ask(backend, "AssociateFaces", **anna)
    told = ask(backend, "DeleteFaces", **OF, FaceIds=[kept, free])
    assert told["DeletedFaces"] == [free]
    why = {"FaceId": kept, "UserId": "anna", "Reasons": ["ASSOCIATED_TO_AN_EXISTING_USER"]}
    assert told["UnsuccessfulFaceDeletions"] == [why]
    told = ask(backend, "DeleteFaces", **OF, FaceIds=[kept, free, free])
    assert told["DeletedFaces"] == [], "an answer's list may be empty, where a request's may not"
    assert told["UnsuccessfulFaceDeletions"] == [why, {"FaceId": free, "Reasons": ["FACE_NOT_FOUND"]}]
    assert [face["FaceId"] for face in ask(backend, "ListFaces", **OF)["Faces"]] == [kept]
    ask(backend, "DisassociateFaces", **anna)
    assert ask(backend, "DeleteFaces", **OF, FaceIds=[kept]) == {
        "DeletedFaces": [kept],
        "UnsuccessfulFaceDeletions": [],
    }
    erased = [record.entry.faces for record in backend.gallery.ledger.records(kinds=[Kind.ERASURE])]
    assert erased == [(free,), (kept,)]


def test_what_is_so_already_is_in_neither_list(backend: Backend, faces: list[str]) -> None:
    anna = OF | {"UserId": "anna"}
    ask(backend, "AssociateFaces", **anna, FaceIds=faces[:1])
    again = ask(backend, "AssociateFaces", **anna, FaceIds=faces)
    assert again["AssociatedFaces"] == [{"FaceId": faces[1]}]
    assert (again["UnsuccessfulFaceAssociations"], again["UserStatus"]) == ([], "ACTIVE")
    bea = ask(backend, "DisassociateFaces", **OF, UserId="bea", FaceIds=faces[:1])
    assert bea["UnsuccessfulFaceDisassociations"] == [
        {"FaceId": faces[0], "Reasons": ["ASSOCIATED_TO_A_DIFFERENT_USER"]}
    ]
    assert (bea["DisassociatedFaces"], bea["UserStatus"]) == ([], "CREATED")
    for expected in ([{"FaceId": faces[0]}], []):
        away = ask(backend, "DisassociateFaces", **anna, FaceIds=faces[:1])
        assert (away["DisassociatedFaces"], away["UnsuccessfulFaceDisassociations"]) == (expected, [])
    users = ask(backend, "ListUsers", **OF)["Users"]
    assert users == [{"UserId": "anna", "UserStatus": "ACTIVE"}, {"UserId": "bea", "UserStatus": "CREATED"}]


def test_a_token_gives_its_first_answer_whatever_came_since(backend: Backend, faces: list[str]) -> None:
    anna = OF | {"UserId": "anna", "FaceIds": faces}
    first = ask(backend, "AssociateFaces", **anna, ClientRequestToken="t")
    ask(backend, "DisassociateFaces", **anna, ClientRequestToken="t")
    assert ask(backend, "AssociateFaces", **anna, ClientRequestToken="t") == first
    assert ask(backend, "ListFaces", **OF, UserId="anna")["Faces"] == [], "it was answered, and not done again"


def test_a_token_belongs_to_a_key_and_an_operation(backend: Backend) -> None:
    one, other = Caller("key-1", "operator"), Caller("key-2", "operator")
    of = {"ClientRequestToken": "t"} | OF
    ask(backend, "CreateUser", one, **of, UserId="cleo")
    ask(backend, "CreateUser", other, **of, UserId="dora")  # another key's request is not this one
    ask(backend, "DeleteUser", one, **of, UserId="dora")
    refused(backend, "IdempotentParameterMismatchException", "DeleteUser", one, **of, UserId="cleo")
    assert [user["UserId"] for user in ask(backend, "ListUsers", **OF)["Users"]] == ["anna", "bea", "cleo"]
    refused(backend, "ConflictException", "CreateUser", other, **OF, UserId="cleo")


def test_a_reader_neither_groups_nor_deletes(backend: Backend, faces: list[str]) -> None:
    reader = Caller("key-r", "reader")
    for operation, more in (
        ("CreateUser", {"UserId": "cleo"}),
        ("DeleteUser", {"UserId": "anna"}),
        ("AssociateFaces", {"UserId": "anna", "FaceIds": faces}),
        ("DisassociateFaces", {"UserId": "anna", "FaceIds": faces}),
        ("DeleteFaces", {"FaceIds": faces}),
        ("DeleteCollection", {}),
    ):
        assert "reader" in refused(backend, "AccessDeniedException", operation, reader, **OF, **more)
    assert len(ask(backend, "ListFaces", reader, **OF)["Faces"]) == 2
    assert len(list(backend.gallery.ledger.records(kinds=[Kind.REFUSAL]))) == 6


def test_while_the_records_of_consent_are_damaged_nobody_is_enrolled(backend: Backend, tmp_path: Path) -> None:
    """Defaults or not; and neither the client nor the ledger learns where the file lies or what it says."""
    (tmp_path / "consents.csv").write_text("collection,external_image_id,subject\nfamily,,Anna Example\n")
    message = refused(backend, "AccessDeniedException", "IndexFaces", **OF, Image={"Bytes": photo("eileen")})
    (record,) = backend.gallery.ledger.records(kinds=[Kind.REFUSAL])
    assert (record.entry.rule, record.entry.reason) == ("consent", message)
    assert str(tmp_path) not in message
    assert "Anna" not in message
    assert ask(backend, "ListFaces", **OF)["Faces"] == []
    (tmp_path / "consents.csv").unlink()
    assert ask(backend, "IndexFaces", **OF, Image={"Bytes": photo("eileen")})["FaceRecords"]
