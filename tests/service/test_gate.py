"""From outside: no audit, no search. Refused, certified, allowed, grown past the certificate, refused again."""

import copy
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError

from countenance.gallery import Box, Consent, NewFace, Occasion, open_gallery
from countenance.ledger import Kind, SigningKey, timestamp
from countenance.policy import synthetic_certificate
from countenance.policy.certificate import from_said
from countenance.policy.signing import sign
from countenance.service.consents import COLUMNS
from service.running import PIPELINE, Running, another, astronaut, certificate, grace, operator

TAGS = {"purpose": "photo-archive", "legal-basis": "consent", "retention-days": "90"}
PURPOSE = "photo-archive"


def tags(**changed: str) -> dict[str, str]:
    return {f"countenance:{key.replace('_', '-')}": value for key, value in (TAGS | changed).items()}


@pytest.fixture
def host(served_strictly: Running) -> Iterator[Running]:
    """A server as somebody has just started it; left so."""
    yield served_strictly
    for name in ("certificate.json", "consents.csv"):
        (served_strictly.data / name).unlink(missing_ok=True)


@pytest.fixture
def client(host: Running) -> Any:
    return host.client("operator", PURPOSE)


@pytest.fixture
def name(client: Any) -> Iterator[str]:
    client.create_collection(CollectionId="friends", Tags=tags())
    yield "friends"
    client.delete_collection(CollectionId="friends")


def agree(host: Running, *external_ids: str, **changed: str) -> None:
    """Write the operator's records of consent; the server runs."""
    today = datetime.now(UTC).date()
    row = {
        "collection": "friends",
        "purpose": PURPOSE,
        "basis": "consent",
        "notice": "https://example.org/notice",
        "given": str(today),
        "until": str(today + timedelta(days=60)),
        "withdraw": "mail archive@example.org",
    } | changed
    lines = [",".join(COLUMNS)]
    for one in external_ids:
        full = row | {"external_image_id": one, "subject": f"person-{one}"}
        lines.append(",".join(full[column] for column in COLUMNS))
    (host.data / "consents.csv").write_text("\n".join(lines) + "\n")


def certified(host: Running, text: str | None = None) -> None:
    (host.data / "certificate.json").write_text(certificate().to_json() if text is None else text)


def index(client: Any, photo: bytes, external: str) -> str:
    found = client.index_faces(CollectionId="friends", Image={"Bytes": photo}, ExternalImageId=external)
    (record,) = found["FaceRecords"]
    return str(record["Face"]["FaceId"])


def searches(client: Any, face: str) -> dict[str, Callable[[], Any]]:
    """The three that compare, without those of users."""
    photo = {"Bytes": another(grace())}
    return {
        "SearchFaces": lambda: client.search_faces(CollectionId="friends", FaceId=face),
        "SearchFacesByImage": lambda: client.search_faces_by_image(CollectionId="friends", Image=photo),
        "CompareFaces": lambda: client.compare_faces(SourceImage=photo, TargetImage={"Bytes": grace()}),
    }


def refusals(client: Any, face: str) -> set[str]:
    """What the three are told; each must be refused."""
    told = set()
    for ask in searches(client, face).values():
        with pytest.raises(client.exceptions.AccessDeniedException) as refused:
            ask()
        told.add(refused.value.response["Error"]["Message"])
    return told


def test_refused_certified_allowed_grown_refused_again(host: Running, client: Any, name: str) -> None:
    with pytest.raises(client.exceptions.AccessDeniedException, match="no record of consent came with this face"):
        index(client, grace(), "grace")
    agree(host, "grace", "eileen")
    face = index(client, grace(), "grace")
    index(client, astronaut(), "eileen")

    (told,) = refusals(client, face)
    assert told.startswith("no audit, no search: there is no certificate for the running pipeline")
    assert "countenance audit" in told
    assert "countenance certify" in told

    command = [sys.executable, "-c", "from countenance.cli import main; main()", "certify"]
    files = ["--key", host.data / "ledger.key", "--out", host.data / "certificate.json", "--pipeline", PIPELINE]
    subprocess.run([*command, *map(str, files)], check=True, capture_output=True)
    found = searches(client, face)["SearchFacesByImage"]()
    (match,) = found["FaceMatches"]
    assert match["Face"]["ExternalImageId"] == "grace"
    said = json.loads(found["ResponseMetadata"]["HTTPHeaders"]["x-countenance"])["InForce"]
    assert said["gallery"] == 2
    assert said["self_issued"]
    assert said["similarity"] <= match["Similarity"]
    largest = certificate().largest_gallery()
    grown = enrolled_by_the_operator(host, largest - 1)
    refused = [ask for one, ask in searches(client, face).items() if one != "CompareFaces"]
    for ask in refused:
        with pytest.raises(client.exceptions.AccessDeniedException) as error:
            ask()
        assert f"{largest + 1} faces would be searched, and certificate" in error.value.response["Error"]["Message"]
        assert f"vouches for {largest} at most" in error.value.response["Error"]["Message"]
    client.delete_faces(CollectionId="friends", FaceIds=grown[:1])
    at_most = json.loads(refused[0]()["ResponseMetadata"]["HTTPHeaders"]["x-countenance"])["InForce"]
    assert at_most["gallery"] == largest
    assert at_most["threshold"] > said["threshold"], "the threshold rises with the gallery"


