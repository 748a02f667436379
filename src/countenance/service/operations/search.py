"""SearchFaces, SearchFacesByImage, SearchUsers, SearchUsersByImage: a permit, a search, a ledger entry."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from countenance.errors import NotFoundError
from countenance.gallery import Collection, FaceProbe, Found, Probe, UserProbe
from countenance.policy import Decision, SimilarityCurve
from countenance.service.backend import Backend
from countenance.service.caller import Call
from countenance.service.engine import Seen
from countenance.service.failures import WireError
from countenance.service.operations.common import Answer, Params, in_force, pinned
from countenance.service.operations.photos import chosen
from countenance.service.quality import reasons
from countenance.service.shapes import bounding_box, box_of, face_detail, face_match, user_match
from countenance.service.sheets import open_for_review

__all__ = ["open_review_of", "search_faces", "search_faces_by_image", "search_users", "search_users_by_image"]

_SIMILARITY = 80.0
_MOST = 80


@dataclass(frozen=True)
class _Leave:
    """An allowed search: the decision with its permit, the scale of the answer, the collection."""

    decision: Decision
    curve: SimilarityCurve
    collection: Collection


def search_faces(backend: Backend, call: Call, params: Params) -> Answer:
    """SearchFaces: the collection's faces most like one of them."""
    leave = _leave(backend, call, params, "FaceMatchThreshold", "MaxFaces")
    try:
        found = _found(backend, leave, FaceProbe(params["FaceId"]))
    except NotFoundError as error:
        raise WireError("InvalidParameterException", f"FaceId: {error}") from None  # as AWS does
    return {"SearchedFaceId": params["FaceId"]} | _faces(backend, call, leave, found)


def search_faces_by_image(backend: Backend, call: Call, params: Params) -> Answer:
    """SearchFacesByImage: the same for the largest face of a photo that meets the QualityFilter."""
    leave = _leave(backend, call, params, "FaceMatchThreshold", "MaxFaces")
    data = backend.photos.read(params["Image"])
    seen = backend.engine.look(data)
    number = chosen(seen.faces, params.get("QualityFilter", "NONE"), "Image")[0]
    found = _found(backend, leave, backend.engine.embed(seen, [number])[0], data=data)
    face = seen.faces[number]
    return {
        "SearchedFaceBoundingBox": bounding_box(box_of(seen, face)),
        "SearchedFaceConfidence": 100.0 * face.score,
    } | _faces(backend, call, leave, found)


def search_users(backend: Backend, call: Call, params: Params) -> Answer:
    """SearchUsers: the users most like a face, or like a user, who is not among them."""
    if ("FaceId" in params) == ("UserId" in params):
        backend.desk.ask_role(call, "search", params["CollectionId"])
        raise WireError("InvalidParameterException", "give one of FaceId and UserId")
    leave = _leave(backend, call, params, "UserMatchThreshold", "MaxUsers")
    searched: Answer
    if "FaceId" in params:
        probe: Probe = FaceProbe(params["FaceId"])
        searched = {"SearchedFace": {"FaceId": params["FaceId"]}}
    else:
        probe = UserProbe(params["UserId"])
        searched = {"SearchedUser": {"UserId": params["UserId"]}}
    return searched | _users(backend, call, leave, _found(backend, leave, probe, users=True))


def search_users_by_image(backend: Backend, call: Call, params: Params) -> Answer:
    """SearchUsersByImage: the same for the largest face of a photo; without one, nothing is searched."""
    leave = _leave(backend, call, params, "UserMatchThreshold", "MaxUsers")
    data = backend.photos.read(params["Image"])
    seen = backend.engine.look(data)
    level = params.get("QualityFilter", "NONE")
    number = next((n for n, face in enumerate(seen.faces) if not reasons(face, level)), None)
    unsearched = _unsearched(seen, number, level)
    if number is None:
        version = backend.engine.version_of(leave.collection.pipeline)
        extra = in_force(leave.decision, None)
        return {"UserMatches": [], "FaceModelVersion": version, "UnsearchedFaces": unsearched, "Countenance": extra}
    found = _found(backend, leave, backend.engine.embed(seen, [number])[0], data=data, users=True)
    return {
        "SearchedFace": {"FaceDetail": face_detail(seen, seen.faces[number])},
        "UnsearchedFaces": unsearched,
    } | _users(backend, call, leave, found)


def open_review_of(backend: Backend, call: Call, decision: Decision, found: Found) -> Answer:
    """Keep what was found for two reviewers; what the answer says of it: ``{"Id": ..., "State": "open"}``."""
    return open_for_review(backend.desk, call, decision, found)


def _leave(backend: Backend, call: Call, params: Params, threshold: str, most: str) -> _Leave:
    """Ask for leave to search. Raises Refused, NotFoundError, WireError."""
    decision, certificate, collection = backend.desk.ask_certified_of(
        call,
        "search",
        params["CollectionId"],
        similarity=params.get(threshold, _SIMILARITY),
        max_candidates=params.get(most, _MOST),
    )
    pinned(backend, collection)
    if certificate is None:
        raise AssertionError("a search is allowed under a certificate only")
    return _Leave(decision, certificate.curve, collection)


def _found(backend: Backend, leave: _Leave, probe: Probe, *, data: bytes | None = None, users: bool = False) -> Found:
    permit = leave.decision.permit
    if permit is None:
        raise AssertionError("an allowed search carries a permit")
    mac = None if data is None else backend.gallery.probe_mac(data)
    return backend.gallery.search(leave.collection.name, probe, permit, users=users, probe_mac=mac)


def _faces(backend: Backend, call: Call, leave: _Leave, found: Found) -> Answer:
    return {
        "FaceMatches": [face_match(one, leave.curve, leave.collection.pipeline) for one in found.candidates]
    } | _about(backend, call, leave, found, "FaceMatches")


def _users(backend: Backend, call: Call, leave: _Leave, found: Found) -> Answer:
    return {"UserMatches": [user_match(one, leave.curve) for one in found.candidates]} | _about(
        backend, call, leave, found, "UserMatches"
    )


def _about(backend: Backend, call: Call, leave: _Leave, found: Found, matches: str) -> Answer:
    """What stands beside the matches; with two-person review it replaces them by their Similarity alone."""
    said: Answer = {
        "FaceModelVersion": backend.engine.version_of(leave.collection.pipeline),
        "Countenance": in_force(leave.decision, found.entry),
    }
    if leave.decision.review and found.candidates:
        said["Countenance"]["Review"] = open_review_of(backend, call, leave.decision, found)
        said[matches] = [{"Similarity": leave.curve.similarity(one.score)} for one in found.candidates]
    return said


def _unsearched(seen: Seen, searched: int | None, level: str) -> Sequence[dict[str, Any]]:
    return [
        {"FaceDetails": face_detail(seen, face), "Reasons": reasons(face, level) or ["FACE_NOT_LARGEST"]}
        for number, face in enumerate(seen.faces)
        if number != searched
    ]
