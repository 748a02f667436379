"""kill -9 at random moments under load. A few times here; a hundred in ``bench/gallery.py``."""

import pytest

from gallery.conftest import Place
from gallery.killing import rounds, steps


def test_what_was_acknowledged_outlives_a_kill(place: Place) -> None:
    count = {"sqlite": 10, "postgres": 5, "pgvector": 3}[place.kind]
    told = rounds(place.folder, place.database, count, search=place.search)
    assert told.kills == count
    assert len(told.enrolled) > 20
    assert told.erased
    assert told.heads


@pytest.mark.parametrize("place", ["sqlite", "postgres"], indirect=True)
def test_a_death_between_any_two_steps_leaves_one_story(place: Place) -> None:
    steps(place.folder, place.database, place.search)
