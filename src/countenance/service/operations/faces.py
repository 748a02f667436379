"""IndexFaces, ListFaces, DeleteFaces: references in, and out again."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from countenance.errors import InputError
from countenance.faces import Face as SeenFace
from countenance.gallery import Consent, NewFace
from countenance.policy import Terms, default_consent
from countenance.service.backend import Backend
from countenance.service.caller import Call
from countenance.service.engine import MOST_FACES, Seen
from countenance.service.operations.common import Answer, Params, listed, pinned
from countenance.service.quality import reasons
from countenance.service.shapes import box_of, face_detail, face_record

__all__ = ["delete_faces", "index_faces", "list_faces"]


def index_faces(backend: Backend, call: Call, params: Params) -> Answer:
    """IndexFaces: all faces that are left of a photo, or none; each with the record of consent of its ExternalImageId.

    The policy is asked before the photo is opened.
    """
    name, external = params["CollectionId"], params.get("ExternalImageId")
    image_id, now = str(uuid.uuid4()), datetime.now(UTC)
    desk = backend.desk
    desk.ask_role(call, "enrol", name)
    collection, tags = backend.gallery.described(name)
    terms = desk.terms(tags)
    record = _record(backend, call, name, external) or default_consent(desk.policy, terms, external or image_id, now)
    decision = desk.ask(call, "enrol", collection=name, gallery=collection.faces, terms=terms, consent=record)
    pinned(backend, collection)
    consent = _until(record or _none_needed(terms, external or image_id, now), terms, now)
    seen = backend.engine.look(backend.photos.read(params["Image"]))
    kept, left = _sorted_out(seen, params)
    vectors = backend.engine.embed(seen, kept)
    faces = [
        NewFace(
            vector=vector,
            consent=consent,
            image_id=image_id,
            box=box_of(seen, seen.faces[number]),
            confidence=100.0 * seen.faces[number].score,
            external_image_id=external,
            quality=_kept_quality(seen.faces[number]),
        )
        for number, vector in zip(kept, vectors, strict=True)
    ]
    pipeline = backend.engine.pipeline.digest
    enrolled = backend.gallery.enrol(name, faces, desk.occasion(call, decision), pipeline=pipeline)
    return {
        "FaceRecords": [
            {"Face": face_record(face, pipeline), "FaceDetail": face_detail(seen, seen.faces[number])}
            for number, face in zip(kept, enrolled, strict=True)
        ],
        "FaceModelVersion": backend.engine.version,
        "UnindexedFaces": [
            {"Reasons": why, "FaceDetail": face_detail(seen, seen.faces[number])} for number, why in left
        ],
    }


def list_faces(backend: Backend, call: Call, params: Params) -> Answer:
    """ListFaces, in order of face id; of one user, or with certain ids."""
    name = params["CollectionId"]
    _, collection = backend.desk.ask_of(call, "read", name)
    found, more = listed(
        backend,
        call,
        params,
        lambda after, limit: backend.gallery.faces(
            name, after=after, limit=limit, user_id=params.get("UserId"), face_ids=params.get("FaceIds")
        ),
        lambda face: face.face_id,
    )
    return {
        "Faces": [face_record(face, collection.pipeline) for face in found],
        "FaceModelVersion": backend.engine.version_of(collection.pipeline),
    } | more


def delete_faces(backend: Backend, call: Call, params: Params) -> Answer:
    """DeleteFaces: gone from every file when the answer leaves. A user's face stays until it is disassociated."""
    name, wanted = params["CollectionId"], list(dict.fromkeys(params["FaceIds"]))
    decision, _ = backend.desk.ask_of(call, "erase", name)
    owners = {
        face.face_id: face.user_id
        for face in backend.gallery.faces(name, face_ids=wanted, limit=len(wanted))
        if face.user_id is not None
    }
    free = [face_id for face_id in wanted if face_id not in owners]
    erased = backend.gallery.erase(name, free, backend.desk.occasion(call, decision))
    kept = [
        {"FaceId": face_id, "UserId": owners[face_id], "Reasons": ["ASSOCIATED_TO_AN_EXISTING_USER"]}
        for face_id in wanted
        if face_id in owners
    ]
    missing = [{"FaceId": face_id, "Reasons": ["FACE_NOT_FOUND"]} for face_id in erased.missing]
    return {"DeletedFaces": list(erased.face_ids), "UnsuccessfulFaceDeletions": kept + missing}


def _record(backend: Backend, call: Call, name: str, external: str | None) -> Consent | None:
    """The operator's record of consent. While the records cannot be read, nobody is enrolled, defaults or not."""
    try:
        return backend.consents.find(name, external)
    except InputError as error:
        backend.desk.refuse(call, "consent", str(error), name)


def _until(consent: Consent, terms: Terms, now: datetime) -> Consent:
    """Consent that ends with the collection's retention, where that is sooner."""
    if terms.retention_days is None:
        return consent
    return replace(consent, until=min(consent.until, now + timedelta(days=terms.retention_days)))


def _none_needed(terms: Terms, subject: str, now: datetime) -> Consent:
    """The record of a face where the policy asks for none: it says so, and ends with the collection's retention."""
    return Consent(
        subject=subject,
        purpose=terms.purpose or "",
        basis=terms.legal_basis or "",
        notice="none: the policy asks for no record of consent",
        given=now,
        until=now + timedelta(days=terms.retention_days or 1),
        withdraw="ask the operator of this server",
    )


def _sorted_out(seen: Seen, params: Params) -> tuple[list[int], list[tuple[int, list[str]]]]:
    """Numbers of the faces to index, largest first, and the others with their reasons."""
    level, most = params.get("QualityFilter", "AUTO"), min(params.get("MaxFaces", MOST_FACES), MOST_FACES)
    kept: list[int] = []
    left: list[tuple[int, list[str]]] = []
    for number, face in enumerate(seen.faces):
        why = reasons(face, level) or (["EXCEEDS_MAX_FACES"] if len(kept) >= most else [])
        if why:
            left.append((number, why))
        else:
            kept.append(number)
    return kept, left


def _kept_quality(face: SeenFace) -> dict[str, float]:
    return {name: float(value) for name, value in vars(face.quality).items()}
