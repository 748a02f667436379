"""`audit.json` and `report.html` on disk: the same bytes for the same result, and never half a file.

The JSON is described by the JSON Schema (draft 2020-12) that ships beside this module, `SCHEMA_PATH`.
"""

import errno
import json
import math
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from countenance.audit.result import AuditResult
from countenance.errors import InputError
from countenance.report.html import render_html

__all__ = ["SCHEMA_PATH", "Written", "json_text", "schema_text", "write_json", "write_report", "write_texts"]

SCHEMA_PATH = Path(__file__).with_name("audit.schema.json")
INDENT = "  "


@dataclass(frozen=True)
class Written:
    """Where the two files of an audit are."""

    audit_json: Path
    report_html: Path


def schema_text() -> str:
    """The JSON Schema of ``audit.json``, as published."""
    return SCHEMA_PATH.read_text(encoding="utf-8")


def json_text(result: AuditResult) -> str:
    """``audit.json`` as text: fields in the order of the result, one scalar list a line, floats as Python's repr.

    Raises ValueError, naming the field, where a number is NaN or infinite or a value has no place in JSON.
    """
    return _render(result.to_json(), "audit.json", "") + "\n"


def write_json(result: AuditResult, path: Path) -> Path:
    """Write ``audit.json`` to `path`, replacing it whole or not at all.

    Raises ValueError as `json_text` does, and InputError when the place cannot be written.
    """
    _write_all({Path(path): json_text(result)})
    return Path(path)


def write_report(
    result: AuditResult, directory: Path, thumbnail: Callable[[str], bytes | None] | None = None
) -> Written:
    """Write ``audit.json`` and ``report.html`` into `directory`, which is made if need be: both or neither.

    ``thumbnail`` turns a photo's path into a small JPEG, PNG or WebP, or None; without it the report shows no photo.
    Raises ValueError as `json_text` does, and InputError when the place cannot be written.
    """
    directory = Path(directory)
    written = Written(directory / "audit.json", directory / "report.html")
    texts = {written.audit_json: json_text(result), written.report_html: render_html(result, thumbnail)}
    write_texts(directory, texts)
    return written


def write_texts(directory: Path, texts: Mapping[Path, str]) -> None:
    """Write files into a directory, which is made if need be: all or none. Raises InputError."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(directory, error) from error
    _write_all(texts)


def _write_all(texts: Mapping[Path, str]) -> None:
    """Write every file beside its place, then move all of them there; on any failure to write, none is moved."""
    made: dict[Path, Path] = {}
    try:
        for path, text in texts.items():
            made[path] = _write_beside(path, text)
        for path, temporary in made.items():
            temporary.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        for temporary in made.values():
            temporary.unlink(missing_ok=True)


def _write_beside(path: Path, text: str) -> Path:
    """A finished temporary file in the folder of `path`."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        with temporary.open("xb") as file:
            # A path that is not UTF-8 comes as lone surrogates: written as \udcXX, which is how JSON spells them.
            file.write(text.encode("utf-8", "backslashreplace"))
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(f"{path}: cannot be written ({error.strerror or error}); choose another place with --out")


def _render(value: Any, where: str, indent: str) -> str:
    """JSON with nested fields on their own lines and lists of plain values on one line."""
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):
        value = value.item()  # a NumPy scalar
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} is {value}: an audit writes no NaN or infinity; give None and a reason")
    if isinstance(value, Mapping):
        return _block(
            [f"{_key(k, where)}: {_render(v, f'{where}.{k}', indent + INDENT)}" for k, v in value.items()], indent
        )
    if isinstance(value, (list, tuple)):
        items = [_render(v, f"{where}[{k}]", indent + INDENT) for k, v in enumerate(value)]
        nested = any(isinstance(v, (Mapping, list, tuple)) for v in value)
        return _block(items, indent, "[]") if nested else f"[{', '.join(items)}]"
    if value is None or isinstance(value, (bool, int, float, str)):
        return json.dumps(value, ensure_ascii=False)
    raise ValueError(f"{where} is a {type(value).__name__}, which JSON cannot hold")


def _key(name: Any, where: str) -> str:
    if not isinstance(name, str):
        raise ValueError(f"{where} has the key {name!r}; keys are text")
    return json.dumps(name, ensure_ascii=False)


def _block(items: list[str], indent: str, brackets: str = "{}") -> str:
    if not items:
        return brackets
    inner = indent + INDENT
    return f"{brackets[0]}\n{inner}" + f",\n{inner}".join(items) + f"\n{indent}{brackets[1]}"
