"""People who find and erase themselves, and people whose consent is withdrawn: their faces go, and a receipt proves it.

Finding oneself needs no certificate: it is permissive on purpose, an operator has checked who asks, and what it shows
of a candidate is a number, a score, a collection and a date. The photo is looked at and dropped.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from itertools import product

import numpy as np
from numpy.typing import NDArray

from countenance.errors import InputError, NoFaceError, UnavailableError
from countenance.faces import Face as FoundFace
from countenance.faces import Pipeline, list_models
from countenance.faces.image import decode
from countenance.gallery import Candidate, Collection, Gallery
from countenance.policy import Certificate, SimilarityCurve
from countenance.service.caller import Call
from countenance.service.consents import ConsentRegister
from countenance.service.desk import Desk
from countenance.service.receipts import Erasure, erase_faces

__all__ = ["MISS", "Forgetting", "Like", "LookedUp", "Probe", "permissive", "probe_of", "withdraw"]

PERMISSIVE = 98.0
"""Two strangers in a hundred score as much. On LFW the default engine then misses 0.5 % of the pairs of one person; at
its makers' threshold for two photos 1.1 %, and where one stranger in 10,000 passes 25 %."""
MISS = (
    "That a face was not found does not prove that it is not there: a poor photo, a change in looks or another view "
    "can hide it. Try another photo, or have the operator erase by the record: countenance consent withdraw"
)


@dataclass(frozen=True)
class Probe:
    """The face that is searched with, of ``faces`` in the photo. Of the photo the ledger keeps a keyed digest."""

    photo: bytes = field(repr=False)
    face: FoundFace
    faces: int


def probe_of(pipeline: Pipeline, photo: bytes, name: str, face: int | None = None) -> Probe:
    """The one face of a photo, or number ``face``, counted from the largest.

    Raises NoFaceError where there is none, InputError where there are several and none was named.
    """
    found = pipeline.look(decode(photo, name=name), threads=pipeline.threads)
    if not found:
        raise NoFaceError(f"{name}: no face found: use a photo in which the face is larger or clearer")
    if face is None and len(found) > 1:
        raise InputError(f"{name}: holds {len(found)} faces; say which with --face, from 1 for the largest on")
    if face is not None and not 1 <= face <= len(found):
        raise InputError(f"{name}: holds {len(found)} faces; there is no number {face}")
    one = found[(face or 1) - 1]
    return Probe(photo, one, len(found))


def permissive(pipeline: Pipeline, certificate: Certificate | None) -> tuple[float | None, str]:
    """The score from which a person is found, and where it comes from; None where nothing is known of the pipeline.

    It is the score that two strangers in a hundred reach: on the certificate's curve, else on the embedded measurements
    of this pipeline. Failing both, the makers' own threshold for two photos.
    """
    curve, source = _curve(pipeline, certificate)
    if curve is not None:
        return curve.threshold(PERMISSIVE), f"two strangers in a hundred score as much, by {source}"
    if pipeline.documented_threshold is not None:
        return pipeline.documented_threshold, "its makers' threshold for two photos; strangers above it are not counted"
    return None, "nothing was measured of this pipeline"


def _curve(pipeline: Pipeline, certificate: Certificate | None) -> tuple[SimilarityCurve | None, str]:
    if certificate is not None and certificate.pipeline == pipeline.digest:
        return certificate.curve, f"certificate {certificate.id}"
    from countenance.trials import EMBEDDED, embedded_tallies

    name = pipeline.embedder.card.name
    tallies = embedded_tallies(name) if name in EMBEDDED else None
    if tallies is not None and tallies.system.pipeline == pipeline.digest:
        return SimilarityCurve.of(tallies), "the embedded measurements"
    return None, ""


@dataclass(frozen=True)
class Like:
    """A face that may be the person's: all that is shown of it. ``others``: further faces of the same user."""

    number: int
    collection: str
    score: float
    enrolled: datetime
    others: int
    face_ids: tuple[str, ...] = field(repr=False)
    user_id: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class LookedUp:
    """What a search for oneself found, in which collections of how many faces, where it could not look, and why."""

    candidates: tuple[Like, ...]
    searched: tuple[tuple[str, int], ...]
    skipped: tuple[tuple[str, str], ...]
    threshold: float | None
    why: str

    @property
    def code(self) -> str:
        """Names this list: numbers said with it mean these candidates and no others."""
        shown = [[one.collection, *one.face_ids] for one in self.candidates]
        return sha256(json.dumps(shown).encode()).hexdigest()[:8]


