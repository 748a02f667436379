"""From outside: programs that AWS published, unmodified; and the same sequence of calls, written here.

The programs are not part of this repository: get https://github.com/awsdocs/aws-doc-sdk-examples and set
COUNTENANCE_AWS_SAMPLES to its folder.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from service.running import Running, another, astronaut, both, grace

DEMO = "doc-example-collection-demo"


@pytest.fixture(scope="module")
def samples() -> Path:
    found = Path(os.environ.get("COUNTENANCE_AWS_SAMPLES", "")) / "python" / "example_code" / "rekognition"
    if "COUNTENANCE_AWS_SAMPLES" not in os.environ:
        pytest.skip("AWS's samples are not part of this repository: set COUNTENANCE_AWS_SAMPLES to a copy of them")
    if not (found / "rekognition_collections.py").is_file():
        pytest.skip(f"no copy of AWS's samples: {found} is not there")
    return found


def run(server: Running, folder: Path, *program: str) -> subprocess.CompletedProcess[str]:
    """Run it as its readers would; nothing changes but the endpoint, and Enter is pressed whenever it asks."""
    hidden = {"DISPLAY": "", "WAYLAND_DISPLAY": "", "PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, *program],
        cwd=folder,
        env=server.environment() | hidden,
        input="\n" * 50,
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )


def test_the_published_collections_program(served: Running, samples: Path) -> None:
    done = run(served, samples, "rekognition_collections.py")
    assert done.returncode == 0, done.stderr
    assert "Thanks for watching!" in done.stdout
    assert "matching faces" in done.stdout
    assert DEMO not in served.client().list_collections()["CollectionIds"]


def test_the_published_wrapper_of_photos(served: Running, samples: Path, tmp_path: Path) -> None:
    """Its demo also names objects and celebrities, which this server refuses; its class is used for the rest."""
    (tmp_path / "one.jpg").write_bytes(another(grace()))
    (tmp_path / "two.jpg").write_bytes(both())
    program = f"""
import boto3
from botocore.exceptions import ClientError
from rekognition_image_detection import RekognitionImage
client = boto3.client("rekognition")
one = RekognitionImage.from_file({str(tmp_path / "one.jpg")!r}, client)
two = RekognitionImage.from_file({str(tmp_path / "two.jpg")!r}, client)
assert len(two.detect_faces()) == 2
matches, others = one.compare_faces(two, 80)
assert (len(matches), len(others)) == (1, 1)
for refused in (one.recognize_celebrities, one.detect_text, one.detect_moderation_labels):
    try:
        refused()
    except ClientError as error:
        print(error.response["Error"]["Code"])
"""
    done = run(served, samples, "-c", program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["AccessDeniedException", *["InvalidParameterException"] * 2]


def test_under_the_shipped_policy_the_program_is_told_why_not(served_strictly: Running, samples: Path) -> None:
    done = run(served_strictly, samples, "rekognition_collections.py")
    assert done.returncode == 1
    assert "AccessDeniedException" in done.stderr
    assert "declares no purpose" in done.stderr
    served_strictly.client("operator", "photo-archive", "evaluation").delete_collection(CollectionId=DEMO)


def test_the_same_sequence_of_calls(served: Running) -> None:
    """Create, describe, index three photos, list, search by face and by photo, delete: as the program does."""
    client, name = served.client(), f"{DEMO}-2"
    client.create_collection(CollectionId=name)
    told = client.describe_collection(CollectionId=name)
    assert told["CollectionARN"].endswith(name)
    for number, photo in enumerate((grace(), another(grace()), astronaut())):
        found = client.index_faces(
            CollectionId=name,
            Image={"Bytes": photo},
            ExternalImageId=f"photo-{number}",
            MaxFaces=10,
            DetectionAttributes=["ALL"],
        )
        (record,) = found["FaceRecords"]
        assert {**record["Face"], **record["FaceDetail"]}["BoundingBox"]
        assert found["UnindexedFaces"] == []
    faces = client.list_faces(CollectionId=name, MaxResults=10)["Faces"]
    assert len(faces) == 3
    by_id = {face["ExternalImageId"]: face["FaceId"] for face in faces}
    found = client.search_faces(CollectionId=name, FaceId=by_id["photo-0"], FaceMatchThreshold=80, MaxFaces=10)
    assert [match["Face"]["FaceId"] for match in found["FaceMatches"]] == [by_id["photo-1"]]
    found = client.search_faces_by_image(
        CollectionId=name, Image={"Bytes": grace()}, FaceMatchThreshold=80, MaxFaces=10
    )
    assert found["SearchedFaceConfidence"] > 80
    assert {match["Face"]["FaceId"] for match in found["FaceMatches"]} == {by_id["photo-0"], by_id["photo-1"]}
    assert client.delete_faces(CollectionId=name, FaceIds=[by_id["photo-2"]])["DeletedFaces"] == [by_id["photo-2"]]
    client.delete_collection(CollectionId=name)


def test_the_same_sequence_under_the_shipped_policy(served_strictly: Running) -> None:
    client, name = served_strictly.client("operator", "photo-archive", "evaluation"), f"{DEMO}-3"
    client.create_collection(CollectionId=name)
    with pytest.raises(ClientError, match=r"declares no purpose.*tag it: countenance:purpose") as refused:
        client.index_faces(CollectionId=name, Image={"Bytes": grace()}, ExternalImageId="photo-1")
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
    with pytest.raises(client.exceptions.AccessDeniedException, match="declares no purpose"):
        client.search_faces_by_image(CollectionId=name, Image={"Bytes": grace()})
    with pytest.raises(client.exceptions.AccessDeniedException, match="no audit, no search"):
        client.compare_faces(SourceImage={"Bytes": grace()}, TargetImage={"Bytes": grace()})
    arn = client.describe_collection(CollectionId=name)["CollectionARN"]
    tags = {"purpose": "photo-archive", "legal-basis": "consent", "retention-days": "30"}
    client.tag_resource(ResourceArn=arn, Tags={f"countenance:{key}": value for key, value in tags.items()})
    with pytest.raises(client.exceptions.AccessDeniedException, match="no record of consent"):
        client.index_faces(CollectionId=name, Image={"Bytes": grace()}, ExternalImageId="photo-1")
    client.delete_collection(CollectionId=name)
