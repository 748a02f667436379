"""The server under load from another process: searches of 100,000 faces, photos, ten times what it can do, strangers.

The certificate is synthetic and says so, since nobody has measured enough people for such a gallery.
"""

import asyncio
import base64
import json
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from countenance.faces import default_pipeline, runtime
from countenance.gallery import Box, Consent, FaceProbe, NewFace, Occasion, open_gallery
from countenance.policy import synthetic_certificate
from countenance.service.caller import Call, Caller
from countenance.service.operations import OPERATIONS
from gallery.helpers import permit
from service.backends import engine, opened
from service.fuzzing import Request, in_process, resident
from service.running import PIPELINE, TARGET, Running, astronaut, data_folder, grace, operator, running, sign

NAME = "family"
_LFW = "lfw/photos/*/*_0001.jpg"
SHARED = Path(__file__).resolve().parents[2] / "shared"


def run(full: bool) -> dict[str, object]:
    """All of it. Latencies are of one client that waits for each answer; throughput is of eight."""
    faces, seconds = (100_000, 60.0) if full else (5_000, 4.0)
    figures: dict[str, object] = {"service_faces": faces, "service_cores": runtime.cores()}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        ids = filled(data, faces)
        figures |= gate(data, ids, 400 if full else 60)
        with running(data) as server:
            figures |= searches(server, ids, seconds)
        with running(data) as server:
            figures |= photos(server, min(seconds, 30.0))
            figures |= overload(server, ids, min(seconds, 30.0))
    with tempfile.TemporaryDirectory() as folder:
        figures |= outside_networks(Path(folder), 200 if full else 20)
    return figures


