"""What happens when a collection changes between the decision and the search."""

from pathlib import Path
from typing import Any

import pytest

from countenance.ledger import Kind
from countenance.service.desk import Desk
from service.backends import ask, opened, photo
from service.running import data_folder


def test_faces_that_are_enrolled_meanwhile_refuse_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The permit holds for seven faces; when the search begins there are eight."""
    with opened(data_folder(tmp_path / "data")) as backend:
        ask(backend, "CreateCollection", CollectionId="family")
        for _ in range(7):
            ask(backend, "IndexFaces", CollectionId="family", Image={"Bytes": photo("grace")})
        face, *_ = backend.gallery.faces("family")
        real, late = Desk.ask_certified_of, ["eileen"]

        def asked(desk: Desk, *given: Any, **named: Any) -> Any:
            found = real(desk, *given, **named)
            if late:
                ask(backend, "IndexFaces", CollectionId="family", Image={"Bytes": photo(late.pop())})
            return found

        monkeypatch.setattr(Desk, "ask_certified_of", asked)
        answer = ask(backend, "SearchFaces", CollectionId="family", FaceId=face.face_id)
        assert answer["Countenance"]["InForce"]["gallery"] == 8
        (refusal,) = backend.gallery.ledger.records(kinds=[Kind.REFUSAL])
        assert "holds for 7 at most" in (refusal.entry.reason or "")
