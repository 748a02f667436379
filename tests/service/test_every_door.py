"""No way reaches a comparison without a decision: the 21 operations, the command line, and the Python API."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import countenance
from countenance import policy
from countenance.cli import main
from countenance.errors import PermitError
from countenance.faces import Pipeline
from countenance.gallery import FaceProbe, UserProbe, index, people
from countenance.gallery.index import VectorIndex
from countenance.policy import Decision, Facts
from countenance.service.backend import Backend
from countenance.service.failures import Refused
from countenance.service.keyring import KeyRing
from countenance.service.operations import OPERATIONS
from service.backends import ask, certified, opened, photo

SOURCE = Path(countenance.__file__).parent
COMPARING = {"SearchFaces", "SearchFacesByImage", "SearchUsers", "SearchUsersByImage", "CompareFaces", "AssociateFaces"}
LEAVE = {"search", "compare", "forget"}


class Watch:
    """What was decided and what was compared, in order; with ``refuse``, every decision is no."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, bool]] = []
        self.refuse = False

    def compared(self) -> list[str]:
        return [what for kind, what, _ in self.events if kind == "compared"]

    def without_leave(self) -> list[str]:
        """Comparisons before which nothing that allows one was decided."""
        found, allowed = [], False
        for kind, what, good in self.events:
            allowed = allowed or (kind == "decided" and what in LEAVE and good)
            if kind == "compared" and not allowed:
                found.append(what)
        return found


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Everywhere in the package, the function that decides and all that compute a score."""
    found, real = Watch(), policy.decide

    def decide(facts: Facts) -> Decision:
        made = Decision(False, "refused by this test", "test") if found.refuse else real(facts)
        found.events.append(("decided", facts.action, made.allowed))
        return made

    places = [m for name, m in sys.modules.items() if name.startswith("countenance") and vars(m).get("decide") is real]
    for module in places:
        monkeypatch.setattr(module, "decide", decide)
    assert {module.__name__ for module in places} >= {"countenance.policy", "countenance.service.desk"}
    for owner, name in (
        (VectorIndex, "search"),
        (Pipeline, "score"),
        (people, "best_scores"),
        (index, "best_scores"),
    ):
        monkeypatch.setattr(owner, name, _noted(found, name, getattr(owner, name)))
    return found


def _noted(watch: Watch, name: str, real: Any) -> Any:
    def wrapped(*given: Any, **named: Any) -> Any:
        watch.events.append(("compared", name, True))
        return real(*given, **named)

    return wrapped


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Backend]:
    """A collection with two people, one of them a user; certified."""
    with opened(tmp_path / "data") as found:
        certified(tmp_path / "data", threshold=-2.0)
        ask(found, "CreateCollection", CollectionId="family")
        for name in ("grace", "eileen"):
            ask(found, "IndexFaces", CollectionId="family", Image={"Bytes": photo(name)}, ExternalImageId=name)
        ask(found, "CreateUser", CollectionId="family", UserId="anna")
        ask(found, "AssociateFaces", CollectionId="family", UserId="anna", FaceIds=[faces(found)[0]])
        yield found


def faces(backend: Backend) -> list[str]:
    return [face.face_id for face in backend.gallery.faces("family")]


def sound(operation: str, backend: Backend) -> dict[str, Any]:
    """A request that succeeds where it is allowed."""
    first, second = faces(backend)
    one, of = {"Bytes": photo("grace")}, {"CollectionId": "family"}
    arn = "arn:aws:rekognition:us-east-1:000000000000:collection/family"
    given: dict[str, dict[str, Any]] = {
        "DetectFaces": {"Image": one},
        "CompareFaces": {"SourceImage": one, "TargetImage": {"Bytes": photo("both")}},
        "CreateCollection": {"CollectionId": "new"},
        "ListCollections": {},
        "IndexFaces": of | {"Image": one},
        "DeleteFaces": of | {"FaceIds": [second]},
        "SearchFaces": of | {"FaceId": first},
        "SearchFacesByImage": of | {"Image": one},
        "SearchUsersByImage": of | {"Image": one},
        "CreateUser": of | {"UserId": "bea"},
        "DeleteUser": of | {"UserId": "anna"},
        "AssociateFaces": of | {"UserId": "anna", "FaceIds": [second], "UserMatchThreshold": 75.0},
        "DisassociateFaces": of | {"UserId": "anna", "FaceIds": [first]},
        "SearchUsers": of | {"FaceId": second},
        "TagResource": {"ResourceArn": arn, "Tags": {"a": "b"}},
        "UntagResource": {"ResourceArn": arn, "TagKeys": ["a"]},
        "ListTagsForResource": {"ResourceArn": arn},
    }
    return given.get(operation, of)


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_every_operation_asks_before_it_does_anything(backend: Backend, watch: Watch, operation: str) -> None:
    ask(backend, operation, **sound(operation, backend))
    assert watch.events[0][0] == "decided"
    assert watch.without_leave() == []
    assert bool(watch.compared()) == (operation in COMPARING), "the watch sees what it should"


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_where_nothing_is_allowed_nothing_is_done(backend: Backend, watch: Watch, operation: str) -> None:
    params, before = sound(operation, backend), _state(backend)
    watch.refuse = True
    with pytest.raises(Refused, match="refused by this test"):
        ask(backend, operation, **params)
    assert watch.compared() == []
    assert _state(backend) == before


def _state(backend: Backend) -> Any:
    gallery = backend.gallery
    found = gallery.collections()
    return found, gallery.faces("family"), gallery.users("family"), gallery.tags("family")


def test_the_python_api_passes_the_same_door(backend: Backend, watch: Watch) -> None:
    gallery = backend.gallery
    vector = np.zeros(128, np.float32)
    first, second = faces(backend)
    decision = policy.decide(_facts(backend))
    assert decision.permit is not None
    gallery.search("family", FaceProbe(first), decision.permit)
    assert watch.compared()
    watch.events.clear()

    class Forged:
        def __init__(self, real: Any) -> None:
            for name in ("decision", "occasion", "collection", "pipeline", "expires"):
                setattr(self, name, getattr(real, name))
            self.threshold, self.threshold_asked, self.largest_gallery, self.max_candidates = -9.0, None, 10**9, 80

    for probe in (vector, FaceProbe(first), UserProbe("anna")):
        for permit in (None, True, object(), decision, decision.permit, Forged(decision.permit)):
            with pytest.raises(PermitError):
                gallery.search("family", probe, permit)  # type: ignore[arg-type]
    with pytest.raises(PermitError):
        gallery.assign("family", "anna", [second], decision.permit.occasion, permit=decision.permit)
    assert watch.compared() == []


def _facts(backend: Backend, **more: Any) -> Facts:
    from datetime import UTC, datetime

    desk = backend.desk
    return Facts(
        action="search",
        operation="test",
        request="r",
        now=datetime.now(UTC),
        policy=desk.policy,
        actor="key",
        role="operator",
        pipeline=desk.pipeline,
        collection="family",
        terms=desk.terms({}),
        certificate=desk.certificates.read()[0],
        operator=backend.gallery.ledger.key,
        gallery=2,
        **more,
    )


@pytest.mark.parametrize("command", ["search", "forget"])
def test_the_command_line_passes_the_same_door(tmp_path: Path, watch: Watch, command: str) -> None:
    data, image = tmp_path / "data", tmp_path / "photo.jpg"
    image.write_bytes(photo("grace"))
    with opened(data) as backend:
        certified(data, threshold=-2.0)
        ask(backend, "CreateCollection", CollectionId="family")
        ask(backend, "IndexFaces", CollectionId="family", Image={"Bytes": photo("grace")}, ExternalImageId="grace")
    (data / "policy.toml").write_bytes((SOURCE / "policy" / "data" / "test.toml").read_bytes())
    key = KeyRing(data).issue("operator")
    words = [command, str(image), "--collection", "family", "--data", str(data), "--pipeline", "dlib-resnet-v1"]
    signed_in = {"AWS_ACCESS_KEY_ID": key.key_id, "AWS_SECRET_ACCESS_KEY": key.secret}
    allowed = CliRunner().invoke(main, words, env=signed_in)
    assert allowed.exit_code == 0, allowed.output
    assert watch.compared()
    assert watch.without_leave() == []
    watch.events.clear()
    watch.refuse = True
    refused = CliRunner().invoke(main, words, env=signed_in)
    assert refused.exit_code != 0 or command == "forget"  # which says of each collection why it was not searched
    assert "refused by this test" in refused.output
    assert watch.compared() == []


def test_only_what_is_known_to_ask_first_compares() -> None:
    """Read off the source: whoever is new here adds a test that it asks first.

    ``audit`` and ``trials`` measure and tell nobody apart; ``countenance compare`` prints a score and no verdict.
    """
    searching, comparing, assigning, computing = set(), set(), set(), set()
    for path in SOURCE.rglob("*.py"):
        name = path.relative_to(SOURCE).as_posix()
        if name.startswith(("audit/", "trials/", "gallery/", "faces/", "report/")):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(value=on, attr="search")) if "gallery" in ast.unparse(on).lower():
                    searching.add(name)
                case ast.Call(func=ast.Attribute(attr="score" | "compare")):
                    comparing.add(name)
                case ast.Call(func=ast.Attribute(attr="assign")):
                    assigning.add(name)
                case ast.ImportFrom(module="countenance.gallery.index" | "countenance.gallery.people"):
                    computing.add(name)
                case ast.ImportFrom(module=str(module)) if module.startswith("countenance.audit.compare"):
                    computing.add(name)
                case _:
                    pass
    assert searching == {"service/operations/search.py", "service/sheets.py", "service/people.py"}
    assert comparing == {"service/operations/photos.py", "cli/photos.py"}
    assert assigning == {"service/operations/users.py"}
    assert computing == set()
