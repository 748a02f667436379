"""From outside: kill -9 under load, on both stores. The long version is ``python -m bench kill``."""

from collections.abc import Callable
from pathlib import Path

import pytest

from service.killing import rounds


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_killed_at_random_moments(tmp_path: Path, store: str, request: pytest.FixtureRequest) -> None:
    database = None
    if store == "postgres":
        make: Callable[[], str] = request.getfixturevalue("new_database")
        database = make()
    told = rounds(tmp_path, 3, database)
    assert told.kills == 3
    assert len(told.enrolled) > 5
