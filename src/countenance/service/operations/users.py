"""Users: people of a collection to whom several faces are given."""

from collections.abc import Mapping

from countenance.errors import PermitError
from countenance.gallery import Assigned, Permit
from countenance.policy import Decision
from countenance.service.backend import Backend
from countenance.service.caller import Call
from countenance.service.failures import WireError
from countenance.service.operations.common import Answer, Params, in_force, listed, pinned, token_of
from countenance.service.shapes import user_status

__all__ = ["associate_faces", "create_user", "delete_user", "disassociate_faces", "list_users"]

_MOST_FACES = 100
_MOST_USERS = 500
_TRIES = 4
_REASONS = {
    "face_not_found": "FACE_NOT_FOUND",
    "of_another_user": "ASSOCIATED_TO_A_DIFFERENT_USER",
    "low_match": "LOW_MATCH_CONFIDENCE",
}


def create_user(backend: Backend, call: Call, params: Params) -> Answer:
    """CreateUser."""
    decision, collection = backend.desk.ask_of(call, "collections", params["CollectionId"])
    occasion = backend.desk.occasion(call, decision)
    backend.gallery.create_user(collection.name, params["UserId"], occasion, token_of(call, params))
    return {}


def delete_user(backend: Backend, call: Call, params: Params) -> Answer:
    """DeleteUser: the faces stay, as nobody's."""
    decision, collection = backend.desk.ask_of(call, "erase", params["CollectionId"])
    occasion = backend.desk.occasion(call, decision)
    backend.gallery.delete_user(collection.name, params["UserId"], occasion, token_of(call, params))
    return {}


def list_users(backend: Backend, call: Call, params: Params) -> Answer:
    """ListUsers, in order of id."""
    name = params["CollectionId"]
    backend.desk.ask_of(call, "read", name)
    found, more = listed(
        backend,
        call,
        params,
        lambda after, limit: backend.gallery.users(name, after, limit),
        lambda user: user.user_id,
        _MOST_USERS,
    )
    return {"Users": [{"UserId": user.user_id, "UserStatus": user_status(user)} for user in found]} | more


def associate_faces(backend: Backend, call: Call, params: Params) -> Answer:
    """AssociateFaces: on the operator's word; with UserMatchThreshold, which compares faces, by a permit to search."""
    name, user_id, wanted = params["CollectionId"], params["UserId"], params["FaceIds"]
    decision = _enrolling(backend, call, name, wanted)
    theirs = backend.gallery.faces(name, user_id=user_id, limit=_MOST_FACES + 1)
    if len({face.face_id for face in theirs} | set(wanted)) > _MOST_FACES:
        raise WireError(
            "ServiceQuotaExceededException", f"UserId: a user has {_MOST_FACES} faces at most; disassociate some first"
        )
    matching, given = _given(backend, call, params, decision)
    answer: Answer = {
        "AssociatedFaces": [{"FaceId": face_id} for face_id in given.face_ids],
        "UnsuccessfulFaceAssociations": _refused(given.refused),
        "UserStatus": "ACTIVE" if given.face_ids else _status(backend, name, user_id),
    }
    return answer | ({"Countenance": in_force(matching, None)} if matching else {})


def _given(backend: Backend, call: Call, params: Params, decision: Decision) -> tuple[Decision | None, Assigned]:
    """Associate; and again with another permit where faces were enrolled since the first one, as for a search."""
    name, token = params["CollectionId"], token_of(call, params)
    for tries_left in reversed(range(_TRIES)):
        matching = _matching(backend, call, params) if "UserMatchThreshold" in params else None
        permit: Permit | None = matching.permit if matching else None
        occasion = backend.desk.occasion(call, matching or decision)
        try:
            return matching, backend.gallery.assign(
                name, params["UserId"], params["FaceIds"], occasion, permit=permit, token=token
            )
        except PermitError:
            if not tries_left or permit is None or backend.gallery.collection(name).faces <= permit.largest_gallery:
                raise
    raise AssertionError("the last try returns or raises")


def disassociate_faces(backend: Backend, call: Call, params: Params) -> Answer:
    """DisassociateFaces: the faces stay in the collection."""
    name, user_id = params["CollectionId"], params["UserId"]
    decision, _ = backend.desk.ask_of(call, "erase", name)
    occasion = backend.desk.occasion(call, decision)
    taken = backend.gallery.unassign(name, user_id, params["FaceIds"], occasion, token_of(call, params))
    return {
        "DisassociatedFaces": [{"FaceId": face_id} for face_id in taken.face_ids],
        "UnsuccessfulFaceDisassociations": _refused(taken.refused),
        "UserStatus": _status(backend, name, user_id),
    }


def _enrolling(backend: Backend, call: Call, name: str, face_ids: list[str]) -> Decision:
    """Leave to group faces: enrolment, asked with the record of consent that each of them carries."""
    desk = backend.desk
    desk.ask_role(call, "enrol", name)
    consents = {face.consent for face in backend.gallery.faces(name, face_ids=face_ids, limit=len(face_ids))}
    if not consents:  # none of them is there: nothing of anybody is grouped
        return desk.ask_of(call, "collections", name)[0]
    terms = desk.terms_now(name)
    return [desk.ask_of(call, "enrol", name, terms=terms, consent=consent)[0] for consent in consents][-1]


def _matching(backend: Backend, call: Call, params: Params) -> Decision:
    """Leave to compare faces with those that the user has."""
    decision, collection = backend.desk.ask_of(
        call, "search", params["CollectionId"], similarity=params["UserMatchThreshold"]
    )
    pinned(backend, collection)
    if decision.review:
        reason = (
            f"for {decision.purpose} two people look before a match is told, and UserMatchThreshold tells one; "
            "associate without it, on your own word"
        )
        backend.desk.refuse(call, "review", reason, collection.name, decision)
    return decision


def _refused(refused: Mapping[str, str]) -> list[Answer]:
    return [{"FaceId": face_id, "Reasons": [_REASONS[why]]} for face_id, why in refused.items()]


def _status(backend: Backend, name: str, user_id: str) -> str:
    return "ACTIVE" if backend.gallery.faces(name, user_id=user_id, limit=1) else "CREATED"
