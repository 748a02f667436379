"""From outside: every operation through the AWS CLI, which is a client of its own in an environment of its own."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.running import Running, another, astronaut, both, grace

HOME = Path(__file__).resolve().parents[2] / ".awscli"
NAME = "cli-family"


class Shell:
    """Runs ``aws rekognition``; remembers which commands succeeded."""

    def __init__(self, server: Running) -> None:
        self._environment = server.environment()
        self.done: set[str] = set()

    def run(self, command: str, *words: str, **changed: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(HOME / "bin" / "aws"), "rekognition", command, *words],
            env=self._environment | changed,
            text=True,
            capture_output=True,
            timeout=60,
            check=False,
        )

    def __call__(self, command: str, *words: str) -> dict[str, Any]:
        found = self.run(command, *words)
        assert found.returncode == 0, found.stderr
        self.done.add(command)
        answer: dict[str, Any] = json.loads(found.stdout or "{}")
        return answer


@pytest.fixture(scope="module")
def aws(served: Running) -> Shell:
    if not (HOME / "ready").exists():
        pytest.skip("no AWS CLI: `make .awscli/ready` installs one")
    return Shell(served)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What names a photo on the CLI's command line."""
    folder = tmp_path_factory.mktemp("photos")
    found = {"grace": grace(), "again": another(grace()), "eileen": astronaut(), "both": both()}
    for name, data in found.items():
        (folder / name).write_bytes(data)
    return {name: f"fileb://{folder / name}" for name in found}


@pytest.fixture(scope="module")
def faces(aws: Shell, photos: dict[str, str], served: Running) -> Iterator[list[str]]:
    """A collection with three faces: two of one person, one of another."""
    made = aws("create-collection", "--collection-id", NAME, "--tags", "team=red")
    assert made["StatusCode"] == 200
    ids = []
    for name in ("grace", "again", "eileen"):
        said = ("--collection-id", NAME, "--image-bytes", photos[name], "--external-image-id", name, "--max-faces", "3")
        (record,) = aws("index-faces", *said)["FaceRecords"]
        ids.append(record["Face"]["FaceId"])
    yield ids
    if NAME in served.client().list_collections()["CollectionIds"]:
        served.client().delete_collection(CollectionId=NAME)


def test_photos(aws: Shell, photos: dict[str, str]) -> None:
    found = aws("detect-faces", "--image-bytes", photos["both"], "--attributes", "ALL")
    assert len(found["FaceDetails"]) == 2
    said = ("--source-image-bytes", photos["grace"], "--target-image-bytes", photos["both"])
    found = aws("compare-faces", *said, "--similarity-threshold", "90")
    assert (len(found["FaceMatches"]), len(found["UnmatchedFaces"])) == (1, 1)


def test_searches(aws: Shell, faces: list[str], photos: dict[str, str]) -> None:
    said = ("--collection-id", NAME, "--face-id", faces[0], "--face-match-threshold", "80", "--max-faces", "5")
    (match,) = aws("search-faces", *said)["FaceMatches"]
    assert match["Face"]["FaceId"] == faces[1]
    found = aws("search-faces-by-image", "--collection-id", NAME, "--image-bytes", photos["eileen"])
    assert [match["Face"]["ExternalImageId"] for match in found["FaceMatches"]] == ["eileen"]


def test_pages(aws: Shell, faces: list[str]) -> None:
    found = aws("list-faces", "--collection-id", NAME, "--page-size", "1")
    assert [face["FaceId"] for face in found["Faces"]] == sorted(faces)
    first = aws("list-faces", "--collection-id", NAME, "--max-items", "2")
    rest = aws("list-faces", "--collection-id", NAME, "--starting-token", first["NextToken"])
    assert [face["FaceId"] for face in first["Faces"] + rest["Faces"]] == sorted(faces)
    said = aws("list-collections", "--page-size", "1", "--query", f"CollectionIds[?@=='{NAME}']")
    assert list(said) == [NAME]


def test_users(aws: Shell, faces: list[str], photos: dict[str, str]) -> None:
    of = ("--collection-id", NAME)
    for user in ("anna", "bea"):
        aws("create-user", *of, "--user-id", user)
    given = aws("associate-faces", *of, "--user-id", "anna", "--face-ids", faces[0], faces[1])
    assert len(given["AssociatedFaces"]) == 2
    found = aws("search-users", *of, "--user-id", "anna")
    assert (found["SearchedUser"], found["UserMatches"]) == ({"UserId": "anna"}, [])
    found = aws("search-users-by-image", *of, "--image-bytes", photos["grace"], "--user-match-threshold", "90")
    assert [match["User"]["UserId"] for match in found["UserMatches"]] == ["anna"]
    away = aws("disassociate-faces", *of, "--user-id", "anna", "--face-ids", faces[1])
    assert away["DisassociatedFaces"] == [{"FaceId": faces[1]}]
    assert len(aws("list-users", *of, "--page-size", "1")["Users"]) == 2
    for user in ("anna", "bea"):
        aws("delete-user", *of, "--user-id", user)


def test_tags(aws: Shell, faces: list[str]) -> None:
    arn = aws("describe-collection", "--collection-id", NAME)["CollectionARN"]
    aws("tag-resource", "--resource-arn", arn, "--tags", "team=blue,room=4")
    aws("untag-resource", "--resource-arn", arn, "--tag-keys", "room")
    assert aws("list-tags-for-resource", "--resource-arn", arn)["Tags"] == {"team": "blue"}


def test_errors_end_with_their_own_status_and_sentence(aws: Shell, photos: dict[str, str]) -> None:
    gone = aws.run("describe-collection", "--collection-id", "gone")
    assert gone.returncode in (254, 255)
    assert "(ResourceNotFoundException)" in gone.stderr
    never = aws.run("recognize-celebrities", "--image-bytes", photos["grace"])
    assert never.returncode == gone.returncode
    assert "(AccessDeniedException)" in never.stderr
    assert "never built" in never.stderr
    wrong = aws.run("list-collections", AWS_SECRET_ACCESS_KEY="wrong" * 8)
    assert wrong.returncode == gone.returncode
    assert "(AccessDeniedException)" in wrong.stderr


def test_every_operation_was_run(aws: Shell, faces: list[str]) -> None:
    """The last one: it deletes what the others needed. Holds when the whole file runs."""
    from countenance.service.operations import OPERATIONS

    gone = aws("delete-faces", "--collection-id", NAME, "--face-ids", faces[2])
    assert gone["DeletedFaces"] == [faces[2]]
    assert aws("delete-collection", "--collection-id", NAME)["StatusCode"] == 200
    wanted = {"".join(f"-{c.lower()}" if c.isupper() else c for c in one).lstrip("-") for one in OPERATIONS}
    if "detect-faces" in aws.done:
        assert aws.done >= wanted, wanted - aws.done
