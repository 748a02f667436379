"""Two people look before a candidate gets a name: through boto3, the command line and the sheet."""

import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pypdf
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from countenance.cli import main
from countenance.gallery import open_gallery
from countenance.ledger import Entry, Kind
from countenance.service.keyring import ApiKey
from service.running import PIPELINE, TEST_POLICY_FILE, Running, another, astronaut, data_folder, grace, nobody, running

NAME = "visitors"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A real server under the test policy, but for the rule that two people look."""
    folder = tmp_path_factory.mktemp("reviewed")
    text = TEST_POLICY_FILE.read_text()
    policy = folder / "policy.toml"
    policy.write_text(text.replace("[review]\npurposes = []", '[review]\npurposes = ["evaluation"]'))
    assert policy.read_text() != text
    photos = folder / "photos"
    photos.mkdir()
    with running(data_folder(folder / "data", policy=policy)) as found:
        client = found.client()
        client.create_collection(CollectionId=NAME)
        for external, photo in (("anna-0", astronaut()), ("anna-1", another(astronaut())), ("grace-h", grace())):
            client.index_faces(CollectionId=NAME, Image={"Bytes": photo}, ExternalImageId=external)
            image = Image.open(io.BytesIO(photo)).convert("RGB")
            about = Image.Exif()
            about[0x013B] = "Anna the photographer"
            image.save(photos / f"{external}.jpg", exif=about)
        (folder / "probe.jpg").write_bytes(another(astronaut(), 2.0))
        yield found


@pytest.fixture(scope="module")
def people(server: Running) -> tuple[ApiKey, ApiKey, ApiKey]:
    """Who searched, and two others."""
    one, two, three = (server.keyring.issue("operator") for _ in range(3))
    return one, two, three


def searched(server: Running, key: ApiKey, photo: bytes | None = None) -> tuple[dict[str, Any], str]:
    """The answer of a search of three faces, as boto3 gives it, and the id of its review."""
    client = server.client(key=(key.key_id, key.secret))
    photo = photo or another(astronaut(), 2.0)
    found = client.search_faces_by_image(CollectionId=NAME, Image={"Bytes": photo}, FaceMatchThreshold=50)
    said = json.loads(found["ResponseMetadata"]["HTTPHeaders"]["x-countenance"])
    return found, said.get("Review", {}).get("Id", "")


def run(server: Running, key: ApiKey, *words: str, secret: str | None = None) -> Result:
    environment = {"AWS_ACCESS_KEY_ID": key.key_id, "AWS_SECRET_ACCESS_KEY": secret or key.secret}
    return CliRunner().invoke(main, [*words, "--data", str(server.data)], env=environment)


def done(server: Running, key: ApiKey, *words: str) -> str:
    found = run(server, key, *words)
    assert found.exit_code == 0, found.output + found.stderr
    return found.stdout


def reviews_of(server: Running, review: str) -> list[Entry]:
    with open_gallery(server.data) as gallery:
        entries = [record.entry for record in gallery.ledger.records(kinds=[Kind.REVIEW])]
    return [entry for entry in entries if entry.detail.get("review") == review]


def test_an_answer_has_no_identity(server: Running, people: tuple[ApiKey, ...]) -> None:
    found, review = searched(server, people[0])
    assert review
    assert [set(match) for match in found["FaceMatches"]] == [{"Similarity"}, {"Similarity"}]
    assert found["FaceMatches"][0]["Similarity"] > 99.99
    with open_gallery(server.data) as gallery:
        faces = gallery.faces(NAME)
    text = json.dumps(found, default=str)
    for face in faces:
        for secret in (face.face_id, face.external_image_id, face.image_id):
            assert str(secret) not in text
    client = server.client()
    client.create_user(CollectionId=NAME, UserId="u-anna")
    mine = [face.face_id for face in faces if face.external_image_id == "anna-0"]
    client.associate_faces(CollectionId=NAME, UserId="u-anna", FaceIds=mine)
    others = (
        client.search_faces(CollectionId=NAME, FaceId=mine[0], FaceMatchThreshold=50),
        client.search_users(
            CollectionId=NAME, FaceId=next(f.face_id for f in faces if f.external_image_id == "anna-1")
        ),
        client.search_users_by_image(CollectionId=NAME, Image={"Bytes": another(astronaut(), 2.0)}),
    )
    for answer, matches in zip(others, ("FaceMatches", "UserMatches", "UserMatches"), strict=True):
        assert [set(match) for match in answer[matches]] == [{"Similarity"}]
        assert "u-anna" not in json.dumps(answer, default=str)
        assert json.loads(answer["ResponseMetadata"]["HTTPHeaders"]["x-countenance"])["Review"]["State"] == "open"


def test_who_finds_nobody_needs_no_review(server: Running, people: tuple[ApiKey, ...]) -> None:
    with open_gallery(server.data) as gallery:
        before = len(gallery.reviews.all())
    client = server.client(key=(people[0].key_id, people[0].secret))
    client.create_collection(CollectionId="empty")
    found = client.search_faces_by_image(CollectionId="empty", Image={"Bytes": grace()})
    assert found["FaceMatches"] == []
    assert "Review" not in json.loads(found["ResponseMetadata"]["HTTPHeaders"]["x-countenance"])
    with open_gallery(server.data) as gallery:
        assert len(gallery.reviews.all()) == before


def test_two_who_agree_each_alone_and_only_then_a_name(
    server: Running, people: tuple[ApiKey, ...], tmp_path: Path
) -> None:
    opener, first, second = people
    _, review = searched(server, opener)
    early = run(server, opener, "review", "result", review)
    assert (early.exit_code, "2 of 2 people have yet to decide" in early.stderr) == (2, True)

    photos, out = str(server.data.parent / "photos"), tmp_path / "copies"
    probe = str(server.data.parent / "probe.jpg")
    shown = done(server, first, "review", "show", review, "--photos", photos, "--out", str(out), "--probe", probe)
    assert f"{probe} is the photo that was searched with" in shown
    assert "anna" not in shown.replace(probe, "")
    assert sorted(path.name for path in out.iterdir()) == ["candidate-1.jpg", "candidate-2.jpg"]
    for copy in out.iterdir():
        assert b"photographer" not in copy.read_bytes()
        assert not Image.open(copy).getexif()
    wrong = str(server.data.parent / "photos" / "grace-h.jpg")
    assert "NOT the photo" in done(server, first, "review", "show", review, "--probe", wrong)

    assert "a second person decides" in done(server, first, "review", "decide", review, "--candidate", "1")
    twice = run(server, first, "review", "decide", review, "--candidate", "2")
    assert (twice.exit_code, "has decided already" in twice.stderr) == (2, True)
    played = run(server, second, "review", "decide", review, "--candidate", "1", secret=first.secret)
    assert (played.exit_code, "secret is not its own" in played.stderr) == (2, True)

    for words in (("review", "show", review), ("review", "list"), ("review", "show", review, "--json")):
        seen = done(server, second, *words)
        assert first.key_id not in seen
        assert "candidate 1 " not in seen.replace("candidate 1:", "")
    listed = {one["id"]: one for one in json.loads(done(server, second, "review", "list", "--json"))}
    assert (listed[review]["state"], listed[review]["yours"]) == ("half", None)
    half = reviews_of(server, review)[-1]
    assert (half.actor, half.reason, half.reviewers) == (first.key_id, "decided", ())
    assert "1" not in set(half.detail.values())
    still = run(server, opener, "review", "result", review)
    assert (still.exit_code, "1 of 2 people have yet to decide" in still.stderr) == (2, True)

    assert "both have decided" in done(server, second, "review", "decide", review, "--candidate", "1")
    third = run(server, opener, "review", "decide", review, "--candidate", "1")
    assert (third.exit_code, "a decision is not changed afterwards" in third.stderr) == (2, True)
    ended = json.loads(done(server, opener, "review", "result", review, "--json"))
    assert ended["agreed"]
    assert ended["match"]["external_image_id"] in ("anna-0", "anna-1")
    assert [d["reviewer"] for d in ended["decisions"]] == [first.key_id, second.key_id]

    opened, _, last, given = reviews_of(server, review)
    assert (opened.reason, opened.actor, opened.candidates) == ("opened", opener.key_id, 2)
    assert (last.reason, last.reviewers) == ("match", (first.key_id, second.key_id))
    assert {opened.refers, last.refers, given.refers} == {opened.refers}
    assert (given.reason, given.actor) == ("identity given", opener.key_id)


def test_the_sheet_names_only_whom_both_named(server: Running, people: tuple[ApiKey, ...], tmp_path: Path) -> None:
    opener, first, second = people
    _, review = searched(server, opener)
    early = run(server, opener, "review", "result", review, "--sheet", str(tmp_path))
    assert early.exit_code == 2
    assert not list(tmp_path.iterdir())
    for key in (first, second):
        done(server, key, "review", "decide", review, "--candidate", "2")
    done(server, opener, "review", "result", review, "--sheet", str(tmp_path))
    match = json.loads(done(server, opener, "review", "result", review, "--json"))["match"]
    other = {"anna-0": "anna-1", "anna-1": "anna-0"}[match["external_image_id"]]
    page = (tmp_path / "candidate-sheet.html").read_text()
    paper = "".join(p.extract_text() for p in pypdf.PdfReader(tmp_path / "candidate-sheet.pdf").pages)
    for text in (page, paper):
        assert "Candidate 2, named by two people; not an identification" in text
        assert text.count(match["external_image_id"]) == 1
        assert other not in text
        assert first.key_id in text
        assert second.key_id in text


@pytest.mark.parametrize(("one", "two", "told"), [("1", "2", "disagreed"), ("1", "nobody", "disagreed"),
                                                  ("nobody", "none", "nobody")])  # fmt: skip
def test_whoever_disagrees_and_who_find_nobody_end_in_no_match(
    server: Running, people: tuple[ApiKey, ...], one: str, two: str, told: str
) -> None:
    opener, first, second = people
    _, review = searched(server, opener)
    done(server, first, "review", "decide", review, "--candidate", one)
    done(server, second, "review", "decide", review, "--candidate", two)
    text = done(server, opener, "review", "result", review)
    assert "no match" in text
    assert "anna" not in text
    assert told in str(reviews_of(server, review)[-1].reason)
    ended = json.loads(done(server, first, "review", "result", review, "--json"))
    assert (ended["match"], ended["agreed"]) == (None, told == "nobody")


def test_decisions_that_do_not_fit_and_roles_that_may_not(server: Running, people: tuple[ApiKey, ...]) -> None:
    _, review = searched(server, people[0])
    for candidate, told in (("3", "no candidate 3 is there"), ("0", "no candidate 0"), ("x", "neither a number nor")):
        found = run(server, people[1], "review", "decide", review, "--candidate", candidate)
        assert (found.exit_code, told in found.stderr) == (2, True)
    reader = server.keyring.issue("reader")
    for words in (("list",), ("show", review), ("decide", review, "--candidate", "1"), ("result", review)):
        found = run(server, reader, "review", *words)
        assert (found.exit_code, "may not review" in found.stderr) == (2, True), found.output
    assert len(reviews_of(server, review)) == 1
    found = run(server, people[1], "review", "show", "nothing")
    assert (found.exit_code, "there is none of that id" in found.stderr) == (2, True)
    client = server.client(key=(reader.key_id, reader.secret))  # who searched may read the result without the role
    answer = client.search_faces_by_image(CollectionId=NAME, Image={"Bytes": astronaut()})
    mine = json.loads(answer["ResponseMetadata"]["HTTPHeaders"]["x-countenance"])["Review"]["Id"]
    for key in people[1:]:
        done(server, key, "review", "decide", mine, "--candidate", "1")
    assert "match: " in done(server, reader, "review", "result", mine)


def test_a_face_erased_meanwhile_is_no_match(server: Running, people: tuple[ApiKey, ...]) -> None:
    client = server.client()
    client.create_collection(CollectionId="brief")
    client.index_faces(CollectionId="brief", Image={"Bytes": grace()}, ExternalImageId="grace-x")
    found = client.search_faces_by_image(CollectionId="brief", Image={"Bytes": another(grace())})
    review = json.loads(found["ResponseMetadata"]["HTTPHeaders"]["x-countenance"])["Review"]["Id"]
    (face,) = client.list_faces(CollectionId="brief")["Faces"]
    client.delete_faces(CollectionId="brief", FaceIds=[face["FaceId"]])
    assert "erased since" in done(server, people[1], "review", "show", review)
    for key in people[1:]:
        done(server, key, "review", "decide", review, "--candidate", "1")
    assert "whose face was erased since" in done(server, people[1], "review", "result", review)


def test_the_command_line_searches_by_the_same_rules(
    server: Running, people: tuple[ApiKey, ...], tmp_path: Path
) -> None:
    """Under review here, and with identities where the policy asks for none."""
    words = ("search", str(server.data.parent / "probe.jpg"), "--collection", NAME, "--pipeline", PIPELINE)
    text = done(server, people[0], *words, "--sheet", str(tmp_path / "blind"))
    assert "2 candidates, without identity until two people have looked" in text
    assert "anna" not in text
    assert "anna" not in (tmp_path / "blind" / "candidate-sheet.html").read_text()
    review = re.search(r"Review ([0-9a-f-]{36}):", text)
    assert review is not None
    done(server, people[1], "review", "decide", review[1], "--candidate", "1")
    done(server, people[2], "review", "decide", review[1], "--candidate", "1")
    assert "anna-" in done(server, people[0], "review", "result", review[1], "--sheet", str(tmp_path / "named"))
    assert "sharpness" in (tmp_path / "named" / "candidate-sheet.html").read_text()

    with open_gallery(server.data) as gallery:
        head = json.loads(done(server, people[0], *words, "--json"))
        (entry,) = (r.entry for r in gallery.ledger.records(head["basis"]["entry"], head["basis"]["entry"] + 1))
    assert (entry.kind, entry.actor, entry.operation) == (Kind.SEARCH, people[0].key_id, "countenance search")
    assert entry.threshold == head["basis"]["in_force"]["threshold"]
    reader = server.keyring.issue("auditor")
    found = run(server, reader, *words)
    assert (found.exit_code, "may not search" in found.stderr) == (2, True)


def test_without_the_rule_a_search_names_its_candidates(tmp_path: Path) -> None:
    with running(data_folder(tmp_path / "data")) as server:
        client = server.client()
        client.create_collection(CollectionId=NAME)
        client.index_faces(CollectionId=NAME, Image={"Bytes": astronaut()}, ExternalImageId="anna-0")
        for name, photo in (("probe", another(astronaut(), 2.0)), ("stranger", grace()), ("wall", nobody())):
            (tmp_path / f"{name}.jpg").write_bytes(photo)
        key, sheet = server.key(), tmp_path / "sheet"
        words = ("--collection", NAME, "--pipeline", PIPELINE)
        text = done(server, key, "search", str(tmp_path / "probe.jpg"), *words, "--sheet", str(sheet))
        assert "One candidate, not an identification" in text
        assert "anna-0" in text
        assert "self-issued" in text
        assert re.search(r"a stranger as similar: (none seen|1 in [\d,]+); at most 1 in [\d,]+ searches \(gender", text)
        paper = "".join(p.extract_text() for p in pypdf.PdfReader(sheet / "candidate-sheet.pdf").pages)
        assert "anna-0" in paper
        assert "data:image/jpeg" in (sheet / "candidate-sheet.html").read_text()
        text = done(server, key, "search", str(tmp_path / "stranger.jpg"), *words)
        assert "No candidate" in text
        assert "does not prove that the person is not in it" in text
        found = run(server, key, "search", str(tmp_path / "wall.jpg"), *words)
        assert (found.exit_code, "no face found" in found.stderr) == (2, True)
        server.stop()
        shutil.move(server.data / "certificate.json", tmp_path)
        found = run(server, key, "search", str(tmp_path / "probe.jpg"), *words)
        assert (found.exit_code, "no audit, no search" in found.stderr) == (2, True)
