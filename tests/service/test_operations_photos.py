"""DetectFaces and CompareFaces on real faces, under the test policy and the one that ships."""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import botocore
import numpy as np
import pytest
from PIL import Image

from countenance.faces import Face
from countenance.ledger import Kind
from countenance.service.backend import Backend
from countenance.service.caller import Caller
from countenance.service.engine import Seen
from countenance.service.quality import LEVELS
from countenance.service.shapes import face_detail
from service.backends import OPERATOR, ask, certified, engine, opened, photo, refused, shipped

ALL = ["ALL"]
NEVER = {"AgeRange", "Gender", "Emotions", "Smile", "Beard", "Mustache", "Eyeglasses", "Sunglasses", "EyesOpen"}


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """One for all that leave it as it was."""
    folder = tmp_path_factory.mktemp("photos")
    with opened(folder) as made:
        certified(folder)
        yield made


def image(name: str, **more: object) -> dict[str, object]:
    return {"Bytes": photo(name, **more)}  # type: ignore[arg-type]


def test_detect_tells_what_is_measured_and_guesses_nothing(backend: Backend) -> None:
    answer = ask(backend, "DetectFaces", Image=image("both"), Attributes=ALL)
    assert sorted(answer) == ["FaceDetails"]
    grace, eileen = answer["FaceDetails"]  # largest first
    for face in (grace, eileen):
        assert set(face) == {"BoundingBox", "Confidence", "Landmarks", "Pose", "Quality"}
        assert not set(face) & NEVER
        assert [point["Type"] for point in face["Landmarks"]] == [
            "eyeLeft",
            "eyeRight",
            "nose",
            "mouthLeft",
            "mouthRight",
        ]
        assert 50 < face["Confidence"] <= 100
    assert grace["BoundingBox"]["Left"] < 0.5 < eileen["BoundingBox"]["Left"]
    places = {point["Type"]: (point["X"], point["Y"]) for point in grace["Landmarks"]}
    assert places["eyeLeft"][0] < places["nose"][0] < places["eyeRight"][0]  # as the reader sees them
    assert places["eyeLeft"][1] < places["nose"][1] < places["mouthLeft"][1]
    box = grace["BoundingBox"]
    assert box["Left"] < places["nose"][0] < box["Left"] + box["Width"]
    assert box["Top"] < places["nose"][1] < box["Top"] + box["Height"]


def test_detect_without_a_face_is_an_empty_list(backend: Backend) -> None:
    assert ask(backend, "DetectFaces", Image=image("wall")) == {"FaceDetails": []}


def test_places_are_those_of_the_upright_photo(backend: Backend) -> None:
    """A photo that lies on its side, and says so, gives the same places."""
    upright = Image.open(io.BytesIO(photo("eileen")))
    lying, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    upright.transpose(Image.Transpose.ROTATE_90).save(lying, "JPEG", quality=95, exif=exif)
    (turned,) = ask(backend, "DetectFaces", Image={"Bytes": lying.getvalue()})["FaceDetails"]
    (straight,) = ask(backend, "DetectFaces", Image=image("eileen"))["FaceDetails"]
    for side, value in straight["BoundingBox"].items():
        assert turned["BoundingBox"][side] == pytest.approx(value, abs=0.02)


def test_roll_is_clockwise(backend: Backend) -> None:
    def roll(turned: float) -> float:
        made = io.BytesIO()
        Image.open(io.BytesIO(photo("eileen"))).convert("RGB").rotate(-turned).save(made, "PNG")
        (face,) = ask(backend, "DetectFaces", Image={"Bytes": made.getvalue()})["FaceDetails"]
        return float(face["Pose"]["Roll"])

    assert roll(20.0) - roll(0.0) == pytest.approx(20, abs=4)


