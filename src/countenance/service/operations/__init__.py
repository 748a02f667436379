"""The 21 face operations: each a function of the backend, the call and checked members; HTTP is not known here.

answer = OPERATIONS["SearchFaces"](backend, call, params)

``params`` were held against the API's model before (`countenance.service.wire.read_request`), the answer is held
against it afterwards. Whatever goes wrong is a WireError with one of the codes that the model gives the operation.
"""

from collections.abc import Mapping
from functools import wraps
from types import MappingProxyType

from countenance.errors import CountenanceError
from countenance.service.backend import Backend
from countenance.service.caller import Call
from countenance.service.failures import wire_error
from countenance.service.operations import collections, faces, photos, search, users
from countenance.service.operations.common import Answer, Operation, Params

__all__ = ["OPERATIONS"]


def _translated(operation: Operation) -> Operation:
    """The operation, with errors of the domain in the client's words."""

    @wraps(operation)
    def run(backend: Backend, call: Call, params: Params) -> Answer:
        try:
            return operation(backend, call, params)
        except CountenanceError as error:
            raise wire_error(error) from error

    return run


OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        name: _translated(operation)
        for name, operation in {
            "AssociateFaces": users.associate_faces,
            "CompareFaces": photos.compare_faces,
            "CreateCollection": collections.create_collection,
            "CreateUser": users.create_user,
            "DeleteCollection": collections.delete_collection,
            "DeleteFaces": faces.delete_faces,
            "DeleteUser": users.delete_user,
            "DescribeCollection": collections.describe_collection,
            "DetectFaces": photos.detect_faces,
            "DisassociateFaces": users.disassociate_faces,
            "IndexFaces": faces.index_faces,
            "ListCollections": collections.list_collections,
            "ListFaces": faces.list_faces,
            "ListTagsForResource": collections.list_tags_for_resource,
            "ListUsers": users.list_users,
            "SearchFaces": search.search_faces,
            "SearchFacesByImage": search.search_faces_by_image,
            "SearchUsers": search.search_users,
            "SearchUsersByImage": search.search_users_by_image,
            "TagResource": collections.tag_resource,
            "UntagResource": collections.untag_resource,
        }.items()
    }
)
"""From the operation's name to what does it."""