class Forgetting:
    """A person's search for themselves through all collections, and the erasure of what they confirm.

    Args:
        desk: asked before each search and each erasure; raises Refused.
        pipeline: the one that runs here. Collections of another are searched with it if its models are at hand.
        call: who asks, on the person's behalf.
    """

    def __init__(self, desk: Desk, pipeline: Pipeline, call: Call) -> None:
        self._desk, self._pipeline, self._call = desk, pipeline, call
        self._others: dict[str, Pipeline] = {}

    @property
    def _gallery(self) -> Gallery:
        return self._desk.gallery

    def look_up(
        self, probe: Probe, collections: Sequence[str] = (), *, threshold: float | None = None, most: int = 20
    ) -> LookedUp:
        """Search the named collections, or all. ``threshold``: a score instead of the permissive one of this pipeline.

        Raises NotFoundError for a collection that is not there, Refused where the policy says no.
        """
        named = [self._gallery.collection(name) for name in collections] or list(_collections(self._gallery))
        score, why = permissive(self._pipeline, self._desk.certificates.read()[0])
        score, why = (threshold, "as asked for") if threshold is not None else (score, why)
        found: list[Like] = []
        searched, skipped = [], []
        for collection in named:
            try:
                pipeline = self._pipeline_for(collection)
                at = score if pipeline is self._pipeline else _known(pipeline)
            except UnavailableError as error:
                skipped.append((collection.name, str(error)))
                continue
            likes, size = self._search(collection, pipeline, probe, at, most)
            found += likes
            searched.append((collection.name, size))
        ordered = sorted(found, key=lambda one: (-one.score, one.face_ids))
        numbered = [replace(one, number=k) for k, one in enumerate(ordered, 1)]
        return LookedUp(tuple(numbered), tuple(searched), tuple(skipped), score, why)

    def erase(self, found: LookedUp, numbers: Sequence[int]) -> tuple[Erasure, ...]:
        """Erase these candidates, with the further faces of their user, and users who have no face left.

        Raises InputError for a number that is not in the list, Refused where the policy says no.
        """
        known = {one.number: one for one in found.candidates}
        wrong = [number for number in numbers if number not in known]
        if wrong:
            raise InputError(f"candidate {wrong[0]}: is not in the list; there are 1 to {len(known)}")
        chosen = [known[number] for number in dict.fromkeys(numbers)]
        erased: list[Erasure] = []
        for name in dict.fromkeys(one.collection for one in chosen):
            mine = [one for one in chosen if one.collection == name]
            ids = [face_id for one in mine for face_id in one.face_ids]
            users = {one.user_id for one in mine if one.user_id is not None}
            occasion = self._desk.occasion(self._call, self._desk.ask(self._call, "forget", permissive=0.0))
            erased += erase_faces(self._gallery, name, ids, users, occasion, "forget")
        return tuple(erased)

    def _search(
        self, collection: Collection, pipeline: Pipeline, probe: Probe, threshold: float | None, most: int
    ) -> tuple[list[Like], int]:
        desk = self._desk
        if pipeline is not self._pipeline:
            desk = Desk(desk.gallery, pipeline.digest, desk.policy, desk.certificates)
        decision = desk.ask(
            self._call,
            "forget",
            collection=collection.name,
            permissive=threshold,
            gallery=collection.faces,
            max_candidates=most,
        )
        if decision.permit is None:
            raise InputError("forget: the policy gave no permit")
        vector = self._vector(pipeline, probe)
        mac = self._gallery.probe_mac(probe.photo)
        found = self._gallery.search(collection.name, vector, decision.permit, probe_mac=mac)
        return self._people(collection.name, found.candidates), found.searched

    def _people(self, name: str, candidates: Sequence[Candidate]) -> list[Like]:
        """Each user once, with all faces they have; each face of nobody by itself."""
        likes: dict[str, Like] = {}
        for one in candidates:
            face, user = one.face, one.face.user_id
            if f"user {user}" in likes:
                continue
            others = self._gallery.faces(name, user_id=user) if user is not None else ()
            ids = (face.face_id, *(f.face_id for f in others if f.face_id != face.face_id))
            like = Like(0, name, one.score, face.enrolled, len(ids) - 1, ids, user)
            likes[face.face_id if user is None else f"user {user}"] = like
        return list(likes.values())

    def _vector(self, pipeline: Pipeline, probe: Probe) -> NDArray[np.float32]:
        """The probe's face as this pipeline's embedder sees it; cut out anew for another than the one that found it."""
        chip = probe.face.chip
        if pipeline is not self._pipeline:
            chip = pipeline.chip(decode(probe.photo), np.array(probe.face.landmarks))
        return np.asarray(pipeline.embed_faces(chip[None])[0])

    def _pipeline_for(self, collection: Collection) -> Pipeline:
        """The pipeline that made the collection's vectors. Raises UnavailableError where its models are not at hand."""
        if not self._others:
            models = [model for model in list_models() if model.at_hand]
            finders = [model for model in models if model.card.role == "detector"]
            pairs = product(finders, (model for model in models if model.card.role == "embedder"))
            self._others = {one.digest: one for one in (Pipeline(*pair) for pair in pairs)}
            self._others[self._pipeline.digest] = self._pipeline
        if collection.pipeline not in self._others:
            digest = collection.pipeline[:12]
            raise UnavailableError(f"the model that made its templates (pipeline {digest}) is not at hand")
        return self._others[collection.pipeline]


def _known(pipeline: Pipeline) -> float:
    score, why = permissive(pipeline, None)
    if score is None:
        raise UnavailableError(f"{why} ({pipeline.name}), so it is not known from which score; run it: --pipeline")
    return score


def withdraw(desk: Desk, register: ConsentRegister, call: Call, collection: str, subject: str) -> tuple[Erasure, ...]:
    """Erase every face of a collection whose consent record names this subject; nothing where there is none.

    Raises InputError while the register still lets the subject be enrolled: otherwise a face could come back meanwhile;
    NotFoundError for a collection that is not there, Refused where the policy says no.
    """
    rows = register.rows_of(collection, subject)
    if rows:
        lines = ", ".join(str(row.line) for row in rows)
        raise InputError(
            f"{register.path}, line {lines}: still lets this subject be enrolled; take it out, then withdraw"
        )
    decision, _ = desk.ask_of(call, "erase", collection)
    ids: list[str] = []
    users: set[str] = set()
    after: str | None = None
    while page := desk.gallery.faces(collection, after=after):
        mine = [face for face in page if face.consent.subject == subject]
        ids += [face.face_id for face in mine]
        users |= {face.user_id for face in mine if face.user_id is not None}
        after = page[-1].face_id
    return erase_faces(desk.gallery, collection, ids, users, desk.occasion(call, decision), "consent withdrawn")


def _collections(gallery: Gallery) -> Iterator[Collection]:
    after: str | None = None
    while page := gallery.collections(after=after):
        yield from page
        after = page[-1].name