def test_pose_has_the_signs_of_aws() -> None:
    """Answers of AWS that come with botocore, as examples: from their landmarks we read a pose like theirs."""
    folder = Path(botocore.__file__).parent / "data" / "rekognition" / "2016-06-27"
    examples = json.loads((folder / "examples-1.json").read_text())["examples"]
    answers = examples["DetectFaces"][0]["output"]["FaceDetails"]
    answers += [record["FaceDetail"] for record in examples["IndexFaces"][0]["output"]["FaceRecords"]]
    assert [answer["Pose"]["Yaw"] > 0 for answer in answers] == [True, False, True]
    for answer in answers:
        box = answer["BoundingBox"]
        wide = round(1000 * box["Height"] / box["Width"])  # of a photo 1000 pixels high: boxes were squares then
        points = np.array([(point["X"] * wide, point["Y"] * 1000) for point in answer["Landmarks"]])
        for mirrored in (False, True):
            if mirrored:
                points = (points * (-1, 1) + (wide, 0))[[1, 0, 2, 4, 3]]
            grey = np.full((150, 150, 3), 128, np.uint8)
            face = Face((0.0, 0.0, 1.0, 1.0), 0.9, tuple(map(tuple, points.tolist())), grey)
            seen = Seen(wide, 1000, (face,))
            pose = face_detail(seen, face)["Pose"]
            yaw = -answer["Pose"]["Yaw"] if mirrored else answer["Pose"]["Yaw"]
            for ours, theirs in ((pose["Yaw"], yaw), (pose["Pitch"], answer["Pose"]["Pitch"])):
                assert ours == pytest.approx(theirs, abs=11)
                assert ours * theirs > 0


def test_photos_that_cannot_be_used(backend: Backend) -> None:
    for data in (b"x", b"GIF89a" + bytes(50), photo("eileen")[:500], b"\xff\xd8\xff", photo("eileen", "WEBP")):
        assert "Image" in refused(backend, "InvalidImageFormatException", "DetectFaces", Image={"Bytes": data})
    bomb = io.BytesIO()
    Image.new("1", (14_000, 14_000)).save(bomb, "PNG")
    refused(backend, "ImageTooLargeException", "DetectFaces", Image={"Bytes": bomb.getvalue()})
    refused(backend, "InvalidParameterException", "DetectFaces", Image={})
    both = {"Bytes": b"x", "S3Object": {"Bucket": "abc", "Name": "d"}}
    refused(backend, "InvalidParameterException", "DetectFaces", Image=both)
    stored = {"S3Object": {"Bucket": "abc", "Name": "d"}}
    refused(backend, "InvalidS3ObjectException", "DetectFaces", Image=stored)


def test_compare_finds_who_it_is_and_lists_who_it_is_not(backend: Backend) -> None:
    answer = ask(backend, "CompareFaces", SourceImage=image("mirror"), TargetImage=image("both"))
    (match,), (other,) = answer["FaceMatches"], answer["UnmatchedFaces"]
    assert match["Face"]["BoundingBox"]["Left"] > 0.5 > other["BoundingBox"]["Left"]  # eileen stands on the right
    assert 80 < match["Similarity"] < 100
    assert set(answer["SourceImageFace"]) == {"BoundingBox", "Confidence"}
    said = answer["Countenance"]
    assert said["InForce"]["gallery"] == 2
    assert match["Similarity"] >= said["InForce"]["similarity"]


def test_a_comparison_is_in_the_ledger_before_its_answer(backend: Backend) -> None:
    source, target = photo("mirror"), photo("both")
    answer = ask(backend, "CompareFaces", SourceImage={"Bytes": source}, TargetImage={"Bytes": target})
    *_, record = backend.gallery.ledger.records(kinds=[Kind.COMPARISON])
    entry = record.entry
    assert record.index == answer["Countenance"]["LedgerEntry"]
    assert (entry.gallery_size, entry.candidates, entry.actor) == (2, 1, OPERATOR.key_id)
    assert entry.threshold == answer["Countenance"]["InForce"]["threshold"]
    assert (entry.threshold_asked, entry.purpose) == (80.0, "evaluation")
    assert entry.probe == backend.gallery.probe_mac(source)
    assert entry.certificate == answer["Countenance"]["InForce"]["certificate"]


def test_the_stricter_of_asked_and_certified_decides(backend: Backend, tmp_path: Path) -> None:
    def both(where: Backend, threshold: float) -> tuple[int, int]:
        pair = {"SourceImage": image("mirror"), "TargetImage": image("both")}
        answer = ask(where, "CompareFaces", **pair, SimilarityThreshold=threshold)
        return len(answer["FaceMatches"]), len(answer["UnmatchedFaces"])

    assert both(backend, 0.0) == (1, 1)  # asking for all gives no more than is certified
    assert both(backend, 99.999999) == both(backend, 100.0) == (0, 2)  # more than can be known
    with opened(tmp_path) as strict:
        certified(tmp_path, threshold=-0.05)
        assert both(strict, 0.0) == (0, 2)


