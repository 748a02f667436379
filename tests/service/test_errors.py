"""From outside: each of the 21 operations with each error that the model gives it, or the reason why that cannot be."""

import contextlib
import io
import struct
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import pytest
from botocore.exceptions import ClientError

from countenance.service.app import IMAGE_OPERATIONS
from countenance.service.operations import OPERATIONS
from countenance.service.pages import PageTokens
from countenance.service.wire import error_codes
from service.running import Running, data_folder, grace, half_sent, nobody, running

ARN = "arn:aws:rekognition:us-east-1:000000000000:collection/"
FACE = "00000000-0000-4000-8000-000000000000"

NEVER = {
    "ProvisionedThroughputExceededException": "no throughput is provisioned; who comes too fast is throttled",
    "ResourceNotFoundException of ListCollections": "it names nothing that could be missing",
    "ServiceQuotaExceededException of CreateCollection": "there is no quota of collections",
    "ServiceQuotaExceededException of IndexFaces": "there is none of faces; the certificate bounds what is searched",
    "ServiceQuotaExceededException of CreateUser": "there is none of users",
    "ConflictException of DeleteUser": "writers stand in line; nobody sees a user half-changed",
    "ConflictException of AssociateFaces": "the same",
    "ConflictException of DisassociateFaces": "the same",
}
"""Modelled errors that cannot occur here, and why."""


def sound(operation: str, name: str, face: str = FACE) -> dict[str, Any]:
    """A request of the operation that is well-formed."""
    photo, arn = {"Bytes": grace()}, ARN + name
    given: dict[str, dict[str, Any]] = {
        "DetectFaces": {"Image": photo},
        "CompareFaces": {"SourceImage": photo, "TargetImage": photo},
        "CreateCollection": {"CollectionId": f"new-{uuid.uuid4().hex[:12]}"},
        "ListCollections": {},
        "IndexFaces": {"CollectionId": name, "Image": photo},
        "DeleteFaces": {"CollectionId": name, "FaceIds": [face]},
        "SearchFaces": {"CollectionId": name, "FaceId": face},
        "SearchFacesByImage": {"CollectionId": name, "Image": photo},
        "SearchUsersByImage": {"CollectionId": name, "Image": photo},
        "CreateUser": {"CollectionId": name, "UserId": "anna"},
        "DeleteUser": {"CollectionId": name, "UserId": "anna"},
        "AssociateFaces": {"CollectionId": name, "UserId": "anna", "FaceIds": [face]},
        "DisassociateFaces": {"CollectionId": name, "UserId": "anna", "FaceIds": [face]},
        "SearchUsers": {"CollectionId": name, "FaceId": face},
        "TagResource": {"ResourceArn": arn, "Tags": {"a": "b"}},
        "UntagResource": {"ResourceArn": arn, "TagKeys": ["a"]},
        "ListTagsForResource": {"ResourceArn": arn},
    }
    return given.get(operation, {"CollectionId": name})


def call(client: Any, operation: str, **members: Any) -> Any:
    method = "".join(f"_{c.lower()}" if c.isupper() else c for c in operation).lstrip("_")
    return getattr(client, method)(**members)


def expect(client: Any, code: str, operation: str, **members: Any) -> str:
    """The message of the error; it is the one that boto3 raises as this code's own class."""
    with pytest.raises(getattr(client.exceptions, code)) as error:
        call(client, operation, **members)
    message: str = error.value.response["Error"]["Message"]
    assert message
    return message


CASES = [(op, code) for op in sorted(OPERATIONS) for code in sorted(error_codes(op))]
OCCURRING = [(op, code) for op, code in CASES if code not in NEVER and f"{code} of {op}" not in NEVER]


def of(code: str) -> list[str]:
    return [op for op, one in OCCURRING if one == code]


