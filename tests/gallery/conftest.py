"""Each test that asks for a ``place`` or a ``gallery`` runs on every store."""

import itertools
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from countenance.gallery import Gallery, open_gallery
from databases import stop_at_once

_numbers = itertools.count(1)


class Place:
    """Where a gallery lives: its ``folder``, its ``database`` if any, and the folder of all stored ``data``.

    ``open`` may be called again, also while it is open.
    """

    def __init__(self, kind: str, folder: Path, database: str | None, data: Path) -> None:
        self.kind, self.folder, self.database, self.data = kind, folder, database, data
        self.search = "database" if kind == "pgvector" else "memory"
        self.server: Any = None
        self._opened: list[Gallery] = []

    def open(self) -> Gallery:
        gallery = open_gallery(self.folder, self.database, search=self.search)
        self._opened.append(gallery)
        return gallery

    def crash(self) -> None:
        """Stop the database without letting it finish anything, and start it again."""
        stop_at_once(self.server)
        for attempt in range(30):
            try:
                self.server.ensure_postgres_running()
            except (subprocess.SubprocessError, AssertionError):  # still recovering
                if attempt == 29:
                    raise
                time.sleep(1)
            else:
                return

    def flush(self, table: str | None = None) -> None:
        """Write to the files what the database holds in its own memory; of an unlogged table only if it is named."""
        if self.database is not None:
            import psycopg

            with psycopg.connect(self.database, autocommit=True) as connection:
                if table is not None:
                    connection.execute(f"VACUUM (FULL) {table}")
                connection.execute("CHECKPOINT")

    def close(self) -> None:
        for gallery in self._opened:
            gallery.close()
        self._opened.clear()


@pytest.fixture(params=["sqlite", "postgres", "pgvector"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    folder = tmp_path / "gallery"
    if request.param == "sqlite":
        found = Place("sqlite", folder, None, folder)
    else:
        server = request.getfixturevalue("server")
        schema = f"test_{next(_numbers)}"
        server.psql(f"CREATE SCHEMA {schema};")
        database = f"{server.get_uri()}&options=-csearch_path%3D{schema}"
        found = Place(request.param, folder, database, Path(server.pgdata))
        found.server = server
    yield found
    found.close()
    if found.kind != "sqlite":
        server.psql(f"SET client_min_messages = warning; DROP SCHEMA {schema} CASCADE;")


@pytest.fixture
def gallery(place: Place) -> Gallery:
    return place.open()