def test_compare_needs_a_face_in_both(backend: Backend) -> None:
    for source, target, name in (("wall", "eileen", "SourceImage"), ("eileen", "wall", "TargetImage")):
        message = refused(
            backend,
            "InvalidParameterException",
            "CompareFaces",
            SourceImage=image(source),
            TargetImage=image(target),
        )
        assert message.startswith(name)


def test_filtered_faces_are_not_compared(backend: Backend) -> None:
    """Eileen is half as large as Grace in the photo of both: with 20 pixels between the eyes asked for, she is out."""
    assert len(engine().look(photo("both", side=150)).faces) == 2
    answer = ask(
        backend,
        "CompareFaces",
        SourceImage=image("mirror"),
        TargetImage=image("both", side=150),
        QualityFilter="HIGH",
    )
    assert (answer["FaceMatches"], len(answer["UnmatchedFaces"])) == ([], 1)
    assert answer["Countenance"]["InForce"]["gallery"] == 1
    message = refused(
        backend,
        "InvalidParameterException",
        "CompareFaces",
        SourceImage=image("mirror", side=80),
        TargetImage=image("both"),
        QualityFilter="HIGH",
    )
    assert "QualityFilter HIGH" in message


def test_the_page_of_differences_tells_the_bars() -> None:
    page = (Path(__file__).parents[2] / "docs" / "differences-from-aws.md").read_text()
    rows = re.findall(r"^\| .* \| ([\d.]+)°? \| ([\d.]+)°? \| ([\d.]+)°? \| `[A-Z_]+` \|$", page, re.MULTILINE)
    told = [tuple(map(float, column)) for column in zip(*rows, strict=True)]
    bars = (LEVELS[level] for level in ("LOW", "MEDIUM", "HIGH"))
    assert told == [
        (bar.confidence, bar.eyes, bar.sharpness, bar.darkest, bar.turned, bar.brightest, bar.contrast) for bar in bars
    ]


def test_no_certificate_no_comparison(tmp_path: Path) -> None:
    with opened(tmp_path) as backend:
        message = refused(
            backend,
            "AccessDeniedException",
            "CompareFaces",
            SourceImage={"Bytes": b"never opened"},
            TargetImage=image("both"),
        )
        assert "countenance certify" in message
        (record,) = backend.gallery.ledger.records(kinds=[Kind.REFUSAL])
        assert (record.entry.rule, record.entry.operation) == ("certificate", "CompareFaces")


def test_more_faces_in_the_target_than_the_certificate_vouches_for(tmp_path: Path) -> None:
    with opened(tmp_path) as backend:
        certified(tmp_path, gallery=1)
        ask(backend, "CompareFaces", SourceImage=image("mirror"), TargetImage=image("eileen"))
        message = refused(
            backend,
            "AccessDeniedException",
            "CompareFaces",
            SourceImage=image("mirror"),
            TargetImage=image("both"),
        )
        assert "2 faces would be searched" in message


def test_the_shipped_policy_refuses_keys_without_a_purpose_and_synthetic_certificates(tmp_path: Path) -> None:
    pair = {"SourceImage": image("mirror"), "TargetImage": image("both")}
    with opened(tmp_path, shipped()) as backend:
        certified(tmp_path)
        assert "no purpose" in refused(backend, "AccessDeniedException", "CompareFaces", **pair)
        keyed = Caller("key-2", "operator", ("identity-check",), "private")
        assert "synthetic" in refused(backend, "AccessDeniedException", "CompareFaces", keyed, **pair)
        police = Caller("key-3", "operator", ("law-enforcement",), "law-enforcement")
        assert "law-enforcement" in refused(backend, "AccessDeniedException", "CompareFaces", police, **pair)


def test_roles(backend: Backend) -> None:
    reader, auditor = Caller("key-r", "reader"), Caller("key-a", "auditor")
    assert ask(backend, "DetectFaces", reader, Image=image("eileen"))["FaceDetails"]
    assert "auditor" in refused(backend, "AccessDeniedException", "DetectFaces", auditor, Image=image("eileen"))
    pair = {"SourceImage": image("mirror"), "TargetImage": image("both")}
    assert ask(backend, "CompareFaces", reader, **pair)["FaceMatches"]
    refused(backend, "AccessDeniedException", "CompareFaces", auditor, **pair)
