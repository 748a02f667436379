"""The constraints of AWS's model, compiled: a function for each shape that checks a value and turns it over.

Reading, it takes what JSON gave and gives what the operations want (blobs as bytes); writing, the other way round.
Shapes are compiled once and together, so that checking a request costs no more than its values.
"""

import base64
import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

__all__ = ["BrokenError", "Check", "TooLargeError", "compiled", "matcher"]

_UNKNOWN = "Member is not known; this server refuses what others would ignore"
_LONGEST = 4096  # characters of a string that has a pattern, but no maximum
_MOST = 2**40
_INTEGERS = {"integer": 2**31, "long": 2**63}

Check = Callable[[Any], Any]


class BrokenError(Exception):
    """A value breaks a constraint; whoever holds it adds where it stood while this passes."""

    def __init__(self, why: str, *where: str) -> None:
        super().__init__(why)
        self.why, self.where = why, list(where)

    def sentence(self) -> str:
        """In AWS's words. The value is not told: it may be somebody's name."""
        path = "".join(reversed(self.where)).removeprefix(".")
        return f"1 validation error detected: Value at '{path}' failed to satisfy constraint: {self.why}"


class TooLargeError(BrokenError):
    """A blob is longer than its maximum."""


def compiled(shape: Any, writing: bool) -> Check:
    """What checks a value of one of botocore's shapes (None: no members) and gives it back as the other side wants it.

    It raises BrokenError, which names the member. The model has no cycles.
    """
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
    members = {} if shape is None else {name: compiled(member, writing) for name, member in shape.members.items()}
    required = () if shape is None else tuple(shape.required_members)

    def check(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping if writing else dict):
            raise BrokenError("Member must be a structure")
        found = {}
        for name, member in value.items():
            known = members.get(name)
            if known is None:
                raise BrokenError(_UNKNOWN, f".{_shown(name)}")
            if member is None:
                continue
            try:
                found[name] = known(member)
            except BrokenError as wrong:
                wrong.where.append(f".{name}")
                raise
        for name in required:
            if name not in found:
                raise BrokenError("Member must not be null", f".{name}")
        return found

    return check


def _list(shape: Any, writing: bool) -> Check:
    # An answer's list may be empty where a request's may not: the model has one shape for both (DeletedFaces).
    size = _length(shape, least=0 if writing else None)
    each, kinds = compiled(shape.member, writing), (list, tuple) if writing else list

    def check(value: Any) -> list[Any]:
        if not isinstance(value, kinds):
            raise BrokenError("Member must be a list")
        size(len(value))
        found: list[Any] = []
        try:
            for item in value:
                found.append(each(item))  # noqa: PERF401  (its length says which one was wrong)
        except BrokenError as wrong:
            wrong.where.append(f"[{len(found)}]")
            raise
        return found

    return check


def _map(shape: Any, writing: bool) -> Check:
    name_of, each, size = compiled(shape.key, writing), compiled(shape.value, writing), _length(shape)

    def check(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping if writing else dict):
            raise BrokenError("Member must be a map")
        size(len(value))
        found = {}
        for number, (name, item) in enumerate(value.items()):
            try:
                found[name_of(name)] = each(item)
            except BrokenError as wrong:
                wrong.where.append(f"[{number}]")
                raise
        return found

    return check


def _string(shape: Any) -> Check:
    pattern = shape.metadata.get("pattern")
    size = _length(shape, longest=_LONGEST if pattern else None)
    choices = frozenset(shape.enum)
    enum = f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"
    fits = matcher(pattern) if pattern else None

    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise BrokenError("Member must be a string")
        size(len(value))
        if choices and value not in choices:
            raise BrokenError(enum)
        if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
            raise BrokenError("Member must be well-formed Unicode")
        if fits is not None and not fits(value):
            raise BrokenError(f"Member must satisfy regular expression pattern: {pattern}")
        return value

    return check


def _whole(shape: Any) -> Check:
    inside, bound = _range(shape), _INTEGERS[shape.type_name]

    def check(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not -bound <= value < bound:
            raise BrokenError(f"Member must be {'an integer' if bound == 2**31 else 'a long integer'}")
        inside(value)
        return value

    return check


def _number(shape: Any) -> Check:
    inside = _range(shape)

    def check(value: Any) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise BrokenError("Member must be a finite number")
        inside(value)
        return float(value)

    return check


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise BrokenError("Member must be a boolean")
    return value


def _blob(shape: Any, writing: bool) -> Check:
    size = _length(shape, wrong=TooLargeError)
    longest = 4 * ((shape.metadata.get("max", _MOST) + 2) // 3)

    def read(value: Any) -> bytes:
        if not isinstance(value, str):
            raise BrokenError("Member must be a blob in base64")
        if len(value) > longest:
            size(len(value) // 4 * 3)
        try:
            found = base64.b64decode(value, validate=True)
        except ValueError:
            raise BrokenError("Member must be a blob in base64") from None
        size(len(found))
        return found

    def write(value: Any) -> str:
        if not isinstance(value, bytes):
            raise BrokenError("Member must be bytes")
        size(len(value))
        return base64.b64encode(value).decode("ascii")

    return write if writing else read


def _seconds(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < 1e11:
        raise BrokenError("Member must be a timestamp: seconds since 1970")
    return float(value)


def _moment(value: Any) -> float:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise BrokenError("Member must be a datetime with a zone")
    return round(value.timestamp(), 3)


def _length(
    shape: Any, longest: int | None = None, wrong: type[BrokenError] = BrokenError, least: int | None = None
) -> Callable[[int], None]:
    least = shape.metadata.get("min", 0) if least is None else least
    most = shape.metadata.get("max", longest or _MOST)

    def check(size: int) -> None:
        if size < least:
            raise BrokenError(f"Member must have length greater than or equal to {least}")
        if size > most:
            raise wrong(f"Member must have length less than or equal to {most}")

    return check


def _range(shape: Any) -> Callable[[float], None]:
    least, most = shape.metadata.get("min", -math.inf), shape.metadata.get("max", math.inf)

    def check(value: float) -> None:
        if value < least:
            raise BrokenError(f"Member must have value greater than or equal to {least}")
        if value > most:
            raise BrokenError(f"Member must have value less than or equal to {most}")

    return check


_CATEGORIES = {"L": "a", "N": "0", "Z": " "}


def matcher(pattern: str) -> Callable[[str], object]:
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
