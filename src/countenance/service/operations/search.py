"""SearchFaces, SearchFacesByImage, SearchUsers, SearchUsersByImage: a permit, a search, a ledger entry."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from countenance.errors import NotFoundError, PermitError
from countenance.gallery import Collection, FaceProbe, Found, Probe, UserProbe
from countenance.policy import Decision, SimilarityCurve
from countenance.service.backend import Backend
from countenance.service.caller import Call
from countenance.service.engine import MOST_FACES, Seen
from countenance.service.failures import WireError
from countenance.service.operations.common import Answer, Params, in_force, pinned
from countenance.service.operations.photos import chosen
from countenance.service.quality import reasons
from countenance.service.shapes import bounding_box, box_of, face_detail, face_match, user_match
from countenance.service.sheets import open_for_review

__all__ = ["search_faces", "search_faces_by_image", "search_users", "search_users_by_image"]

_SIMILARITY = 80.0
_MOST = 80
_TRIES = 4
_OF_FACES = ("FaceMatchThreshold", "MaxFaces")
_OF_USERS = ("UserMatchThreshold", "MaxUsers")


@dataclass(frozen=True)
class _Leave:
    """An allowed search: the decision with its permit, the scale of the answer, the collection."""

    decision: Decision
    curve: SimilarityCurve
    collection: Collection


def search_faces(backend: Backend, call: Call, params: Params) -> Answer:
    """SearchFaces: the collection's faces most like one of them."""
    try:
        leave, found = _found(backend, call, params, FaceProbe(params["FaceId"]))
    except NotFoundError as error:
        backend.gallery.collection(params["CollectionId"])  # raises where that is what is not there
        raise WireError("InvalidParameterException", f"FaceId: {error}") from None  # as AWS does
    return {"SearchedFaceId": params["FaceId"]} | _faces(backend, call, leave, found)


def search_faces_by_image(backend: Backend, call: Call, params: Params) -> Answer:
    """SearchFacesByImage: the same for the largest face of a photo that meets the QualityFilter."""
    _leave(backend, call, params, _OF_FACES)  # before the photo is opened
    data = backend.photos.read(params["Image"])
    level = params.get("QualityFilter", "NONE")
    seen = backend.engine.look(data, most=1 if level == "NONE" else MOST_FACES)  # of no other anything is asked
    number = chosen(seen.faces, level, "Image")[0]
    leave, found = _found(backend, call, params, backend.engine.embed(seen, [number])[0], data=data)
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
    searched: Answer
    if "FaceId" in params:
        probe: Probe = FaceProbe(params["FaceId"])
        searched = {"SearchedFace": {"FaceId": params["FaceId"]}}
    else:
        probe = UserProbe(params["UserId"])
        searched = {"SearchedUser": {"UserId": params["UserId"]}}
    leave, found = _found(backend, call, params, probe, users=True)
    return searched | _users(backend, call, leave, found)


def search_users_by_image(backend: Backend, call: Call, params: Params) -> Answer:
    """SearchUsersByImage: the same for the largest face of a photo; without one, nothing is searched."""
    leave = _leave(backend, call, params, _OF_USERS)  # before the photo is opened
    data = backend.photos.read(params["Image"])
    seen = backend.engine.look(data)
    level = params.get("QualityFilter", "NONE")
    number = next((n for n, face in enumerate(seen.faces) if not reasons(face, level)), None)
    unsearched = _unsearched(seen, number, level)
    if number is None:
        version = backend.engine.version_of(leave.collection.pipeline)
        extra = in_force(leave.decision, None)
        return {"UserMatches": [], "FaceModelVersion": version, "UnsearchedFaces": unsearched, "Countenance": extra}
    leave, found = _found(backend, call, params, backend.engine.embed(seen, [number])[0], data=data, users=True)
    return {
        "SearchedFace": {"FaceDetail": face_detail(seen, seen.faces[number])},
        "UnsearchedFaces": unsearched,
    } | _users(backend, call, leave, found)


def _leave(backend: Backend, call: Call, params: Params, asked: tuple[str, str]) -> _Leave:
    """Ask for leave to search; ``asked`` names the members. Raises Refused, NotFoundError, WireError."""
    threshold, most = asked
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


def _found(
    backend: Backend, call: Call, params: Params, probe: Probe, *, data: bytes | None = None, users: bool = False
) -> tuple[_Leave, Found]:
    """Ask and search at once: a permit holds for the gallery as it was when it was asked for.

    Where faces were enrolled in between, ask again, with a threshold for the larger gallery.
    """
    mac = None if data is None else backend.gallery.probe_mac(data)
    for tries_left in reversed(range(_TRIES)):
        leave = _leave(backend, call, params, _OF_USERS if users else _OF_FACES)
        permit = leave.decision.permit
        if permit is None:
            raise AssertionError("an allowed search carries a permit")
        name = leave.collection.name
        try:
            return leave, backend.gallery.search(name, probe, permit, users=users, probe_mac=mac)
        except PermitError:
            if not tries_left or backend.gallery.collection(name).faces <= permit.largest_gallery:
                raise
    raise AssertionError("the last try returns or raises")


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
        said["Countenance"]["Review"] = open_for_review(backend.desk, call, leave.decision, found)
        said[matches] = [{"Similarity": leave.curve.similarity(one.score)} for one in found.candidates]
    return said


def _unsearched(seen: Seen, searched: int | None, level: str) -> Sequence[dict[str, Any]]:
    return [
        {"FaceDetails": face_detail(seen, face), "Reasons": reasons(face, level) or ["FACE_NOT_LARGEST"]}
        for number, face in enumerate(seen.faces)
        if number != searched
    ]
