"""Collections and their tags, which say what a collection is for."""

import re
from collections.abc import Mapping, Sequence

from countenance.errors import ConflictError
from countenance.policy import Decision
from countenance.service.backend import Backend
from countenance.service.caller import Call
from countenance.service.failures import WireError
from countenance.service.operations.common import Answer, Params, listed

__all__ = [
    "create_collection",
    "delete_collection",
    "describe_collection",
    "list_collections",
    "list_tags_for_resource",
    "tag_resource",
    "untag_resource",
]

_ARN = re.compile(r"(?:arn:)?(aws[a-z-]*):rekognition:([a-z0-9-]*):([0-9]*):([a-z]+)/(.+)")
_MOST_TAGS = 200


def create_collection(backend: Backend, call: Call, params: Params) -> Answer:
    """CreateCollection: pins the running model."""
    name, tags = params["CollectionId"], params.get("Tags", {})
    backend.desk.ask_role(call, "collections", name)
    decision = backend.desk.ask(call, "collections", collection=name, terms=backend.desk.terms(tags))
    pipeline = backend.engine.pipeline
    try:
        backend.gallery.create_collection(
            name,
            backend.desk.occasion(call, decision),
            pipeline=pipeline.digest,
            metric=pipeline.metric,
            dimension=pipeline.dim,
            tags=tags,
        )
    except ConflictError as error:
        raise WireError("ResourceAlreadyExistsException", f"CollectionId: {error}; choose another") from None
    # This one ARN comes without "arn:", as with AWS; both spellings are understood.
    arn = _arn(backend, name).removeprefix("arn:")
    return {"StatusCode": 200, "CollectionArn": arn, "FaceModelVersion": backend.engine.version}


def describe_collection(backend: Backend, call: Call, params: Params) -> Answer:
    """DescribeCollection."""
    _, collection = backend.desk.ask_of(call, "read", params["CollectionId"])
    return {
        "FaceCount": collection.faces,
        "UserCount": collection.users,
        "FaceModelVersion": backend.engine.version_of(collection.pipeline),
        "CollectionARN": _arn(backend, collection.name),
        "CreationTimestamp": collection.created,
    }


def list_collections(backend: Backend, call: Call, params: Params) -> Answer:
    """ListCollections, in order of name."""
    backend.desk.ask(call, "read")
    found, more = listed(backend, call, params, backend.gallery.collections, lambda collection: collection.name)
    versions = [backend.engine.version_of(collection.pipeline) for collection in found]
    return {"CollectionIds": [collection.name for collection in found], "FaceModelVersions": versions} | more


def delete_collection(backend: Backend, call: Call, params: Params) -> Answer:
    """DeleteCollection: erases all its faces, so whoever may erase may do it, whatever the collection is for."""
    decision, collection = backend.desk.ask_of(call, "erase", params["CollectionId"])
    backend.gallery.delete_collection(collection.name, backend.desk.occasion(call, decision))
    return {"StatusCode": 200}


def tag_resource(backend: Backend, call: Call, params: Params) -> Answer:
    """TagResource: decided by what the collection would be for with the new tags."""
    name = _named(backend, params["ResourceArn"])
    decision = _retagged(backend, call, name, put=params["Tags"])
    backend.gallery.tag(name, backend.desk.occasion(call, decision), put=params["Tags"])
    return {}


def untag_resource(backend: Backend, call: Call, params: Params) -> Answer:
    """UntagResource: decided by what the collection would be for without them."""
    name = _named(backend, params["ResourceArn"])
    decision = _retagged(backend, call, name, drop=params["TagKeys"])
    backend.gallery.tag(name, backend.desk.occasion(call, decision), drop=params["TagKeys"])
    return {}


def list_tags_for_resource(backend: Backend, call: Call, params: Params) -> Answer:
    """ListTagsForResource."""
    name = _named(backend, params["ResourceArn"])
    backend.desk.ask_of(call, "read", name)
    return {"Tags": backend.gallery.tags(name)}


def _retagged(
    backend: Backend, call: Call, name: str, put: Mapping[str, str] | None = None, drop: Sequence[str] = ()
) -> Decision:
    """Leave to change tags. People agreed to one purpose, so one with faces does not change it."""
    desk = backend.desk
    desk.ask_role(call, "collections", name)
    collection, tags = backend.gallery.described(name)
    wanted = {key: value for key, value in tags.items() if key not in drop} | dict(put or {})
    if len(wanted) > _MOST_TAGS:
        raise WireError("ServiceQuotaExceededException", f"Tags: {name} would have more than {_MOST_TAGS}; drop some")
    terms = desk.terms(wanted)
    decision = desk.ask(call, "collections", collection=name, terms=terms, gallery=collection.faces)
    if collection.faces and (terms.purpose, terms.legal_basis) != _agreed(backend, tags):
        reason = (
            f"{name} holds {collection.faces} faces of people who agreed to what its tags say now, not to "
            f"{terms.purpose} ({terms.legal_basis}); make a new collection, and ask them"
        )
        desk.refuse(call, "purpose-of-faces", reason, name, decision)
    return decision


def _agreed(backend: Backend, tags: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Purpose and basis under which the faces of a collection with these tags were enrolled."""
    try:
        terms = backend.desk.terms(tags)
    except WireError:  # tags of an older policy
        return None, None
    return terms.purpose, terms.legal_basis


def _arn(backend: Backend, name: str) -> str:
    return f"arn:aws:rekognition:{backend.region}:{backend.account}:collection/{name}"


def _named(backend: Backend, arn: str) -> str:
    """The collection that an ARN names. Raises WireError for an ARN that names none of here."""
    parts = _ARN.fullmatch(arn)
    if parts is None:
        raise WireError("InvalidParameterException", "ResourceArn: is no ARN of this API; DescribeCollection gives it")
    _, region, account, kind, name = parts.groups()
    if (region, account, kind) != (backend.region, backend.account, "collection"):
        raise WireError("ResourceNotFoundException", "ResourceArn: names no collection of this server")
    return name
