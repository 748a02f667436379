"""AWS JSON 1.1, held against botocore's own model of the API: bytes <-> checked members.

A request passes only if it meets every constraint of the model (required, type, enum, minimum, maximum, pattern);
clients check only some of them. An answer is held against the model too: one that does not fit is our fault, raises
ValueError and is never sent.

Stricter than AWS, on purpose: an unknown member is refused, because a misspelled ``FaceMatchThreshold`` that is
ignored returns strangers; so is a member that comes twice. ``null`` stands for a member that is not there.
"""

import base64
import json
import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any, Final

from botocore.loaders import Loader
from botocore.model import ServiceModel

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

_OPENERS, _COMMAS, _DIGITS = 2048, 16_384, 64  # no request that the model allows has more
_LONGEST = 4096  # characters of a string that has a pattern, but no maximum
_UNKNOWN = "Member is not known; this server refuses what others would ignore"
_INTEGERS = {"integer": 2**31, "long": 2**63}

Check = Callable[[Any], Any]


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
    except _TooLargeError as wrong:
        if "ImageTooLargeException" in error_codes(operation):
            raise WireError("ImageTooLargeException", wrong.sentence()) from None
        raise WireError("InvalidParameterException", wrong.sentence()) from None
    except _WrongError as wrong:
        raise WireError("InvalidParameterException", wrong.sentence()) from None
    return found


def write_answer(operation: str, members: Mapping[str, Any]) -> bytes:
    """The body of an answer. Blobs come as bytes, timestamps as aware datetimes; members that are None are left out.

    The member ``Countenance`` goes through as it is. Raises ValueError for anything the model does not allow.
    """
    known = {name: value for name, value in members.items() if name != EXTRA}
    try:
        answer = _answer_check(operation)(known)
    except _WrongError as wrong:
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
    except _WrongError as wrong:
        raise WireError("InvalidParameterException", f"The request body is not sound JSON: {wrong.why}") from None
    except (ValueError, RecursionError):
        raise WireError("InvalidParameterException", "The request body is not JSON in UTF-8") from None
    if not isinstance(members, dict):
        raise WireError("InvalidParameterException", "The request body is not a JSON object")
    return members


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _WrongError("a member comes twice")
    return found


def _refuse_constant(_: str) -> Any:
    raise _WrongError("NaN and Infinity are no numbers")


def _integer(text: str) -> int:
    if len(text) > _DIGITS:
        raise _WrongError("a number has too many digits")
    return int(text)


def _decimal(text: str) -> float:
    if len(text) > _DIGITS:
        raise _WrongError("a number has too many digits")
    return float(text)


# -- constraints -----------------------------------------------------------------------------------------------------


class _WrongError(Exception):
    """A value breaks a constraint; whoever holds it adds where it stood while this passes."""

    def __init__(self, why: str, *where: str) -> None:
        super().__init__(why)
        self.why, self.where = why, list(where)

    def sentence(self) -> str:
        """In AWS's words. The value is not told: it may be somebody's name."""
        path = "".join(reversed(self.where)).removeprefix(".")
        return f"1 validation error detected: Value at '{path}' failed to satisfy constraint: {self.why}"


class _TooLargeError(_WrongError):
    """A blob is longer than its maximum."""


@cache
def _request_check(operation: str) -> Check:
    return _check(_MODEL.operation_model(operation).input_shape, writing=False)


@cache
def _answer_check(operation: str) -> Check:
    return _check(_MODEL.operation_model(operation).output_shape, writing=True)


def _check(shape: Any, writing: bool) -> Check:
    """What checks a value of this shape and gives it back as the other side wants it. The model has no cycles."""
    match shape.type_name if shape is not None else "structure":
        case "structure":
            return _structure(shape, writing)
        case "list":
            return _list(shape, writing)
        case "map":
            return _map(shape, writing)
        case "string":
            return _string(shape)
        case "integer" | "long":
            return _whole(shape)
        case "float" | "double":
            return _number(shape)
        case "boolean":
            return _boolean
        case "blob":
            return _blob(shape, writing)
        case "timestamp":
            return _moment if writing else _seconds
    raise NotImplementedError(shape.type_name)


def _structure(shape: Any, writing: bool) -> Check:
    members = {} if shape is None else {name: _check(member, writing) for name, member in shape.members.items()}
    required = () if shape is None else tuple(shape.required_members)

    def check(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping if writing else dict):
            raise _WrongError("Member must be a structure")
        found = {}
        for name, member in value.items():
            known = members.get(name)
            if known is None:
                raise _WrongError(_UNKNOWN, f".{_shown(name)}")
            if member is None:
                continue
            try:
                found[name] = known(member)
            except _WrongError as wrong:
                wrong.where.append(f".{name}")
                raise
        for name in required:
            if name not in found:
                raise _WrongError("Member must not be null", f".{name}")
        return found

    return check


