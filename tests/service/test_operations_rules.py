"""What operations refuse by rules of their own: other models, two people, records of consent, ARNs, users."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from countenance.gallery import Occasion
from countenance.ledger import Kind
from countenance.policy import Policy, load_policy
from countenance.service.backend import Backend
from countenance.service.consents import COLUMNS
from service.backends import POLICIES, ask, certified, opened, photo, pipeline, refused

ARN = "arn:aws:rekognition:us-east-1:000000000000:collection/family"
RETENTION = "countenance:retention-days"
OURS = {"countenance:purpose": "evaluation", "countenance:legal-basis": "consent"}


def image(name: str, side: int = 400) -> dict[str, bytes]:
    return {"Bytes": photo(name, side=side)}


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Backend]:
    """A certified server with an empty collection."""
    with opened(tmp_path) as made:
        certified(tmp_path)
        ask(made, "CreateCollection", CollectionId="family")
        yield made


def policy_with(folder: Path, old: str, new: str) -> Policy:
    """The test policy, changed in one place."""
    text = (POLICIES / "test.toml").read_text()
    assert text.count(old) == 1
    (folder / "changed.toml").write_text(text.replace(old, new))
    return load_policy(folder / "changed.toml")


def index(backend: Backend, name: str, **more: Any) -> str:
    (record,) = ask(backend, "IndexFaces", CollectionId="family", Image=image(name), **more)["FaceRecords"]
    return str(record["Face"]["FaceId"])


def rules(backend: Backend) -> list[str | None]:
    return [record.entry.rule for record in backend.gallery.ledger.records(kinds=[Kind.REFUSAL])]


# -- models --------------------------------------------------------------------------------------------------------


def test_vectors_of_another_model_are_neither_joined_nor_searched(backend: Backend) -> None:
    running = pipeline()
    backend.gallery.create_collection(
        "old", Occasion(actor="t", operation="t"), pipeline="cd" * 32, metric=running.metric, dimension=running.dim
    )
    of, face = {"CollectionId": "old"}, "00000000-0000-4000-8000-000000000000"
    ask(backend, "CreateUser", **of, UserId="anna")
    for operation, params in (
        ("IndexFaces", {"Image": image("eileen")}),
        ("SearchFaces", {"FaceId": face}),
        ("SearchFacesByImage", {"Image": image("eileen")}),
        ("SearchUsers", {"UserId": "anna"}),
        ("SearchUsersByImage", {"Image": image("eileen")}),
        ("AssociateFaces", {"UserId": "anna", "FaceIds": [face], "UserMatchThreshold": 75.0}),
    ):
        message = refused(backend, "InvalidParameterException", operation, **of, **params)
        assert "cdcdcdcd" in message
        assert backend.engine.version in message
    assert list(backend.gallery.ledger.records(kinds=[Kind.SEARCH])) == []
    assert ask(backend, "DescribeCollection", **of)["FaceModelVersion"] == "other/cdcdcdcd"
    assert ask(backend, "ListFaces", **of)["FaceModelVersion"] == "other/cdcdcdcd"
    told = ask(backend, "ListCollections")
    assert dict(zip(told["CollectionIds"], told["FaceModelVersions"], strict=True)) == {
        "family": backend.engine.version,
        "old": "other/cdcdcdcd",
    }
    ask(backend, "DeleteCollection", **of)


# -- two people ----------------------------------------------------------------------------------------------------


def test_where_two_people_look_nothing_else_tells_a_match(tmp_path: Path) -> None:
    policy = policy_with(tmp_path, "[review]\npurposes = []", '[review]\npurposes = ["evaluation"]')
    with opened(tmp_path, policy) as backend:
        certified(tmp_path, threshold=-2.0)
        pair = {"SourceImage": image("eileen"), "TargetImage": image("mirror")}
        assert "two people look" in refused(backend, "AccessDeniedException", "CompareFaces", **pair)
        ask(backend, "CreateCollection", CollectionId="family")
        first, second = index(backend, "eileen"), index(backend, "mirror")
        ask(backend, "CreateUser", CollectionId="family", UserId="anna")
        of = {"CollectionId": "family", "UserId": "anna"}
        ask(backend, "AssociateFaces", **of, FaceIds=[first])
        refused(backend, "AccessDeniedException", "AssociateFaces", **of, FaceIds=[second], UserMatchThreshold=75.0)
        assert rules(backend) == ["review", "review"]
        assert list(backend.gallery.ledger.records(kinds=[Kind.COMPARISON, Kind.SEARCH])) == []
        (match,) = ask(backend, "SearchUsers", CollectionId="family", FaceId=second)["UserMatches"]
        assert list(match) == ["Similarity"]
        assert ask(backend, "AssociateFaces", **of, FaceIds=[second])["AssociatedFaces"] == [{"FaceId": second}]


# -- consent -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recorded", [False, True], ids=["by default", "by a record"])
def test_a_face_ends_with_the_retention_where_that_is_sooner(backend: Backend, tmp_path: Path, recorded: bool) -> None:
    """Of the collection; the record of consent, the operator's own or the test policy's, is for 30 days."""
    if recorded:
        given = datetime.now(UTC).replace(microsecond=0)
        dates = [day.strftime("%Y-%m-%dT%H:%M:%SZ") for day in (given, given + timedelta(days=30))]
        row = ["family", "", "everyone", "evaluation", "consent", "notice.pdf", *dates, "ask"]
        (tmp_path / "consents.csv").write_text("\n".join([",".join(COLUMNS), ",".join(row)]))
    for days in (30, 7):
        if days == 7:
            ask(backend, "TagResource", ResourceArn=ARN, Tags=OURS | {RETENTION: "7"})
        face_id = index(backend, "eileen")
        (face,) = backend.gallery.faces("family", face_ids=[face_id])
        assert (face.consent.subject == "everyone") is recorded
        left = face.consent.until - datetime.now(UTC)
        assert timedelta(days=days - 0.01) < left <= timedelta(days=days)


def test_a_policy_that_asks_for_no_record_says_so_in_each(tmp_path: Path) -> None:
    policy = policy_with(tmp_path, "[consent]\nrequired = true", "[consent]\nrequired = false")
    text = (tmp_path / "changed.toml").read_text()
    (tmp_path / "changed.toml").write_text(text[: text.index("[defaults.consent]")])
    for rule, expected in ((policy, "test policy"), (load_policy(tmp_path / "changed.toml"), "none: the policy asks")):
        with opened(tmp_path / expected[:4], rule) as backend:
            ask(backend, "CreateCollection", CollectionId="family", Tags=OURS | {RETENTION: "3"})
            index(backend, "eileen", ExternalImageId="e-1")
            (face,) = backend.gallery.faces("family")
            assert face.consent.notice.startswith(expected)
            assert (face.consent.subject, face.consent.purpose) == ("e-1", "evaluation")
            assert face.consent.until <= datetime.now(UTC) + timedelta(days=3)


# -- tags ----------------------------------------------------------------------------------------------------------


def test_arns_of_elsewhere(backend: Backend) -> None:
    for arn in (ARN, ARN.removeprefix("arn:")):
        assert ask(backend, "ListTagsForResource", ResourceArn=arn) == {"Tags": {}}
    for arn in (ARN.replace("us-east-1", "eu-west-1"), ARN.replace("000000000000", "1"), ARN.replace("family", "gone")):
        for operation, more in (("ListTagsForResource", {}), ("TagResource", {"Tags": {"a": "b"}})):
            refused(backend, "ResourceNotFoundException", operation, ResourceArn=arn, **more)
    project = ARN.replace("collection/family", "project/family/1")
    refused(backend, "ResourceNotFoundException", "ListTagsForResource", ResourceArn=project)
    for arn in ("arn:aws:s3:::family/and-more", f"x{ARN}", ARN.removesuffix("family")):
        refused(backend, "InvalidParameterException", "ListTagsForResource", ResourceArn=arn)


def test_tags_that_say_nothing_any_more_can_be_mended(backend: Backend) -> None:
    """Of a policy before, say. Until then nothing is indexed; and what holds faces stays as it is."""
    running = pipeline()
    backend.gallery.create_collection(
        "odd",
        Occasion(actor="t", operation="t"),
        pipeline=running.digest,
        metric=running.metric,
        dimension=running.dim,
        tags=OURS | {RETENTION: "for ever"},
    )
    of = {"CollectionId": "odd"}
    refused(backend, "InvalidParameterException", "IndexFaces", **of, Image=image("eileen"))
    ask(backend, "DescribeCollection", **of)
    ask(backend, "TagResource", ResourceArn=ARN.replace("family", "odd"), Tags={RETENTION: "5"})
    ask(backend, "IndexFaces", **of, Image=image("eileen"))
    backend.gallery.tag("odd", Occasion(actor="t", operation="t"), put={RETENTION: "for ever"})
    fix = {"ResourceArn": ARN.replace("family", "odd"), "Tags": {RETENTION: "5"}}
    refused(backend, "AccessDeniedException", "TagResource", **fix)
    assert rules(backend) == ["purpose-of-faces"]


# -- users ---------------------------------------------------------------------------------------------------------


def test_what_was_seen_and_not_searched(backend: Backend) -> None:
    face_id = index(backend, "eileen")
    ask(backend, "CreateUser", CollectionId="family", UserId="eileen")
    ask(backend, "AssociateFaces", CollectionId="family", UserId="eileen", FaceIds=[face_id])

    def reasons(name: str, side: int, level: str) -> tuple[list[list[str]], dict[str, Any]]:
        answer = ask(backend, "SearchUsersByImage", CollectionId="family", Image=image(name, side), QualityFilter=level)
        return [face["Reasons"] for face in answer["UnsearchedFaces"]], answer

    why, answer = reasons("both", 400, "NONE")  # Grace is the larger one, and is searched for
    assert (why, answer["UserMatches"]) == ([["FACE_NOT_LARGEST"]], [])
    why, answer = reasons("both", 150, "HIGH")  # the other is too small as well
    assert len(why) == 1
    assert "SMALL_BOUNDING_BOX" in why[0]
    searches = len(list(backend.gallery.ledger.records(kinds=[Kind.SEARCH])))
    assert searches == 2
    for name, side, faces in (("wall", 400, 0), ("mirror", 80, 1)):
        why, answer = reasons(name, side, "HIGH")
        assert len(why) == faces
        assert "SearchedFace" not in answer
        assert (answer["UserMatches"], answer["Countenance"]["LedgerEntry"]) == ([], None)
    assert len(list(backend.gallery.ledger.records(kinds=[Kind.SEARCH]))) == searches, "nothing was compared"
    why, answer = reasons("mirror", 400, "HIGH")
    assert (why, [match["User"]["UserId"] for match in answer["UserMatches"]]) == ([], ["eileen"])


def test_a_search_for_users_is_by_a_face_or_by_a_user(backend: Backend) -> None:
    face_id = index(backend, "eileen")
    ask(backend, "CreateUser", CollectionId="family", UserId="anna")
    of = {"CollectionId": "family"}
    refused(backend, "InvalidParameterException", "SearchUsers", **of)
    refused(backend, "InvalidParameterException", "SearchUsers", **of, FaceId=face_id, UserId="anna")
    assert "has faces" in refused(backend, "ResourceNotFoundException", "SearchUsers", **of, UserId="anna")
    assert ask(backend, "SearchUsers", **of, FaceId=face_id)["UserMatches"] == []
