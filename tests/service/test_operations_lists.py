"""Lists in pages, and tags of collections with faces in them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from countenance.ledger import Kind
from countenance.service.backend import Backend
from service.backends import ask, opened, photo, refused

ARN = "arn:aws:rekognition:us-east-1:000000000000:collection/"
OURS = {"countenance:purpose": "evaluation", "countenance:legal-basis": "consent"}


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Backend]:
    with opened(tmp_path) as made:
        yield made


def pages(backend: Backend, operation: str, members: str, **params: Any) -> list[list[Any]]:
    """All pages of a list; every answer, its token too, fits the API's model."""
    found, token = [], None
    while True:
        more = {"NextToken": token} if token else {}
        answer = ask(backend, operation, **params, **more)
        found.append(answer[members])
        token = answer.get("NextToken")
        if token is None:
            return found


def test_names_as_long_as_they_may_be_go_on_in_order(backend: Backend) -> None:
    names = sorted("n" * 252 + f"{number:03}" for number in range(5))
    for name in reversed(names):
        ask(backend, "CreateCollection", CollectionId=name)
    assert pages(backend, "ListCollections", "CollectionIds", MaxResults=2) == [names[:2], names[2:4], names[4:]]
    assert pages(backend, "ListCollections", "CollectionIds", MaxResults=5) == [names]
    assert pages(backend, "ListCollections", "CollectionIds", MaxResults=0) == [names], "0 is as if it were not there"


def test_a_list_goes_on_where_its_last_entry_was(backend: Backend) -> None:
    """Though that was deleted in between, and another came before it."""
    for name in ("b", "c", "d", "e"):
        ask(backend, "CreateCollection", CollectionId=name)
    first = ask(backend, "ListCollections", MaxResults=2)
    assert first["CollectionIds"] == ["b", "c"]
    ask(backend, "DeleteCollection", CollectionId="c")
    ask(backend, "CreateCollection", CollectionId="a")
    assert ask(backend, "ListCollections", MaxResults=2, NextToken=first["NextToken"])["CollectionIds"] == ["d", "e"]


def test_a_token_is_for_the_same_list(backend: Backend) -> None:
    for name in ("one", "two"):
        ask(backend, "CreateCollection", CollectionId=name)
        for user in ("anna", "bea", "cleo"):
            ask(backend, "CreateUser", CollectionId=name, UserId=user)
    users = pages(backend, "ListUsers", "Users", CollectionId="one", MaxResults=1)
    assert [user["UserId"] for (user,) in users] == ["anna", "bea", "cleo"]
    assert {user["UserStatus"] for (user,) in users} == {"CREATED"}
    token = ask(backend, "ListUsers", CollectionId="one", MaxResults=1)["NextToken"]
    for operation, params in (
        ("ListUsers", {"CollectionId": "two"}),
        ("ListFaces", {"CollectionId": "one"}),
        ("ListFaces", {"CollectionId": "one", "UserId": "anna"}),
        ("ListCollections", {}),
    ):
        refused(backend, "InvalidPaginationTokenException", operation, **params, NextToken=token)
    assert ask(backend, "ListUsers", CollectionId="one", NextToken=token)["Users"][0]["UserId"] == "bea"


def test_faces_by_user_and_by_id(backend: Backend) -> None:
    ask(backend, "CreateCollection", CollectionId="family")
    found = ask(backend, "IndexFaces", CollectionId="family", Image={"Bytes": photo("both")})["FaceRecords"]
    ids = sorted(record["Face"]["FaceId"] for record in found)
    ask(backend, "CreateUser", CollectionId="family", UserId="anna")
    ask(backend, "AssociateFaces", CollectionId="family", UserId="anna", FaceIds=ids[:1])

    def listed(**filters: Any) -> list[str]:
        (page,) = pages(backend, "ListFaces", "Faces", CollectionId="family", **filters)
        return [face["FaceId"] for face in page]

    assert listed() == listed(FaceIds=ids[::-1]) == ids
    assert listed(UserId="anna") == listed(UserId="anna", FaceIds=ids) == ids[:1]
    assert listed(UserId="anna", FaceIds=ids[1:]) == listed(UserId="nobody") == []


def test_people_who_agreed_to_one_purpose_are_not_used_for_another(backend: Backend) -> None:
    ask(backend, "CreateCollection", CollectionId="family", Tags=OURS)
    of = {"ResourceArn": f"{ARN}family"}
    ask(backend, "TagResource", **of, Tags={"countenance:retention-days": "7"})
    refused(backend, "InvalidParameterException", "TagResource", **of, Tags={"countenance:retention-days": "never"})
    police = {"countenance:purpose": "law-enforcement"}
    assert "law-enforcement" in refused(backend, "AccessDeniedException", "TagResource", **of, Tags=police)
    (record,) = ask(backend, "IndexFaces", CollectionId="family", Image={"Bytes": photo("grace")})["FaceRecords"]
    drop = {"TagKeys": ["countenance:purpose"]}
    message = refused(backend, "AccessDeniedException", "UntagResource", **of, **drop)
    assert "family holds 1 faces of people who agreed to what its tags say now" in message
    *_, last = backend.gallery.ledger.records(kinds=[Kind.REFUSAL])
    assert (last.entry.rule, last.entry.reason, last.entry.gallery) == ("purpose-of-faces", message, "family")
    assert ask(backend, "ListTagsForResource", **of)["Tags"] == OURS | {"countenance:retention-days": "7"}
    ask(backend, "TagResource", **of, Tags={"team": "red", "countenance:retention-days": "6"})
    ask(backend, "DeleteFaces", CollectionId="family", FaceIds=[record["Face"]["FaceId"]])
    ask(backend, "UntagResource", **of, **drop)
    assert "countenance:purpose" not in ask(backend, "ListTagsForResource", **of)["Tags"]
