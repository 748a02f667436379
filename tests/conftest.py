"""Shared fixtures: where the labelled photos and models are, when they are at hand."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from databases import started

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of labelled photos and models beside the checkout, or a skip that says so."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"the labelled photos are not part of this repository and not at {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def server() -> Iterator[Any]:
    """A real PostgreSQL with pgvector."""
    with started() as found:
        yield found


@pytest.fixture(scope="session")
def new_database(server: Any) -> Callable[[], str]:
    """Makes the URL of a database that is empty: a schema of its own."""
    numbers = itertools.count(1)

    def make() -> str:
        schema = f"served_{next(numbers)}"
        server.psql(f"CREATE SCHEMA {schema};")
        return f"{server.get_uri()}&options=-csearch_path%3D{schema}"

    return make


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A real server in a process of its own, under the test policy, with a certificate, on SQLite."""
    from service.running import data_folder, running

    with running(data_folder(tmp_path_factory.mktemp("served") / "data")) as found:
        yield found


@pytest.fixture(scope="session")
def served_on_postgres(tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]) -> Iterator[Any]:
    """The same on PostgreSQL."""
    from service.running import data_folder, running

    with running(data_folder(tmp_path_factory.mktemp("served") / "data"), database=new_database()) as found:
        yield found


@pytest.fixture(scope="session")
def served_strictly(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The same under the shipped policy, without a certificate: as it is when somebody has just started."""
    from service.running import data_folder, running

    folder = data_folder(tmp_path_factory.mktemp("strict") / "data", policy=None, certified=False)
    with running(folder) as found:
        yield found
