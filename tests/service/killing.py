"""Kill a server under load at random moments; then look whether anything it had answered was untrue."""

import base64
import http.client
import io
import json
import random
import threading
import time
import uuid
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from countenance.faces import default_pipeline
from countenance.gallery import Gallery, open_gallery
from countenance.ledger import Kind, check_export
from countenance.policy import synthetic_certificate
from countenance.service.engine import Engine
from gallery.helpers import permit
from service.running import PIPELINE, TARGET, Running, astronaut, data_folder, grace, jpeg, operator, sign

NAME = "family"
_PHOTOS = 6


@cache
def photos() -> tuple[bytes, ...]:
    """Small photos of one face each, all different, so that the load is not only networks."""
    made = []
    for number in range(_PHOTOS):
        image = Image.open(io.BytesIO((grace(), astronaut())[number % 2])).convert("RGB")
        shift = 10 * (number // 2)
        made.append(jpeg(image.crop((100 + shift, 0, 400 + shift, 320)).resize((150, 160))))
    return tuple(made)


@cache
def templates() -> tuple[np.ndarray, ...]:
    """What the engine makes of them, here, in another process than the server's."""
    engine = Engine(default_pipeline(PIPELINE))
    return tuple(engine.embed(engine.look(photo), [0])[0] for photo in photos())


@dataclass
class Told:
    """What was answered over all rounds, and what was asked for without an answer yet."""

    enrolled: dict[str, int] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    erased: set[str] = field(default_factory=set)
    users: set[str] = field(default_factory=set)
    given: dict[str, str] = field(default_factory=dict)
    heads: list[str] = field(default_factory=list)
    searches: int = 0
    kills: int = 0
    others: list[str] = field(default_factory=list)


def rounds(folder: Path, count: int, database: str | None = None, seed: int = 0, longest: float = 0.6) -> Told:
    """Kill ``count`` times; check after each. Raises AssertionError."""
    told, moments = Told(), random.Random(seed)
    data = data_folder(folder / "data", certified=False)
    made_up = synthetic_certificate(operator(), default_pipeline(PIPELINE).digest, gallery=10**6, threshold=-0.5)
    (data / "certificate.json").write_text(made_up.to_json())  # more faces come than anybody was measured for
    server = Running(data, database=database, image_waiting=64)
    try:
        server.client().create_collection(CollectionId=NAME)
        for number in range(count):
            threads = [_worker(server, told, 100 * number + part) for part in range(4)]
            time.sleep(moments.uniform(0.05, longest))
            server.kill()
            told.kills += 1
            for thread in threads:
                thread.join(30)
            server = Running(data, database=database, image_waiting=64, wait=False)
            check(data, database, told)  # while the next one starts
            server.ready()
            assert told.others == [], f"under load there is nothing but answers: {told.others[:3]}"
        _listed(server, told)
    finally:
        server.kill()
    return told


def _listed(server: Running, told: Told) -> None:
    """The server that lived on says the same."""
    pages = server.client().get_paginator("list_faces").paginate(CollectionId=NAME, PaginationConfig={"PageSize": 50})
    there = {face["FaceId"] for page in pages for face in page["Faces"]}
    assert set(told.enrolled) - told.asked <= there
    assert not there & told.erased


def _worker(server: Running, told: Told, seed: int) -> threading.Thread:
    thread = threading.Thread(target=_work, args=(server, told, random.Random(seed)), daemon=True)
    thread.start()
    return thread


def _work(server: Running, told: Told, choice: random.Random) -> None:
    line = _Line(server, told)
    mine: list[str] = []
    try:
        while True:
            number = choice.randrange(_PHOTOS)
            image = {"Bytes": base64.b64encode(photos()[number]).decode()}
            found = line.ask("IndexFaces", Image=image, ExternalImageId=f"photo-{number}", QualityFilter="NONE")
            for record in found["FaceRecords"]:
                told.enrolled[record["Face"]["FaceId"]] = number
                mine.append(record["Face"]["FaceId"])
            if mine and choice.random() < 0.3:
                line.ask("SearchFaces", FaceId=choice.choice(mine))
                told.searches += 1
            if choice.random() < 0.3:
                user = uuid.uuid4().hex
                line.ask("CreateUser", UserId=user, ClientRequestToken=user)
                told.users.add(user)
                line.ask("AssociateFaces", UserId=user, FaceIds=[mine[-1]])
                told.given[mine.pop()] = user
            elif mine and choice.random() < 0.5:
                gone = mine.pop(choice.randrange(len(mine)))
                told.asked.add(gone)
                if line.ask("DeleteFaces", FaceIds=[gone])["DeletedFaces"] == [gone]:
                    told.erased.add(gone)
    except (OSError, http.client.HTTPException):
        return  # killed


class _Line:
    """One connection that stays open."""

    def __init__(self, server: Running, told: Told) -> None:
        own = server.key()
        self._key, self._told, self._host = (own.key_id, own.secret), told, f"127.0.0.1:{server.port}"
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)

    def ask(self, operation: str, **members: Any) -> dict[str, Any]:
        body = json.dumps({"CollectionId": NAME} | members).encode()
        self._connection.request("POST", "/", body, sign(self._key, self._host, TARGET + operation, body))
        answer = self._connection.getresponse()
        found: dict[str, Any] = json.loads(answer.read())
        if answer.status != 200:
            self._told.others.append(f"{operation}: {found}")
            raise OSError
        return found


def check(data: Path, database: str | None, told: Told) -> None:
    """Whether what is stored and what was answered agree, and the ledger tells the same."""
    with open_gallery(data, database) as gallery:
        faces = {face.face_id: face for face in gallery.faces(NAME, limit=10**6)}
        must = set(told.enrolled) - told.asked
        assert must <= set(faces), f"lost: {must - set(faces)}"
        assert not told.erased & set(faces), f"resurrected: {told.erased & set(faces)}"
        assert gallery.collection(NAME).faces == len(faces)
        for face_id in must:
            assert faces[face_id].external_image_id == f"photo-{told.enrolled[face_id]}"
        users = {user.user_id for user in gallery.users(NAME, limit=10**6)}
        assert told.users <= users
        assert all(faces[face_id].user_id == user for face_id, user in told.given.items())
        _ledger(gallery, told, set(faces))
        for face_id in random.Random(len(faces)).sample(sorted(must), min(10, len(must))):
            leave = permit(NAME, -0.01, pipeline=gallery.collection(NAME).pipeline, max_candidates=10**6)
            found = gallery.search(NAME, templates()[told.enrolled[face_id]], leave)
            assert face_id in {one.face.face_id for one in found.candidates}, "half-written"
            assert not told.erased & {one.face.face_id for one in found.candidates}
        told.heads.append(gallery.ledger.head())


def _ledger(gallery: Gallery, told: Told, there: set[str]) -> None:
    """Every acknowledged change has its entry; what was enrolled and not erased is there; heads kept before hold."""
    story: set[str] = set()
    erased: set[str] = set()
    for record in gallery.ledger.records(kinds=[Kind.ENROLMENT, Kind.ERASURE]):
        if record.entry.kind is Kind.ENROLMENT:
            story |= set(record.entry.faces)
        else:
            assert set(record.entry.faces) <= story
            erased |= set(record.entry.faces)
    assert set(told.enrolled) <= story, "enrolled without an entry"
    assert told.erased <= erased, "erased without an entry"
    assert story - erased == there, "the ledger tells another story than the data"
    searches = sum(1 for _ in gallery.ledger.records(kinds=[Kind.SEARCH]))
    assert searches >= told.searches
    check_export(gallery.ledger.export(), gallery.ledger.key, told.heads)