def test_every_modelled_error_is_tested_or_has_a_reason() -> None:
    tested = {
        mark.args[1].code
        for one in globals().values()
        if callable(one)
        for mark in getattr(one, "pytestmark", [])
        if mark.name == "parametrize" and isinstance(mark.args[1], _Of)
    }
    assert {code for _, code in OCCURRING} == tested
    for reason in NEVER:
        code, _, operation = reason.partition(" of ")
        assert any(one == code and operation in ("", op) for op, one in CASES), f"{reason}: the model has no such error"


class _Of(list[str]):
    """The operations in which a code occurs; it says which code."""

    def __init__(self, code: str) -> None:
        super().__init__(of(code))
        self.code = code


def each(code: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("operation", _Of(code))


@pytest.fixture(scope="module")
def client(served: Running) -> Any:
    return served.client()


@pytest.fixture(scope="module")
def name(client: Any) -> Iterator[str]:
    """A collection with a user, and no face."""
    made = f"errors-{uuid.uuid4().hex[:12]}"
    client.create_collection(CollectionId=made)
    client.create_user(CollectionId=made, UserId="anna")
    yield made
    client.delete_collection(CollectionId=made)


@each("ResourceNotFoundException")
def test_not_found(client: Any, operation: str) -> None:
    assert "gone" in expect(client, "ResourceNotFoundException", operation, **sound(operation, "gone"))


@pytest.mark.parametrize("operation", ["DeleteUser", "AssociateFaces", "DisassociateFaces", "SearchUsers"])
def test_a_user_that_is_not_there(client: Any, name: str, operation: str) -> None:
    members = {k: v for k, v in sound(operation, name).items() if k != "FaceId"} | {"UserId": "nobody"}
    expect(client, "ResourceNotFoundException", operation, **members)


_WRONG: dict[str, dict[str, Any]] = {
    "DetectFaces": {"Attributes": ["SOUL"]},
    "CompareFaces": {"SimilarityThreshold": 100.5},
    "CreateCollection": {"CollectionId": "with spaces"},
    "DescribeCollection": {"CollectionId": "x" * 256},
    "ListCollections": {"MaxResults": 4097},
    "DeleteCollection": {"CollectionId": "ä"},
    "IndexFaces": {"ExternalImageId": "a/b"},
    "ListFaces": {"FaceIds": ["1"]},
    "DeleteFaces": {"FaceIds": [FACE] * 4097},
    "SearchFaces": {"MaxFaces": 5000},
    "SearchFacesByImage": {"QualityFilter": "SOME"},
    "CreateUser": {"UserId": "x" * 129},
    "DeleteUser": {"ClientRequestToken": "%"},
    "ListUsers": {"MaxResults": 501},
    "AssociateFaces": {"UserMatchThreshold": 101.0},
    "DisassociateFaces": {"FaceIds": [FACE] * 101},
    "SearchUsers": {"UserId": "anna"},  # both a face and a user
    "SearchUsersByImage": {"MaxUsers": 501},
    "TagResource": {"Tags": {"aws:mine": "1"}},
    "UntagResource": {"TagKeys": ["x" * 129]},
    "ListTagsForResource": {"ResourceArn": "arn:aws:s3:::some-bucket-of-mine"},
}
"""What botocore lets pass, and the server must not."""


@each("InvalidParameterException")
def test_invalid_parameters(client: Any, name: str, operation: str) -> None:
    expect(client, "InvalidParameterException", operation, **sound(operation, name) | _WRONG[operation])


@each("InvalidImageFormatException")
@pytest.mark.parametrize("photo", [b"GIF89a...", b"\x89PNG\r\n\x1a\n", grace()[:2000], b"text"], ids=len)
def test_not_an_image(client: Any, name: str, operation: str, photo: bytes) -> None:
    members = sound(operation, name)
    members |= {key: {"Bytes": photo} for key in ("Image", "TargetImage") if key in members}
    assert "Image" in expect(client, "InvalidImageFormatException", operation, **members)


def bomb(side: int = 30_000) -> bytes:
    """A PNG of a few kilobytes that says it has 900 million pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    body = zlib.compress(b"\0" * 1_000_000, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@each("ImageTooLargeException")
def test_too_large(client: Any, name: str, operation: str) -> None:
    for photo in (bomb(), b"\xff\xd8\xff" + b"\0" * (5 * 2**20)):
        members = sound(operation, name)
        members |= {key: {"Bytes": photo} for key in ("Image", "SourceImage") if key in members}
        expect(client, "ImageTooLargeException", operation, **members)


@each("InvalidS3ObjectException")
def test_no_store_is_configured(client: Any, name: str, operation: str) -> None:
    members = sound(operation, name)
    place = {"S3Object": {"Bucket": "some-bucket", "Name": "photo.jpg"}}
    members |= {key: place for key in ("Image", "SourceImage") if key in members}
    assert "store" in expect(client, "InvalidS3ObjectException", operation, **members)


@pytest.mark.parametrize("operation", ["CompareFaces", "SearchFacesByImage"])
def test_nobody_in_the_photo(client: Any, name: str, operation: str) -> None:
    members = sound(operation, name)
    members |= {key: {"Bytes": nobody()} for key in ("Image", "SourceImage") if key in members}
    assert "no face" in expect(client, "InvalidParameterException", operation, **members)


@each("InvalidPaginationTokenException")
def test_tokens_that_are_not_ours(client: Any, name: str, operation: str) -> None:
    for token in ("garbage", "A" * 255, "ä", "eyJ4IjoxfQ=="):
        expect(client, "InvalidPaginationTokenException", operation, **sound(operation, name), NextToken=token)


def test_a_token_of_another_list(client: Any, name: str) -> None:
    client.create_user(CollectionId=name, UserId="bea")
    page = client.list_users(CollectionId=name, MaxResults=1)
    client.delete_user(CollectionId=name, UserId="bea")
    expect(client, "InvalidPaginationTokenException", "ListCollections", NextToken=page["NextToken"])
    expect(client, "InvalidPaginationTokenException", "ListFaces", CollectionId=name, NextToken=page["NextToken"])


def test_a_token_of_yesterday(served: Running) -> None:
    tokens, scope = PageTokens((served.data / "service.key").read_bytes()), sha256(b"{}").hexdigest()[:12]
    client, now = served.client(), time.time()
    client.list_collections(NextToken=tokens.seal("ListCollections", scope, "a", now - 23 * 3600))
    late = tokens.seal("ListCollections", scope, "a", now - 25 * 3600)
    assert "expired" in expect(client, "InvalidPaginationTokenException", "ListCollections", NextToken=late)


@each("ResourceAlreadyExistsException")
def test_already_there(client: Any, name: str, operation: str) -> None:
    expect(client, "ResourceAlreadyExistsException", operation, CollectionId=name)


@each("ConflictException")
def test_conflict(client: Any, name: str, operation: str) -> None:
    expect(client, "ConflictException", operation, **sound(operation, name))


@each("IdempotentParameterMismatchException")
def test_a_token_with_another_request(client: Any, name: str, operation: str) -> None:
    token = uuid.uuid4().hex
    members = sound(operation, name) | {"ClientRequestToken": token}
    first, second = ("carol", "dora") if operation in ("CreateUser", "DeleteUser") else ("anna", "anna")
    if operation == "DeleteUser":
        client.create_user(CollectionId=name, UserId=first)
    call(client, operation, **members | {"UserId": first})
    other = members | {"UserId": second}
    if "FaceIds" in members:
        other |= {"FaceIds": [str(uuid.uuid4())]}
    expect(client, "IdempotentParameterMismatchException", operation, **other)
    with contextlib.suppress(ClientError):
        client.delete_user(CollectionId=name, UserId="carol")


@each("ServiceQuotaExceededException")
def test_quotas(client: Any, name: str, operation: str) -> None:
    if operation == "TagResource":
        for part in range(2):
            call(client, operation, ResourceArn=ARN + name, Tags={f"{part}-{number}": "" for number in range(100)})
        expect(client, "ServiceQuotaExceededException", operation, ResourceArn=ARN + name, Tags={"one": "more"})
        return
    faces = []
    for _ in range(101):
        found = client.index_faces(CollectionId=name, Image={"Bytes": small()})
        faces += [record["Face"]["FaceId"] for record in found["FaceRecords"]]
    client.create_user(CollectionId=name, UserId="many")
    call(client, operation, CollectionId=name, UserId="many", FaceIds=faces[:100])
    expect(client, "ServiceQuotaExceededException", operation, CollectionId=name, UserId="many", FaceIds=faces[100:])


def small() -> bytes:
    """A photo that is quickly looked at."""
    from PIL import Image

    image = Image.open(io.BytesIO(grace())).convert("RGB").crop((120, 0, 400, 300)).resize((140, 150))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue()


@each("AccessDeniedException")
def test_not_with_a_wrong_secret(served: Running, name: str, operation: str) -> None:
    client = served.client(key=(served.key().key_id, "wrong" * 8))
    expect(client, "AccessDeniedException", operation, **sound(operation, name))


_READ = {"DescribeCollection", "ListCollections", "ListFaces", "ListTagsForResource", "ListUsers"}
_SEARCHES = {one for one in OPERATIONS if one.startswith("Search")}
_CANNOT = {
    "auditor": sorted(set(OPERATIONS) - _READ),
    "reader": sorted(set(OPERATIONS) - _READ - {"CompareFaces", "DetectFaces"} - _SEARCHES),
    "admin": ["CompareFaces", "DetectFaces", "IndexFaces", "SearchFaces", "SearchFacesByImage", "SearchUsers"],
}
"""What a role may not do under the policy, besides what nobody may."""


@pytest.mark.parametrize(("role", "operation"), [(role, one) for role, all_ in _CANNOT.items() for one in all_])
def test_not_in_this_role(served: Running, name: str, role: str, operation: str) -> None:
    said = expect(served.client(role), "AccessDeniedException", operation, **sound(operation, name))
    assert f"the role {role} may not" in said


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with one place in each lane."""
    folder = data_folder(tmp_path_factory.mktemp("narrow") / "data")
    lanes = {"image_workers": 1, "image_waiting": 0, "gallery_workers": 1, "gallery_waiting": 0}
    with running(folder, **lanes) as found:
        yield found


@each("ThrottlingException")
def test_a_full_server_throttles(narrow: Running, operation: str) -> None:
    with half_sent(narrow, "DetectFaces" if operation in IMAGE_OPERATIONS else "ListCollections"):
        said = _patiently(narrow.client(), operation)
    assert "busy" in said


def _patiently(client: Any, operation: str) -> str:
    """The message once the lane is taken; the half-sent request may be a moment behind."""
    for _ in range(200):
        try:
            call(client, operation, **sound(operation, "gone"))
        except client.exceptions.ThrottlingException as error:
            return str(error.response["Error"]["Message"])
        except ClientError:
            pass
    raise AssertionError("never throttled")


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory, server: Any, new_database: Callable[[], str]) -> Iterator[Running]:
    """A server whose tables somebody has dropped, and which gives up after a tenth of a second."""
    folder, database = data_folder(tmp_path_factory.mktemp("broken") / "data"), new_database()
    with running(folder, database=database, work_seconds=0.1) as found:
        schema = database.rpartition("%3D")[2]
        server.psql(f"SET client_min_messages = warning; DROP SCHEMA {schema} CASCADE;")
        yield found


@each("InternalServerError")
def test_a_fault_of_ours_is_called_one(broken: Running, operation: str) -> None:
    members = sound(operation, "gone")
    if operation == "DetectFaces":  # needs no table
        members = {"Image": {"Bytes": large()}}
    said = expect(broken.client(), "InternalServerError", operation, **members)
    assert "fault of the server" in said
    assert "gone" not in broken.log.read_text(), "nothing of a request is logged"


def large() -> bytes:
    """A photo that takes more than a tenth of a second."""
    from PIL import Image

    out = io.BytesIO()
    Image.open(io.BytesIO(grace())).convert("RGB").resize((5000, 6000)).save(out, "JPEG", quality=80)
    return out.getvalue()
