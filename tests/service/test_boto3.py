"""From outside: each of the 21 operations through boto3, on a real server, with both stores."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from service.running import Running, another, astronaut, both, grace, nobody

ALIKE = 99.0
"""A Similarity that one stranger in a hundred reaches; what is certified is stricter."""


@pytest.fixture(params=["sqlite", "postgres"])
def host(request: pytest.FixtureRequest) -> Running:
    found: Running = request.getfixturevalue("served" if request.param == "sqlite" else "served_on_postgres")
    return found


@pytest.fixture
def client(host: Running) -> Any:
    return host.client()


@pytest.fixture
def name(client: Any) -> Iterator[str]:
    """A new collection."""
    made = f"c-{uuid.uuid4().hex[:12]}"
    client.create_collection(CollectionId=made)
    yield made
    if made in client.list_collections()["CollectionIds"]:
        client.delete_collection(CollectionId=made)


def index(client: Any, name: str, photo: bytes, external: str | None = None, **more: Any) -> list[str]:
    """Index a photo; its face ids."""
    extra = {"ExternalImageId": external} if external else {}
    found = client.index_faces(CollectionId=name, Image={"Bytes": photo}, **extra, **more)
    return [record["Face"]["FaceId"] for record in found["FaceRecords"]]


def in_force(answer: dict[str, Any]) -> dict[str, Any]:
    """What boto3 shows of the member that it does not know."""
    found: dict[str, Any] = json.loads(answer["ResponseMetadata"]["HTTPHeaders"]["x-countenance"])
    return found


def test_collections(client: Any) -> None:
    name = f"c-{uuid.uuid4().hex[:12]}"
    made = client.create_collection(CollectionId=name, Tags={"team": "red"})
    assert made["StatusCode"] == 200
    assert made["CollectionArn"].endswith(f"rekognition:us-east-1:000000000000:collection/{name}")
    told = client.describe_collection(CollectionId=name)
    assert (told["FaceCount"], told["UserCount"]) == (0, 0)
    assert told["FaceModelVersion"] == made["FaceModelVersion"]
    assert abs((datetime.now(UTC) - told["CreationTimestamp"]).total_seconds()) < 60
    listed = client.list_collections()
    assert (
        dict(zip(listed["CollectionIds"], listed["FaceModelVersions"], strict=True))[name] == made["FaceModelVersion"]
    )
    assert client.delete_collection(CollectionId=name)["StatusCode"] == 200
    assert name not in client.list_collections()["CollectionIds"]


def test_tags(client: Any, name: str) -> None:
    arn = client.describe_collection(CollectionId=name)["CollectionARN"]
    client.tag_resource(ResourceArn=arn, Tags={"Zürich & more".replace("&", "+"): "1", "team": "red"})
    client.tag_resource(ResourceArn=arn, Tags={"team": "blue"})
    assert client.list_tags_for_resource(ResourceArn=arn)["Tags"] == {"Zürich + more": "1", "team": "blue"}
    client.untag_resource(ResourceArn=arn, TagKeys=["team", "never there"])
    assert client.list_tags_for_resource(ResourceArn=arn)["Tags"] == {"Zürich + more": "1"}


def test_detect_faces(client: Any) -> None:
    faces = client.detect_faces(Image={"Bytes": both()}, Attributes=["ALL"])["FaceDetails"]
    assert len(faces) == 2
    for face in faces:
        box = face["BoundingBox"]
        assert 0 < box["Width"] < 0.5
        assert 0 < box["Height"] < 1
        assert face["Confidence"] > 80
        points = {point["Type"]: (point["X"], point["Y"]) for point in face["Landmarks"]}
        assert set(points) == {"eyeLeft", "eyeRight", "nose", "mouthLeft", "mouthRight"}
        assert points["eyeLeft"][0] < points["nose"][0] < points["eyeRight"][0]
        assert points["eyeLeft"][1] < points["nose"][1] < points["mouthLeft"][1]
        assert all(box["Left"] < x < box["Left"] + box["Width"] for x, _ in points.values())
        assert set(face["Pose"]) == {"Roll", "Yaw", "Pitch"}
        assert set(face["Quality"]) == {"Brightness", "Sharpness"}
        assert not {"Gender", "AgeRange", "Emotions", "Smile", "Beard"} & set(face), "nothing is guessed"
    assert client.detect_faces(Image={"Bytes": nobody()})["FaceDetails"] == []


def test_compare_faces(client: Any) -> None:
    found = client.compare_faces(
        SourceImage={"Bytes": another(grace())}, TargetImage={"Bytes": both()}, SimilarityThreshold=ALIKE
    )
    (match,), (other,) = found["FaceMatches"], found["UnmatchedFaces"]
    assert match["Face"]["BoundingBox"]["Left"] < 0.5 < other["BoundingBox"]["Left"]
    assert ALIKE < match["Similarity"] < 100
    assert found["SourceImageFace"]["Confidence"] > 80
    said = in_force(found)
    assert said["InForce"]["asked"] == ALIKE
    assert said["InForce"]["similarity"] <= match["Similarity"]
    strangers = client.compare_faces(SourceImage={"Bytes": grace()}, TargetImage={"Bytes": astronaut()})
    assert strangers["FaceMatches"] == []
    assert len(strangers["UnmatchedFaces"]) == 1


def test_index_list_and_delete_faces(client: Any, name: str) -> None:
    found = client.index_faces(
        CollectionId=name, Image={"Bytes": both()}, ExternalImageId="both:1", DetectionAttributes=["ALL"], MaxFaces=1
    )
    (record,), (left_out,) = found["FaceRecords"], found["UnindexedFaces"]
    assert left_out["Reasons"] == ["EXCEEDS_MAX_FACES"]
    assert left_out["FaceDetail"]["BoundingBox"] != record["FaceDetail"]["BoundingBox"]
    assert record["Face"]["ExternalImageId"] == "both:1"
    assert record["FaceDetail"]["Landmarks"]
    (listed,) = client.list_faces(CollectionId=name)["Faces"]
    for member in ("FaceId", "ImageId", "ExternalImageId"):
        assert listed[member] == record["Face"][member]
    assert listed["BoundingBox"] == pytest.approx(record["Face"]["BoundingBox"])
    unknown = str(uuid.uuid4())
    face_id = record["Face"]["FaceId"]
    assert client.list_faces(CollectionId=name, FaceIds=[face_id, unknown])["Faces"] == [listed]
    assert client.describe_collection(CollectionId=name)["FaceCount"] == 1
    gone = client.delete_faces(CollectionId=name, FaceIds=[unknown, face_id])
    assert gone["DeletedFaces"] == [face_id]
    assert gone["UnsuccessfulFaceDeletions"] == [{"FaceId": unknown, "Reasons": ["FACE_NOT_FOUND"]}]
    assert client.list_faces(CollectionId=name)["Faces"] == []


def test_quality_filter(client: Any, name: str) -> None:
    photo = another(grace(), factor=0.07)
    strict = client.index_faces(CollectionId=name, Image={"Bytes": photo}, QualityFilter="HIGH")
    assert strict["FaceRecords"] == []
    (left_out,) = strict["UnindexedFaces"]
    assert "SMALL_BOUNDING_BOX" in left_out["Reasons"]
    lax = client.index_faces(CollectionId=name, Image={"Bytes": photo}, QualityFilter="NONE")
    assert len(lax["FaceRecords"]) == 1


def test_search_faces(client: Any, name: str) -> None:
    (first,) = index(client, name, grace(), "grace-1")
    (second,) = index(client, name, another(grace()), "grace-2")
    (other,) = index(client, name, astronaut(), "eileen-1")
    found = client.search_faces(CollectionId=name, FaceId=first, FaceMatchThreshold=80, MaxFaces=10)
    assert found["SearchedFaceId"] == first
    (match,) = found["FaceMatches"]
    assert (match["Face"]["FaceId"], match["Face"]["ExternalImageId"]) == (second, "grace-2")
    said = in_force(found)
    assert said["InForce"]["gallery"] == 3
    assert said["InForce"]["similarity"] > 80, "the certified threshold is stricter than what was asked for"
    assert said["LedgerEntry"] > 0
    assert client.search_faces(CollectionId=name, FaceId=other)["FaceMatches"] == []


def test_search_faces_by_image(client: Any, name: str) -> None:
    ids = [*index(client, name, grace()), *index(client, name, another(grace()))]
    index(client, name, astronaut())
    photo = another(grace(), turn=-3.0)
    found = client.search_faces_by_image(CollectionId=name, Image={"Bytes": photo}, FaceMatchThreshold=ALIKE)
    assert {match["Face"]["FaceId"] for match in found["FaceMatches"]} == set(ids)
    alike = [match["Similarity"] for match in found["FaceMatches"]]
    assert alike == sorted(alike, reverse=True)
    assert found["SearchedFaceConfidence"] > 80
    assert found["SearchedFaceBoundingBox"]["Width"] > 0.1
    one = client.search_faces_by_image(CollectionId=name, Image={"Bytes": photo}, MaxFaces=1)
    assert [match["Face"]["FaceId"] for match in one["FaceMatches"]] == [found["FaceMatches"][0]["Face"]["FaceId"]]


def test_users(client: Any, name: str) -> None:
    first, second = index(client, name, grace())[0], index(client, name, another(grace()))[0]
    (other,) = index(client, name, astronaut())
    for user in ("anna", "bea"):
        client.create_user(CollectionId=name, UserId=user)
    given = client.associate_faces(CollectionId=name, UserId="anna", FaceIds=[first, second])
    assert {face["FaceId"] for face in given["AssociatedFaces"]} == {first, second}
    assert given["UnsuccessfulFaceAssociations"] == []
    assert given["UserStatus"] in ("ACTIVE", "UPDATING")
    unlike = client.associate_faces(CollectionId=name, UserId="anna", FaceIds=[other], UserMatchThreshold=75)
    assert unlike["AssociatedFaces"] == []
    (refused,) = unlike["UnsuccessfulFaceAssociations"]
    assert (refused["FaceId"], refused["Reasons"]) == (other, ["LOW_MATCH_CONFIDENCE"])
    client.associate_faces(CollectionId=name, UserId="bea", FaceIds=[other])
    (taken,) = client.associate_faces(CollectionId=name, UserId="bea", FaceIds=[first])["UnsuccessfulFaceAssociations"]
    assert (taken["FaceId"], taken["Reasons"]) == (first, ["ASSOCIATED_TO_A_DIFFERENT_USER"])
    faces = client.list_faces(CollectionId=name, UserId="anna")["Faces"]
    assert {face["FaceId"] for face in faces} == {first, second}
    assert {face["UserId"] for face in faces} == {"anna"}
    assert [user["UserId"] for user in client.list_users(CollectionId=name)["Users"]] == ["anna", "bea"]

    by_image = client.search_users_by_image(CollectionId=name, Image={"Bytes": another(grace(), turn=-3.0)})
    assert [match["User"]["UserId"] for match in by_image["UserMatches"]] == ["anna"]
    assert by_image["SearchedFace"]["FaceDetail"]["Confidence"] > 80
    by_user = client.search_users(CollectionId=name, UserId="anna")
    assert by_user["SearchedUser"] == {"UserId": "anna"}
    assert by_user["UserMatches"] == []
    away = client.disassociate_faces(CollectionId=name, UserId="anna", FaceIds=[second, str(uuid.uuid4())])
    assert [face["FaceId"] for face in away["DisassociatedFaces"]] == [second]
    assert away["UnsuccessfulFaceDisassociations"][0]["Reasons"] == ["FACE_NOT_FOUND"]
    by_face = client.search_users(CollectionId=name, FaceId=second, UserMatchThreshold=ALIKE)
    assert by_face["SearchedFace"] == {"FaceId": second}
    assert [match["User"]["UserId"] for match in by_face["UserMatches"]] == ["anna"]
    assert client.describe_collection(CollectionId=name)["UserCount"] == 2
    client.delete_user(CollectionId=name, UserId="anna")
    assert [user["UserId"] for user in client.list_users(CollectionId=name)["Users"]] == ["bea"]
    assert client.describe_collection(CollectionId=name)["FaceCount"] == 3, "a user's faces stay"


def test_pages(client: Any, name: str) -> None:
    more = sorted(f"{name}-{number}" for number in range(4))
    for one in more:
        client.create_collection(CollectionId=one)
    pages = list(client.get_paginator("list_collections").paginate(PaginationConfig={"PageSize": 2}))
    assert all(len(page["CollectionIds"]) <= 2 for page in pages)
    found = [one for page in pages for one in page["CollectionIds"]]
    assert found == sorted(set(found))
    assert set(more) <= set(found)
    ids = {face for _ in range(3) for face in index(client, name, both())}
    assert len(ids) == 6
    paginator = client.get_paginator("list_faces").paginate(CollectionId=name, PaginationConfig={"PageSize": 4})
    pages = list(paginator)
    assert [len(page["Faces"]) for page in pages] == [4, 2]
    assert {face["FaceId"] for page in pages for face in page["Faces"]} == ids
    users = [f"u{number}" for number in range(5)]
    for user in users:
        client.create_user(CollectionId=name, UserId=user)
    paginator = client.get_paginator("list_users").paginate(CollectionId=name, PaginationConfig={"PageSize": 1})
    assert [user["UserId"] for user in paginator.build_full_result()["Users"]] == users
    for one in more:
        client.delete_collection(CollectionId=one)


def test_a_request_token_makes_asking_again_harmless(client: Any, name: str) -> None:
    token = uuid.uuid4().hex
    for _ in range(3):
        client.create_user(CollectionId=name, UserId="anna", ClientRequestToken=token)
    with pytest.raises(client.exceptions.IdempotentParameterMismatchException):
        client.create_user(CollectionId=name, UserId="bea", ClientRequestToken=token)
    with pytest.raises(client.exceptions.ConflictException):
        client.create_user(CollectionId=name, UserId="anna")
    (face,) = index(client, name, grace())
    given = [
        client.associate_faces(CollectionId=name, UserId="anna", FaceIds=[face], ClientRequestToken=token)
        for _ in range(2)
    ]
    assert given[0]["AssociatedFaces"] == given[1]["AssociatedFaces"] == [{"FaceId": face}]
    for _ in range(2):
        client.disassociate_faces(CollectionId=name, UserId="anna", FaceIds=[face], ClientRequestToken=token)
    for _ in range(2):
        client.delete_user(CollectionId=name, UserId="anna", ClientRequestToken=token)
    assert client.list_users(CollectionId=name)["Users"] == []


def test_the_answer_holds_what_was_in_force(host: Running, name: str) -> None:
    client = host.client()
    (face,) = index(client, name, grace())
    _, headers, answer = host.raw("SearchFaces", {"CollectionId": name, "FaceId": face, "FaceMatchThreshold": 80.0})
    said = answer["Countenance"]
    assert json.loads(headers["x-countenance"]) == said
    told = said["InForce"]
    assert told["certificate"] == json.loads(headers["x-countenance"])["InForce"]["certificate"]
    assert told["self_issued"] is True
    assert told["worst"]["strangers"] >= told["best"]["strangers"]
    assert told["worst"]["group"] != told["best"]["group"]
    assert min(told["worst"]["at_most"], told["best"]["at_most"]) > 0
    assert told["fmr_interval"][0] <= told["fmr"] <= told["fmr_interval"][1]
    assert any("ethnicity" in group for group in told["not_tested"])


@pytest.mark.shared
def test_people_who_agreed_to_it(client: Any, shared: Path, name: str) -> None:
    """Twenty of the London set, searched with another photo of each: whoever is found is the right person."""
    people = sorted((shared / "data" / "london").glob("*_neutral.jpg"))[:20]
    for photo in people:
        index(client, name, photo.read_bytes(), photo.name[:3])
    found = []
    for photo in people:
        other = photo.with_name(photo.name.replace("neutral", "smiling"))
        answer = client.search_faces_by_image(CollectionId=name, Image={"Bytes": other.read_bytes()})
        found += [(photo.name[:3], match["Face"]["ExternalImageId"]) for match in answer["FaceMatches"]]
    assert all(asked == told for asked, told in found), "a stranger was returned"
    assert len(found) >= 10, "nobody is found: the threshold is too strict to be of use"
