"""Model cards: what must be known of a model before a number of it means anything."""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from countenance.errors import ModelError
from countenance.faces.align import TEMPLATES

__all__ = ["ModelCard", "known_cards", "parse_card", "read_card"]

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
DECODERS = ("centerface", "yunet")


@dataclass(frozen=True)
class ModelCard:
    """One model: what it is, whose it is, how to feed it, how to read it.

    A pixel p (0..255) is fed as ``(p * scale - mean) / std``, per channel, in the order of ``channels``.
    """

    name: str
    role: str  #: ``detector`` or ``embedder``
    licence: str
    source: str  #: where it is published
    sha256: str
    title: str = ""
    #: Files beside the ONNX file that hold its weights, with their sha256.
    files: Mapping[str, str] = field(default_factory=dict)
    bytes: int | None = None
    url: str | None = None  #: where ``models fetch`` finds it
    input_size: tuple[int, int] | None = None  #: (width, height); None: any size
    channels: str = "rgb"  #: or ``bgr``
    scale: float = 1.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    metric: str = "cosine"  #: or ``euclidean``; the score is the cosine, or minus the distance
    dim: int | None = None
    template: tuple[tuple[float, float], ...] | None = None  #: five landmarks in pixels of the input
    mirror: bool = False  #: average each face with its mirror image, by default
    threshold: float | None = None  #: the documented threshold, as a score
    threshold_meaning: str = ""
    decoder: str | None = None  #: of a detector: ``centerface`` or ``yunet``
    detection_threshold: float = 0.5
    reported: str = ""  #: what its makers report
    notes: str = ""
    #: Of the models at hand the one of highest rank is used; 0: only when named.
    rank: int = 0


def _fail(where: str, field_: str, problem: str) -> ModelError:
    return ModelError(f"{where}: {field_}: {problem}")


def _triple(where: str, name: str, value: Any) -> tuple[float, float, float]:
    values = value if isinstance(value, list) else [value] * 3
    if len(values) != 3 or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        raise _fail(where, name, "must be a number, or three (one per channel, in the order of 'channels')")
    if name == "std" and not all(values):
        raise _fail(where, name, "must not be 0")
    return (float(values[0]), float(values[1]), float(values[2]))


def _template(where: str, value: object, size: tuple[int, int]) -> tuple[tuple[float, float], ...]:
    if isinstance(value, str):
        if value not in TEMPLATES:
            raise _fail(where, "template", f"{value!r} is not known: {', '.join(TEMPLATES)}, or five [x, y] pairs")
        side, points = TEMPLATES[value]
        return tuple((x * size[0] / side, y * size[1] / side) for x, y in points)
    if (
        not isinstance(value, list)
        or len(value) != 5
        or not all(isinstance(p, list) and len(p) == 2 for p in value)
        or not all(isinstance(c, int | float) for p in value for c in p)
    ):
        raise _fail(where, "template", "must be a name or five [x, y] pairs in pixels of the input")
    return tuple((float(x), float(y)) for x, y in value)


_TEXTS = {"name", "role", "licence", "source", "sha256", "title", "url", "channels", "metric", "decoder"}
_TEXTS |= {"threshold_meaning", "reported", "notes"}
_ALLOWED = {*_TEXTS, "files", "bytes", "input_size", "scale", "mean", "std", "dim", "template", "mirror"}
_ALLOWED |= {"threshold", "detection_threshold", "rank"}


def _check_shape_of(raw: Mapping[str, Any], where: str) -> None:
    """Check names and types of the fields."""
    unknown = sorted(set(raw) - _ALLOWED)
    if unknown:
        raise _fail(where, unknown[0], f"is not a field of a card; there are {', '.join(sorted(_ALLOWED))}")
    needed = ["name", "role", "licence", "source", "sha256"]
    if raw.get("role") == "embedder":
        needed += ["input_size", "dim", "metric", "template"]
    elif raw.get("role") == "detector":
        needed += ["decoder"]
    for name in needed:
        if name not in raw:
            raise _fail(where, name, "is missing")
    for name in _TEXTS:
        if name in raw and not (isinstance(raw[name], str) and raw[name].strip()):
            raise _fail(where, name, "must be a text that is not empty")
    for name, kinds in {"scale": (int, float), "threshold": (int, float), "detection_threshold": (int, float)}.items():
        if name in raw and (not isinstance(raw[name], kinds) or isinstance(raw[name], bool)):
            raise _fail(where, name, "must be a number")
    for name in ("dim", "bytes", "rank"):
        if name in raw and (type(raw[name]) is not int or raw[name] < 0):
            raise _fail(where, name, "must be a whole number, not negative")
    if "mirror" in raw and not isinstance(raw["mirror"], bool):
        raise _fail(where, "mirror", "must be true or false")


def parse_card(raw: Mapping[str, Any], where: str) -> ModelCard:
    """Check a card's fields and make a card of them.

    Args:
        raw: the fields, as TOML or JSON give them.
        where: the file, for the messages.

    Raises:
        ModelError: a field is missing, unknown or of the wrong kind; the message names it.
    """
    _check_shape_of(raw, where)
    fields = dict(raw)
    choices = {"role": ("detector", "embedder"), "channels": ("rgb", "bgr"), "metric": ("cosine", "euclidean")}
    for name, allowed in {**choices, "decoder": DECODERS}.items():
        if name in fields and fields[name] not in allowed:
            raise _fail(where, name, f"must be one of {', '.join(allowed)}")
    if not _NAME.fullmatch(fields["name"]):
        raise _fail(where, "name", "must be lower-case letters, digits, dots, dashes (at most 64)")
    files = fields.get("files", {})
    if not isinstance(files, dict) or any(Path(f).name != f for f in files):
        raise _fail(where, "files", "must give plain file names their sha256")
    for name, value in {"sha256": fields["sha256"], **files}.items():
        if not isinstance(value, str) or not _SHA256.fullmatch(value):
            raise _fail(where, str(name), "a sha256 is 64 hexadecimal digits, in lower case")
    size = fields.get("input_size")
    if size is not None:
        if not (isinstance(size, list) and len(size) == 2 and all(type(s) is int and 16 <= s <= 4096 for s in size)):
            raise _fail(where, "input_size", "must be [width, height] in pixels, 16 to 4096")
        fields["input_size"] = (size[0], size[1])
    if fields["role"] == "embedder":
        fields["template"] = _template(where, fields["template"], fields["input_size"])
        if fields["dim"] < 1:
            raise _fail(where, "dim", "must be at least 1")
    for name in ("mean", "std"):
        if name in fields:
            fields[name] = _triple(where, name, fields[name])
    return ModelCard(**fields)


def read_card(path: Path) -> ModelCard:
    """Read a card from a ``.toml`` or ``.json`` file.

    Raises:
        ModelError: the file is missing, not TOML or JSON, or a field is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
        raw = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not a readable card in TOML or JSON ({str(error).splitlines()[0]})") from error
    if not isinstance(raw, dict):
        raise ModelError(f"{path}: a card is a table of fields, see docs/models.md")
    return parse_card(raw, str(path))


@cache
def known_cards() -> tuple[ModelCard, ...]:
    """The published models that are known by their sha256, strongest embedder first."""
    text = resources.files("countenance.faces").joinpath("known_models.toml").read_text(encoding="utf-8")
    cards = [parse_card(raw, "known_models.toml") for raw in tomllib.loads(text)["model"]]
    return tuple(sorted(cards, key=lambda c: (c.role, -c.rank, c.name)))