def filled(data: Path, count: int) -> list[str]:
    """A data folder with a collection of random unit vectors, four alike each, so that a search finds three; some of
    their face ids.
    """
    data_folder(data, certified=False)
    pipeline = default_pipeline(PIPELINE)
    made_up = synthetic_certificate(operator(), pipeline.digest, gallery=10 * count, threshold=-0.6)
    (data / "certificate.json").write_text(made_up.to_json())
    now, ids = datetime.now(UTC), []
    consent = Consent(
        subject="nobody",
        purpose="evaluation",
        basis="consent",
        notice="made up",
        given=now,
        until=now + timedelta(days=20),
        withdraw="none",
    )
    random = np.random.default_rng(0)
    vectors = np.repeat(random.normal(size=(count // 4, pipeline.dim)), 4, axis=0).astype(np.float32)
    vectors += 0.1 * random.normal(size=vectors.shape).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    occasion = Occasion(actor="bench", operation="bench", purpose="evaluation")
    with open_gallery(data) as gallery:
        about = {"pipeline": pipeline.digest, "metric": pipeline.metric, "dimension": pipeline.dim}
        gallery.create_collection(NAME, occasion, **about)
        for first in range(0, count, 1000):
            faces = [
                NewFace(
                    vector=row,
                    consent=consent,
                    image_id=str(uuid.UUID(int=number)),
                    box=Box(0, 0, 1, 1),
                    confidence=99.0,
                )
                for number, row in enumerate(vectors[first : first + 1000], first)
            ]
            ids += [one.face_id for one in gallery.enrol(NAME, faces, occasion, pipeline=pipeline.digest)][:100]
    return ids


# -- what the gate adds ----------------------------------------------------------------------------------------------


def gate(data: Path, ids: list[str], count: int) -> dict[str, object]:
    """In one process, by turns: the comparison alone, the gallery's search with a permit (comparison and ledger entry),
    and SearchFaces as the server runs it (desk, decision, permit, comparison, ledger entry, answer).

    ``gate_p50_share``: what desk, decision and the answer's extra members add to the p50 of the same search with a
    permit at hand; both write the ledger. ``gate_and_ledger_p50_share``: all but the comparison, over the comparison.
    """
    with opened(data) as backend:
        gallery, caller = backend.gallery, Caller("bench", "operator")
        digest = backend.engine.pipeline.digest
        _, index = gallery._live.level(NAME)

        def bare(face: str) -> None:
            with index.lock.reading():
                index.search(index.vectors([face]), -0.6, 80, without_faces=[face])

        def permitted(face: str) -> None:
            gallery.search(NAME, FaceProbe(face), permit(NAME, -0.6, pipeline=digest))

        def operation(face: str) -> None:
            OPERATIONS["SearchFaces"](backend, Call("SearchFaces", caller), {"CollectionId": NAME, "FaceId": face})

        ways: dict[str, Callable[[str], None]] = {"bare": bare, "permitted": permitted, "operation": operation}
        times: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(count + 10):
            for name, way in ways.items():
                started = time.perf_counter()
                way(ids[number % len(ids)])
                times[name].append(time.perf_counter() - started)
    compare, search, whole = (1e3 * statistics.median(times[name][10:]) for name in ways)
    return {
        "gate_compare_p50_ms": round(compare, 2),
        "gate_search_with_permit_p50_ms": round(search, 2),
        "gate_operation_p50_ms": round(whole, 2),
        "gate_p50_share": round((whole - search) / search, 4),
        "gate_and_ledger_p50_share": round((whole - compare) / compare, 4),
    }


# -- load ------------------------------------------------------------------------------------------------------------


@dataclass
class Loaded:
    """What clients saw: seconds for each answer that was no throttling, and how often each code came."""

    seconds: list[float] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)

    def milliseconds(self, share: float) -> float:
        return round(1e3 * sorted(self.seconds)[min(len(self.seconds) - 1, int(share * len(self.seconds)))], 2)


Make = Callable[[], tuple[str, bytes] | None]
"""Operation and body of the next request; None for one with the id of a key that exists, and a wrong signature."""


def load(server: Running, make: Make, clients: int, seconds: float) -> Loaded:
    """So many clients, each with a connection of its own, ask again as soon as they are answered."""
    found = Loaded()
    asyncio.run(_load(server, make, clients, seconds, found))
    return found


async def _load(server: Running, make: Make, clients: int, seconds: float, found: Loaded) -> None:
    stop = time.monotonic() + seconds
    await asyncio.gather(*(_client(server, make, stop, found) for _ in range(clients)))


async def _client(server: Running, make: Make, stop: float, found: Loaded) -> None:
    own, host = server.key(), f"127.0.0.1:{server.port}"
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    while time.monotonic() < stop:
        wanted = make()
        operation, body = wanted or ("SearchFaces", b"{}")
        headers = sign((own.key_id, own.secret), host, TARGET + operation, body)
        if wanted is None:
            headers["Authorization"] = headers["Authorization"][:-8] + "00000000"
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        started = time.perf_counter()
        try:
            if streams is None:
                streams = await asyncio.open_connection("127.0.0.1", server.port)
            streams[1].write(f"POST / HTTP/1.1\r\n{lines}content-length: {len(body)}\r\n\r\n".encode() + body)
            status, answer, closed = await _answer(streams[0])
        except (OSError, asyncio.IncompleteReadError, ValueError):
            found.codes[("unsigned " if wanted is None else "") + "connection lost"] += 1
            streams = None
            continue
        code = "ok" if status == 200 else json.loads(answer)["__type"]
        found.codes[("unsigned " if wanted is None else "") + code] += 1
        if code != "ThrottlingException" and wanted is not None:
            found.seconds.append(time.perf_counter() - started)
        else:
            await asyncio.sleep(0.05)  # as a client does, though a more patient one
        if closed:
            streams[1].close()
            streams = None
    if streams is not None:
        streams[1].close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    size = int(head.split("content-length: ")[1].split("\r\n")[0])
    return int(head.split(" ", 2)[1]), await reader.readexactly(size), "connection: close" in head


def searches(server: Running, ids: list[str], seconds: float) -> dict[str, object]:
    """SearchFaces: one client, then eight, for so many seconds together."""
    turn = iter(range(10**9))

    def make() -> tuple[str, bytes]:
        return "SearchFaces", json.dumps({"CollectionId": NAME, "FaceId": ids[next(turn) % len(ids)]}).encode()

    load(server, make, 1, 1.0)
    alone, many = load(server, make, 1, seconds / 2), load(server, make, 8, seconds / 2)
    return {
        "service_search_p50_ms": alone.milliseconds(0.5),
        "service_search_p99_ms": alone.milliseconds(0.99),
        "service_search_8_clients_p50_ms": many.milliseconds(0.5),
        "service_search_8_clients_p99_ms": many.milliseconds(0.99),
        "service_search_per_second": round(len(many.seconds) / (seconds / 2), 1),
        "service_search_errors": (alone.codes + many.codes).total() - (alone.codes + many.codes)["ok"],
    }


def some_photos(pattern: str = _LFW, step: int = 115) -> list[bytes]:
    """Every so many of the labelled photos, 50 at most, where they are at hand; else two public-domain portraits."""
    paths = sorted((SHARED / "data").glob(pattern))[::step][:50]
    return [path.read_bytes() for path in paths] or [grace(), astronaut()]


def _asked(photo: bytes) -> bytes:
    return json.dumps({"CollectionId": NAME, "Image": {"Bytes": base64.b64encode(photo).decode()}}).encode()


def photos(server: Running, seconds: float) -> dict[str, object]:
    """IndexFaces and SearchFacesByImage, four clients."""
    found, figures = some_photos(), {}
    for operation, name in (("IndexFaces", "index"), ("SearchFacesByImage", "search_by_image")):
        bodies, turn = [_asked(photo) for photo in found], iter(range(10**9))

        def make(
            operation: str = operation, bodies: list[bytes] = bodies, turn: Iterator[int] = turn
        ) -> tuple[str, bytes]:
            return operation, bodies[next(turn) % len(bodies)]

        loaded = load(server, make, 4, seconds / 2)
        figures[f"service_{name}_per_second"] = round(loaded.codes["ok"] / (seconds / 2), 1)
        figures[f"service_{name}_4_clients_p50_ms"] = loaded.milliseconds(0.5)
    return figures


def overload(server: Running, ids: list[str], seconds: float) -> dict[str, object]:
    """Ten times as many clients as find room in the two lanes, and strangers among them; no client waits politely."""
    photo, turn = _asked(some_photos()[0]), iter(range(10**9))

    def make() -> tuple[str, bytes] | None:
        number = next(turn)
        if number % 5 == 4:
            return None
        if number % 5 in (1, 3):
            return "SearchFacesByImage", photo
        return "SearchFaces", json.dumps({"CollectionId": NAME, "FaceId": ids[number % len(ids)]}).encode()

    rooms = (2 * runtime.cores() + 8) + (8 + 64)
    before = resident(server.process.pid)
    loaded = load(server, make, 10 * rooms, seconds)
    strangers = {code: n for code, n in loaded.codes.items() if code.startswith("unsigned")}
    return {
        "service_overload_clients": 10 * rooms,
        "service_overload_answered_per_second": round(loaded.codes["ok"] / seconds, 1),
        "service_overload_throttled": loaded.codes["ThrottlingException"],
        "service_overload_errors_other": sum(
            n for code, n in loaded.codes.items() if code not in {"ok", "ThrottlingException"} | set(strangers)
        ),
        "service_strangers": sum(strangers.values()),
        "service_strangers_let_in": sum(n for code, n in strangers.items() if code != "unsigned AccessDeniedException"),
        "service_overload_mib": [round(before), round(resident(server.process.pid))],
        "service_overload_alive": server.page("/health")[0] == 200,
        "service_overload_codes": dict(loaded.codes),
    }


# -- outside of the networks -----------------------------------------------------------------------------------------


def outside_networks(folder: Path, count: int) -> dict[str, object]:
    """Share of processor time that is not the two networks': the application in this process, one request at a time.

    All but the socket: checking signature and request, decoding the photo, aligning, gate, gallery, ledger, answer.
    It depends on the photos: portraits of 480 pixels (London), and LFW's of 250, for which the networks have least
    to do.
    """
    sets = {"": some_photos("london/*.jpg", 2), "_250px": some_photos(_LFW, 115)}
    figures: dict[str, object] = {}
    engine().warm()  # as the server does when it starts
    with in_process(folder) as send, _timed() as spent:
        for suffix, found in sets.items():
            for operation, name in (("IndexFaces", "index"), ("SearchFacesByImage", "search_by_image")):
                bodies = [_asked(photo) for photo in found]
                for body in bodies[:3]:
                    send(_Signed(operation, body))
                spent.clear()
                _Signed.seconds.clear()
                processor = time.process_time()
                for number in range(count):
                    status, answer = send(_Signed(operation, bodies[number % len(bodies)]))
                    if status != 200:
                        raise AssertionError(answer)
                whole = time.process_time() - processor - sum(_Signed.seconds)
                figures[f"service_{name}_outside_networks_share{suffix}"] = round(1 - sum(spent) / whole, 4)
                figures[f"service_{name}_outside_networks_ms{suffix}"] = round(1e3 * (whole - sum(spent)) / count, 2)
    return figures


class _Signed(Request):
    """A request that keeps the time of its signing apart: that is the client's work."""

    seconds: ClassVar[list[float]] = []

    def headers(self, key: tuple[str, str], host: str) -> dict[str, str]:
        started = time.thread_time()
        try:
            return super().headers(key, host)
        finally:
            self.seconds.append(time.thread_time() - started)


@contextmanager
def _timed() -> Iterator[list[float]]:
    """Processor seconds of each run of a network."""
    spent: list[float] = []
    original, guard = runtime.Network._run, threading.Lock()

    def timed(self: runtime.Network, batch: np.ndarray) -> Any:
        started = time.thread_time()
        found = original(self, batch)
        with guard:
            spent.append(time.thread_time() - started)
        return found

    runtime.Network._run = timed  # type: ignore[method-assign]
    try:
        yield spent
    finally:
        runtime.Network._run = original  # type: ignore[method-assign]