def _list(shape: Any, writing: bool) -> Check:
    # An answer's list may be empty where a request's may not: the model has one shape for both (DeletedFaces).
    size = _length(shape, least=0 if writing else None)
    each, kinds = _check(shape.member, writing), (list, tuple) if writing else list

    def check(value: Any) -> list[Any]:
        if not isinstance(value, kinds):
            raise _WrongError("Member must be a list")
        size(len(value))
        found: list[Any] = []
        try:
            for item in value:
                found.append(each(item))  # noqa: PERF401  (its length says which one was wrong)
        except _WrongError as wrong:
            wrong.where.append(f"[{len(found)}]")
            raise
        return found

    return check


def _map(shape: Any, writing: bool) -> Check:
    name_of, each, size = _check(shape.key, writing), _check(shape.value, writing), _length(shape)

    def check(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping if writing else dict):
            raise _WrongError("Member must be a map")
        size(len(value))
        found = {}
        for number, (name, item) in enumerate(value.items()):
            try:
                found[name_of(name)] = each(item)
            except _WrongError as wrong:
                wrong.where.append(f"[{number}]")
                raise
        return found

    return check


def _string(shape: Any) -> Check:
    pattern = shape.metadata.get("pattern")
    size = _length(shape, longest=_LONGEST if pattern else None)
    choices = frozenset(shape.enum)
    enum = f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"
    fits = _matcher(pattern) if pattern else None

    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise _WrongError("Member must be a string")
        size(len(value))
        if choices and value not in choices:
            raise _WrongError(enum)
        if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
            raise _WrongError("Member must be well-formed Unicode")
        if fits is not None and not fits(value):
            raise _WrongError(f"Member must satisfy regular expression pattern: {pattern}")
        return value

    return check


def _whole(shape: Any) -> Check:
    inside, bound = _range(shape), _INTEGERS[shape.type_name]

    def check(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not -bound <= value < bound:
            raise _WrongError(f"Member must be {'an integer' if bound == 2**31 else 'a long integer'}")
        inside(value)
        return value

    return check


def _number(shape: Any) -> Check:
    inside = _range(shape)

    def check(value: Any) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise _WrongError("Member must be a finite number")
        inside(value)
        return float(value)

    return check


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _WrongError("Member must be a boolean")
    return value


def _blob(shape: Any, writing: bool) -> Check:
    size = _length(shape, wrong=_TooLargeError)
    longest = 4 * ((shape.metadata.get("max", _MOST) + 2) // 3)

    def read(value: Any) -> bytes:
        if not isinstance(value, str):
            raise _WrongError("Member must be a blob in base64")
        if len(value) > longest:
            size(len(value) // 4 * 3)
        try:
            found = base64.b64decode(value, validate=True)
        except ValueError:
            raise _WrongError("Member must be a blob in base64") from None
        size(len(found))
        return found

    def write(value: Any) -> str:
        if not isinstance(value, bytes):
            raise _WrongError("Member must be bytes")
        size(len(value))
        return base64.b64encode(value).decode("ascii")

    return write if writing else read


def _seconds(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < 1e11:
        raise _WrongError("Member must be a timestamp: seconds since 1970")
    return float(value)


def _moment(value: Any) -> float:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise _WrongError("Member must be a datetime with a zone")
    return round(value.timestamp(), 3)


_MOST = 2**40


def _length(
    shape: Any, longest: int | None = None, wrong: type[_WrongError] = _WrongError, least: int | None = None
) -> Callable[[int], None]:
    least = shape.metadata.get("min", 0) if least is None else least
    most = shape.metadata.get("max", longest or _MOST)

    def check(size: int) -> None:
        if size < least:
            raise _WrongError(f"Member must have length greater than or equal to {least}")
        if size > most:
            raise wrong(f"Member must have length less than or equal to {most}")

    return check


def _range(shape: Any) -> Callable[[float], None]:
    least, most = shape.metadata.get("min", -math.inf), shape.metadata.get("max", math.inf)

    def check(value: float) -> None:
        if value < least:
            raise _WrongError(f"Member must have value greater than or equal to {least}")
        if value > most:
            raise _WrongError(f"Member must have value less than or equal to {most}")

    return check


_CATEGORIES = {"L": "a", "N": "0", "Z": " "}


def _matcher(pattern: str) -> Callable[[str], object]:
    """Whether a whole string fits one of the model's patterns, which are Java's.

    Their ``\\d``, ``\\w`` and ``\\s`` are ASCII. Python has no ``\\p{L}``, ``\\p{N}``, ``\\p{Z}``: in patterns with
    these, each other character is put as one of the same category (or as NUL, which fits nothing), and ASCII stands
    for the category. Tests hold every pattern of the model to this.
    """
    if "\\p{" not in pattern:
        return re.compile(pattern, re.ASCII).fullmatch
    ascii_only = pattern.replace("\\p{L}", "a-zA-Z").replace("\\p{N}", "0-9").replace("\\p{Z}", " ")
    found = re.compile(ascii_only, re.ASCII)
    return lambda text: found.fullmatch(text if text.isascii() else "".join(map(_plain, text)))


def _plain(char: str) -> str:
    return char if char.isascii() else _CATEGORIES.get(unicodedata.category(char)[0], "\0")


def _shown(name: Any) -> str:
    """A member's name that the client made up, as far as it is harmless to say again."""
    return name if isinstance(name, str) and re.fullmatch(r"\w{1,64}", name, re.ASCII) else "?"
