"""kill -9 at random moments under load. A few times here; a hundred in ``bench/gallery.py``."""

from gallery.conftest import Place
from gallery.killing import rounds


def test_what_was_acknowledged_outlives_a_kill(place: Place) -> None:
    count = {"sqlite": 10, "postgres": 5, "pgvector": 3}[place.kind]
    told = rounds(place.folder, place.database, count, search=place.search)
    assert told.kills == count
    assert len(told.enrolled) > 20
    assert told.erased
    assert told.heads
