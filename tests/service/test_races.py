"""What happens when a collection changes between the decision and the search."""

from pathlib import Path
from typing import Any

import pytest

from countenance.ledger import Kind
from countenance.service.caller import Call
from countenance.service.desk import Desk
from service.backends import ask, opened, photo
from service.running import data_folder


def test_faces_that_are_enrolled_meanwhile_refuse_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The permit holds for seven faces; when the search begins there are eight."""
    with opened(data_folder(tmp_path / "data")) as backend:
        ask(backend, "CreateCollection", CollectionId="family")
        for _ in range(7):
            ask(backend, "IndexFaces", CollectionId="family", Image={"Bytes": photo("grace")})
        first, second, *_ = (face.face_id for face in backend.gallery.faces("family"))
        ask(backend, "CreateUser", CollectionId="family", UserId="anna")
        ask(backend, "AssociateFaces", CollectionId="family", UserId="anna", FaceIds=[first])
        late = _enrolled_after_a_decision(backend, monkeypatch)
        late.append("eileen")
        answer = ask(backend, "SearchFaces", CollectionId="family", FaceId=first)
        assert answer["Countenance"]["InForce"]["gallery"] == 8
        late.extend(["eileen"] * 3)
        of = {"CollectionId": "family", "UserId": "anna", "FaceIds": [second]}
        answer = ask(backend, "AssociateFaces", **of, UserMatchThreshold=90.0)
        assert answer["AssociatedFaces"] == [{"FaceId": second}]
        assert answer["Countenance"]["InForce"]["gallery"] == 11
        first_try, *_ = backend.gallery.ledger.records(kinds=[Kind.REFUSAL])
        assert "holds for 7 at most" in (first_try.entry.reason or "")


def _enrolled_after_a_decision(backend: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list: after a decision about a search, faces of the photos in it are enrolled."""
    late: list[str] = []

    def followed(real: Any) -> Any:
        def asked(desk: Desk, call: Call, action: str, *given: Any, **named: Any) -> Any:
            found = real(desk, call, action, *given, **named)
            while late and action == "search":
                ask(backend, "IndexFaces", CollectionId="family", Image={"Bytes": photo(late.pop())})
            return found

        return asked

    for name in ("ask_certified_of", "ask_of"):
        monkeypatch.setattr(Desk, name, followed(getattr(Desk, name)))
    return late