def enrolled_by_the_operator(host: Running, count: int) -> list[str]:
    """So many faces of nobody, put there by another process of the same gallery."""
    now = datetime.now(UTC)
    consent = Consent(
        subject="nobody",
        purpose=PURPOSE,
        basis="consent",
        notice="made up",
        given=now,
        until=now + timedelta(days=1),
        withdraw="none",
    )
    vectors = np.random.default_rng(0).normal(size=(count, 128)).astype(np.float32)
    with open_gallery(host.data) as gallery:
        pipeline = gallery.collection("friends").pipeline
        faces = [
            NewFace(vector=row, consent=consent, image_id=str(k), box=Box(0, 0, 1, 1), confidence=99.0)
            for k, row in enumerate(vectors)
        ]
        occasion = Occasion(actor="test", operation="test", purpose=PURPOSE)
        return [face.face_id for face in gallery.enrol("friends", faces, occasion, pipeline=pipeline)]


def resigned(key: SigningKey | None = None, **changed: Any) -> str:
    """The certificate with other contents, signed anew."""
    said = copy.deepcopy(dict(certificate().said))
    for name, value in changed.items():
        said[name] = value
    said["issuer"] = str((key or operator()).verifying)
    return from_said(said, sign(key or operator(), said)).to_json()


def dates(first: int, last: int) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {"validity": {"from": timestamp(now + timedelta(first)), "until": timestamp(now + timedelta(last))}}


def altered() -> str:
    """A certificate in whose file somebody has changed one figure."""
    found = json.loads(certificate().to_json())
    found["certificate"]["certified"]["levels"][-1]["fmr"] /= 10
    return json.dumps(found)


def without_groups() -> str:
    groups = copy.deepcopy(dict(certificate().said["groups"]))
    groups["certified"] = [one for one in groups["certified"] if not one["group"]]
    return resigned(groups=groups)


def of_another_pipeline() -> str:
    return resigned(system={**certificate().said["system"], "name": "another", "pipeline": "ab" * 32})


def synthetic() -> str:
    return synthetic_certificate(operator(), certificate().pipeline, gallery=1000, threshold=-0.5).to_json()


@pytest.mark.parametrize(
    ("file", "sentence", "rule"),
    [
        (
            lambda: "{}",
            "no audit, no search: there is no certificate .*a damaged one",
            "certificate",
        ),
        (altered, "was altered: its signature does not hold; bring back the file as issued", "certificate-altered"),
        (lambda: resigned(SigningKey.generate()), "whom the policy does not trust", "certificate-signer"),
        (synthetic, "is synthetic, for benches: nothing was measured", "certificate-synthetic"),
        (lambda: resigned(**dates(-30, -1)), "expired on .*; audit again", "certificate-validity"),
        (lambda: resigned(**dates(1, 30)), "holds only from", "certificate-validity"),
        (lambda: resigned(**dates(0, 400)), "issued for longer than the policy's 365 days", "certificate-validity"),
        (of_another_pipeline, r"is of another pipeline \(abababababab, another\)", "certificate-pipeline"),
        (without_groups, "does not certify gender, which the policy demands", "certificate-groups"),
    ],
    ids=["damaged", "altered", "signer", "synthetic", "expired", "early", "long", "pipeline", "groups"],
)
def test_a_certificate_that_does_not_do(
    host: Running, client: Any, name: str, file: Callable[[], str], sentence: str, rule: str
) -> None:
    agree(host, "grace")
    face = index(client, grace(), "grace")
    certified(host)
    searches(client, face)["SearchFaces"]()
    certified(host, file())
    (told,) = refusals(client, face)
    with pytest.raises(AssertionError, match=sentence):
        raise AssertionError(told)
    with open_gallery(host.data) as gallery:
        *_, last = (record.entry for record in gallery.ledger.records(kinds=[Kind.REFUSAL]))
    assert (last.rule, last.reason, last.actor) == (rule, told, host.key("operator", PURPOSE).key_id)
    certified(host)
    searches(client, face)["SearchFaces"]()


def test_purposes(host: Running, client: Any, name: str) -> None:
    """The moratorium, tags and keys; each with its sentence."""
    denied = client.exceptions.AccessDeniedException
    for purpose in ("law-enforcement", "immigration-enforcement", "schools", "public-spaces"):
        with pytest.raises(denied, match=f"refuses the purpose {purpose}: .*only a signed change of the policy"):
            client.create_collection(CollectionId="never", Tags=tags(purpose=purpose))
    with pytest.raises(denied, match="'marketing' is not declared in the policy"):
        client.create_collection(CollectionId="never", Tags=tags(purpose="marketing"))
    with pytest.raises(denied, match="legal basis 'whim' is not one"):
        client.create_collection(CollectionId="never", Tags=tags(legal_basis="whim"))
    with pytest.raises(denied, match=r"keeps faces for 5000 days, and photo-archive allows 1095"):
        client.create_collection(CollectionId="never", Tags=tags(retention_days="5000"))
    assert "never" not in client.list_collections()["CollectionIds"]
    agree(host, "grace")
    other = host.client("operator", "access")
    with pytest.raises(denied, match="this key is not for photo-archive, which the collection is for"):
        index(other, grace(), "grace")
    with pytest.raises(ClientError, match="this key has no purpose"):
        host.client("operator").compare_faces(SourceImage={"Bytes": grace()}, TargetImage={"Bytes": grace()})


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"purpose": "access"}, "is for access, not for photo-archive"),
        ({"basis": "explicit-consent"}, "rests on explicit-consent, and the collection on consent"),
        ({"given": "2020-01-01", "until": "2020-12-31"}, "ended on 2020-12-31; ask the person again"),
        ({"until": "not a date"}, "records of consent are damaged"),
    ],
)
def test_a_consent_that_does_not_do(
    host: Running, client: Any, name: str, changed: dict[str, str], sentence: str
) -> None:
    agree(host, "grace", **changed)
    with pytest.raises(client.exceptions.AccessDeniedException, match=sentence):
        index(client, grace(), "grace")
    assert client.describe_collection(CollectionId="friends")["FaceCount"] == 0
    agree(host, "grace")
    index(client, grace(), "grace")
