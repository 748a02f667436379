"""From outside: two server processes on one PostgreSQL, as behind a load balancer; either may answer."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from countenance.gallery import open_gallery
from countenance.ledger import Kind, check_export
from service.running import Running, another, both, grace, running


@pytest.fixture(scope="module")
def pair(served_on_postgres: Running) -> Iterator[tuple[Any, Any]]:
    """Clients of the one and of the other, with the same key."""
    first = served_on_postgres
    key = first.key()
    with running(first.data, database=first.database) as second:
        yield first.client(), second.client(key=(key.key_id, key.secret))


def test_what_one_enrols_the_other_finds_and_erases(pair: tuple[Any, Any]) -> None:
    one, other = pair
    name = f"pair-{uuid.uuid4().hex[:8]}"
    one.create_collection(CollectionId=name)
    ids = []
    for number in range(4):
        client = pair[number % 2]
        found = client.index_faces(CollectionId=name, Image={"Bytes": another(grace(), turn=float(number))})
        ids.append(found["FaceRecords"][0]["Face"]["FaceId"])
        seen = pair[1 - number % 2].search_faces_by_image(CollectionId=name, Image={"Bytes": grace()})
        assert {match["Face"]["FaceId"] for match in seen["FaceMatches"]} == set(ids)
    other.delete_faces(CollectionId=name, FaceIds=ids[:1])
    left = one.search_faces_by_image(CollectionId=name, Image={"Bytes": grace()})
    assert {match["Face"]["FaceId"] for match in left["FaceMatches"]} == set(ids[1:])
    other.delete_collection(CollectionId=name)
    with pytest.raises(one.exceptions.ResourceNotFoundException):
        one.search_faces_by_image(CollectionId=name, Image={"Bytes": grace()})


def test_pages_and_request_tokens_are_good_at_both(pair: tuple[Any, Any]) -> None:
    one, other = pair
    name, token = f"pair-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
    one.create_collection(CollectionId=name)
    for client in pair:
        client.create_user(CollectionId=name, UserId="anna", ClientRequestToken=token)
    other.create_user(CollectionId=name, UserId="bea")
    page = one.list_users(CollectionId=name, MaxResults=1)
    rest = other.list_users(CollectionId=name, MaxResults=1, NextToken=page["NextToken"])
    assert [user["UserId"] for user in page["Users"] + rest["Users"]] == ["anna", "bea"]
    one.delete_collection(CollectionId=name)


def test_both_write_one_ledger(pair: tuple[Any, Any], served_on_postgres: Running) -> None:
    name = f"pair-{uuid.uuid4().hex[:8]}"
    pair[0].create_collection(CollectionId=name)

    def enrol(number: int) -> int:
        found = pair[number % 2].index_faces(CollectionId=name, Image={"Bytes": both()})
        return len(found["FaceRecords"])

    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(enrol, range(12))) == 24
    assert pair[0].describe_collection(CollectionId=name)["FaceCount"] == 24
    with open_gallery(served_on_postgres.data, served_on_postgres.database) as gallery:
        entries = [record.entry for record in gallery.ledger.records(kinds=[Kind.ENROLMENT])]
        assert sum(len(entry.faces) for entry in entries if entry.gallery == name) == 24
        check_export(gallery.ledger.export(), gallery.ledger.key, [gallery.ledger.head()])
    pair[1].delete_collection(CollectionId=name)
