"""AWS JSON 1.1, held against botocore's own model of the API: bytes <-> checked members.

A request passes only if it meets every constraint of the model (required, type, enum, minimum, maximum, pattern);
clients check only some of them. An answer is held against the model too: one that does not fit is our fault, raises
ValueError and is never sent.

Stricter than AWS, on purpose: an unknown member is refused, because a misspelled ``FaceMatchThreshold`` that is
ignored returns strangers; so is a member that comes twice. ``null`` stands for a member that is not there.
"""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from botocore.loaders import Loader
from botocore.model import ServiceModel

from countenance.service.constraints import BrokenError, Check, TooLargeError, compiled
from countenance.service.failures import WireError

__all__ = [
    "CONTENT_TYPE",
    "ERROR_HEADER",
    "EXTRA",
    "OPERATIONS",
    "TARGET_PREFIX",
    "error_body",
    "error_codes",
    "read_request",
    "write_answer",
]

CONTENT_TYPE = "application/x-amz-json-1.1"
ERROR_HEADER = "x-amzn-errortype"
"""Where some SDKs read an error's code; the body has it too."""
TARGET_PREFIX = "RekognitionService."
"""What stands before the operation in ``X-Amz-Target``."""
EXTRA = "Countenance"
"""The one top-level member of an answer that AWS's model does not know."""

_OPENERS, _COMMAS, _DIGITS = 4200, 16_384, 64  # no request that the model allows has more, not even in its texts


def _model() -> ServiceModel:
    """The model that comes with botocore; what lies in somebody's ~/.aws/models plays no part."""
    loader = Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    return ServiceModel(loader.load_service_model("rekognition", "service-2"), service_name="rekognition")


_MODEL: Final = _model()
OPERATIONS: Final[frozenset[str]] = frozenset(_MODEL.operation_names)
"""The names of all operations of the API."""


def read_request(operation: str, body: bytes) -> dict[str, Any]:
    """The members of a request: blobs as bytes, floats as float, timestamps as seconds; absent ones are left out.

    Raises WireError: ImageTooLargeException for too many bytes of a photo, else InvalidParameterException, which names
    the member and the constraint, but not the value.
    """
    if operation not in OPERATIONS:
        raise WireError("InvalidParameterException", "X-Amz-Target: names no operation of this API")
    members = _parsed(body)
    try:
        found: dict[str, Any] = _request_check(operation)(members)
    except TooLargeError as wrong:
        if "ImageTooLargeException" in error_codes(operation):
            raise WireError("ImageTooLargeException", wrong.sentence()) from None
        raise WireError("InvalidParameterException", wrong.sentence()) from None
    except BrokenError as wrong:
        raise WireError("InvalidParameterException", wrong.sentence()) from None
    return found


def write_answer(operation: str, members: Mapping[str, Any]) -> bytes:
    """The body of an answer. Blobs come as bytes, timestamps as aware datetimes; members that are None are left out.

    The member ``Countenance`` goes through as it is. Raises ValueError for anything the model does not allow.
    """
    known = {name: value for name, value in members.items() if name != EXTRA}
    try:
        answer = _answer_check(operation)(known)
    except BrokenError as wrong:
        raise ValueError(f"{operation}: the answer is wrong: {wrong.sentence()}") from None
    if EXTRA in members:
        answer[EXTRA] = members[EXTRA]
    return json.dumps(answer, allow_nan=False, separators=(",", ":")).encode("ascii")


def error_body(error: WireError, request_id: str | None = None) -> bytes:
    """The body of an error: ``__type`` and ``message`` for every SDK, and the members that the model gives errors."""
    said = {"__type": error.code, "message": error.message, "Code": error.code, "Message": error.message}
    if request_id is not None:
        said["Logref"] = request_id
    return json.dumps(said, separators=(",", ":")).encode("ascii")


@cache
def error_codes(operation: str) -> frozenset[str]:
    """The codes of the errors that the model gives an operation."""
    return frozenset(shape.name for shape in _MODEL.operation_model(operation).error_shapes)


@cache
def _request_check(operation: str) -> Check:
    return compiled(_MODEL.operation_model(operation).input_shape, writing=False)


@cache
def _answer_check(operation: str) -> Check:
    return compiled(_MODEL.operation_model(operation).output_shape, writing=True)


# -- JSON ------------------------------------------------------------------------------------------------------------


def _parsed(body: bytes) -> dict[str, Any]:
    """The object in a body. Counting first bounds depth and memory whatever the bytes are."""
    if body.count(b"{") + body.count(b"[") > _OPENERS or body.count(b",") > _COMMAS:
        raise WireError("InvalidParameterException", "The request body holds more than any request of this API can")
    try:
        members = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_members,
            parse_constant=_refuse_constant,
            parse_int=_integer,
            parse_float=_decimal,
        )
    except BrokenError as wrong:
        raise WireError("InvalidParameterException", f"The request body is not sound JSON: {wrong.why}") from None
    except (ValueError, RecursionError):
        raise WireError("InvalidParameterException", "The request body is not JSON in UTF-8") from None
    if not isinstance(members, dict):
        raise WireError("InvalidParameterException", "The request body is not a JSON object")
    return members


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BrokenError("a member comes twice")
    return found


def _refuse_constant(_: str) -> Any:
    raise BrokenError("NaN and Infinity are no numbers")


def _integer(text: str) -> int:
    if len(text) > _DIGITS:
        raise BrokenError("a number has too many digits")
    return int(text)


def _decimal(text: str) -> float:
    if len(text) > _DIGITS:
        raise BrokenError("a number has too many digits")
    return float(text)
