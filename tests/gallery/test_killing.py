"""kill -9 at random moments under load. Ten times here; a hundred in ``bench/gallery.py``."""

from gallery.conftest import Place
from gallery.killing import rounds


def test_what_was_acknowledged_outlives_a_kill(place: Place) -> None:
    told = rounds(place.folder, place.database, count=10)
    assert told.kills == 10
    assert len(told.enrolled) > 50
    assert len(told.erased) > 5
    assert told.heads
