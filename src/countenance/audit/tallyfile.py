"""Tallies as a file: what a worker hands on, what is embedded, what a certificate is computed from.

A file is a zip of ``header.json`` (the format, the system, cells, scalars) and one ``.npy`` an array, integers in the
smallest type that holds them. No pickle. The same tallies give the same bytes. docs/tallies.md describes every member.

A file is untrusted input: sizes are checked before anything is allocated, and whatever does not add up (a row sum
against the histogram, the tail against the histogram) is refused by `countenance.audit.validate`.
"""

import io
import json
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.lib import format as npy

from countenance.audit.anonymise import anonymised
from countenance.audit.tallies import (
    FORMAT,
    Candidates,
    DependenceSums,
    Failures,
    MatedSums,
    Sides,
    Sweep,
    System,
    TailPairs,
    Tallies,
)
from countenance.audit.validate import validate
from countenance.errors import TalliesError
from countenance.files import whole_file

__all__ = ["MOST_BYTES", "load_tallies", "save_tallies"]

#: What zipfile, zlib, json, numpy and a header of the wrong shape raise on damaged input; anything else is our fault.
DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)
MOST_BYTES = 1 << 30
MOST_HEADER = 64 << 20
MOST_MEMBERS = 128
SWEEPS = ("verification", "search")
ARRAYS = ("grid", "ladder", "cell_pairs", "pairs", "nonmated", "nonmated_weight", "mated", "mated_weight")
PARTS: Mapping[str, type[Any]] = {
    "left": Sides,
    "right": Sides,
    "dependence": DependenceSums,
    "mated_sums": MatedSums,
    "tail": TailPairs,
    "mated_low": TailPairs,
    "candidates": Candidates,
}
FLOAT32 = {"rows", "column_rows", "score", "scores", "mated_score"}
SCORES = {"score", "scores", "mated_score"}  # float64 where they come from a table of scores, as they were written
FLOAT64 = {
    "grid",
    "ladder",
    "nonmated_weight",
    "mated_weight",
    "squares",
    "count_squares",
    "count_cross",
    "size_squares",
}
DATE = (1980, 1, 1, 0, 0, 0)


def save_tallies(tallies: Tallies, path: str | os.PathLike[str], names: bool = False) -> None:
    """Write ``tallies`` to ``path``, whole or not at all.

    Without ``names`` people and photos get new random numbers (from the system's secure source, so each save differs),
    and names, paths, and every note or input that holds one of them are left out. Raises TalliesError when the folder
    cannot be written or the tallies do not add up.
    """
    validate(tallies)
    if not names:
        tallies = anonymised(tallies)
    target = Path(path)
    try:
        with whole_file(target) as out:
            _write(tallies, out)
    except OSError as error:
        raise TalliesError(
            f"{target}: cannot be written: {error.strerror}; make room or choose another place"
        ) from error


def _write(tallies: Tallies, out: Any) -> None:
    arrays: dict[str, np.ndarray[Any, Any]] = {"cell": tallies.cell}
    header: dict[str, Any] = {
        "format": FORMAT,
        "system": asdict(tallies.system) | {"models": dict(tallies.system.models)},
        "columns": tallies.columns,
        "cells": tallies.cells,
        "names": tallies.names,
        "inputs": dict(tallies.inputs),
        "notes": tallies.notes,
    }
    if tallies.failures is not None:
        arrays |= {"failures/photos": tallies.failures.photos, "failures/failed": tallies.failures.failed}
    for name in SWEEPS:
        sweep = getattr(tallies, name)
        if sweep is not None:
            header[name], found = _flatten(sweep)
            arrays |= {f"{name}/{key}": value for key, value in found.items()}
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        _member(archive, "header.json", json.dumps(header, sort_keys=True, ensure_ascii=False, indent=1).encode())
        for key in sorted(arrays):
            buffer = io.BytesIO()
            npy.write_array(buffer, _compact(arrays[key]), version=(1, 0), allow_pickle=False)
            _member(archive, f"{key}.npy", buffer.getvalue())


def _member(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, DATE)
    entry.external_attr = 0o644 << 16
    entry.create_system = 3
    archive.writestr(entry, data, zipfile.ZIP_DEFLATED, 6)


def _flatten(sweep: Sweep) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    """(scalars and paths for the header, arrays by member name)."""
    arrays = {name: getattr(sweep, name) for name in ARRAYS}
    header: dict[str, Any] = {"symmetric": sweep.symmetric, "parts": []}
    header["tail_cut"] = sweep.tail_cut if sweep.tail_cut is None or math.isfinite(sweep.tail_cut) else "inf"
    header["one_side"] = sweep.left is not None and sweep.right is sweep.left
    for part in PARTS:
        value = getattr(sweep, part)
        if value is None or (part == "right" and header["one_side"]):
            continue
        header["parts"].append(part)
        for f in fields(value):
            content = getattr(value, f.name)
            if f.name == "paths":
                header[f"{part}_paths"] = content
            elif content is not None:
                arrays[f"{part}/{f.name}"] = content
    return header, arrays


def _compact(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Little-endian, C order, integers as small as their values allow."""
    array = np.ascontiguousarray(array)
    if array.dtype.kind == "f":
        return array.astype(array.dtype.newbyteorder("<"), copy=False)
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    kinds = ("u1", "<u2", "<u4") if low >= 0 else ("i1", "<i2", "<i4")
    for kind in kinds:
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return array.astype(kind)
    return array.astype("<i8")


def load_tallies(path: str | os.PathLike[str], most_bytes: int = MOST_BYTES) -> Tallies:
    """Read tallies. Raises TalliesError, naming the field, for whatever is damaged, inconsistent or unpacks to too
    much."""
    where = Path(path)
    try:
        with zipfile.ZipFile(where) as archive:
            return _Reader(archive, most_bytes).tallies()
    except TalliesError as error:
        raise TalliesError(f"{where}: {error}") from error
    except FileNotFoundError as error:
        raise TalliesError(f"{where}: no such file; check the name") from error
    except OSError as error:
        raise TalliesError(f"{where}: cannot be read: {error.strerror}; check the file") from error
    except DAMAGED as error:
        raise TalliesError(f"{where}: not a file of tallies, or damaged; make it again with --save-tallies") from error


class _Reader:
    """Takes one archive apart, distrusting it."""

    def __init__(self, archive: zipfile.ZipFile, most_bytes: int) -> None:
        self.archive = archive
        entries = archive.infolist()
        if len(entries) > MOST_MEMBERS or len({e.filename for e in entries}) != len(entries):
            raise TalliesError(f"{len(entries)} members, or one twice; this is no file of tallies")
        size = sum(e.file_size for e in entries)
        if size > most_bytes:
            raise TalliesError(f"unpacks to {size} bytes, more than {most_bytes}; if you trust it, raise most_bytes")
        self.members = {e.filename: e for e in entries}
        self.header = self._header()

    def _header(self) -> dict[str, Any]:
        entry = self.members.get("header.json")
        if entry is None or entry.file_size > MOST_HEADER:
            raise TalliesError("no header.json of sensible size; this is no file of tallies")
        header = json.loads(self.archive.read(entry).decode())
        if not isinstance(header, dict) or header.get("format") != FORMAT:
            found = header.get("format") if isinstance(header, dict) else None
            raise TalliesError(f"format {found!r} is not {FORMAT}; make the file again with this version")
        return header

    def array(self, name: str) -> np.ndarray[Any, Any]:
        """One member, its size checked before it is allocated, widened to the type the field has in memory."""
        entry = self.members.get(f"{name}.npy")
        if entry is None:
            raise TalliesError(f"{name}: missing; make the file again")
        with self.archive.open(entry) as stream:
            if npy.read_magic(stream) != (1, 0):
                raise TalliesError(f"{name}: not an array of version 1.0")
            shape, fortran, dtype = npy.read_array_header_1_0(stream)
            if fortran or dtype.kind not in "iuf" or dtype.hasobject:
                raise TalliesError(f"{name}: {dtype} is not a plain number type in C order")
            data = stream.read()
        if len(data) != math.prod(shape) * dtype.itemsize or any(n < 0 for n in shape):
            raise TalliesError(f"{name}: {len(data)} bytes do not make the shape {shape}")
        field = name.rsplit("/", 1)[-1]
        wanted = np.float32 if field in FLOAT32 else np.float64 if field in FLOAT64 else np.int64
        if field in SCORES and dtype == np.float64:
            wanted = np.float64
        if (dtype.kind == "f") != (wanted is not np.int64) or (
            dtype.kind == "f" and dtype.itemsize != wanted().itemsize
        ):
            raise TalliesError(f"{name}: {dtype} where {np.dtype(wanted)} belongs")
        if dtype == np.uint64:
            raise TalliesError(f"{name}: {dtype} where {np.dtype(wanted)} belongs")
        return np.frombuffer(data, dtype).reshape(shape).astype(wanted)

    def tallies(self) -> Tallies:
        """Everything, validated."""
        header = self.header
        failures = None
        if "failures/photos.npy" in self.members:
            failures = Failures(self.array("failures/photos"), self.array("failures/failed"))
        sweeps = {name: self._sweep(name) for name in SWEEPS if header.get(name) is not None}
        names = header.get("names")
        found = Tallies(
            system=_system(header.get("system")),
            columns=_strings(header.get("columns"), "columns"),
            cells=tuple(_labels(cell) for cell in _list(header.get("cells"), "cells")),
            cell=self.array("cell"),
            failures=failures,
            names=None if names is None else _strings(names, "names"),
            inputs=_mapping(header.get("inputs"), "inputs"),
            notes=_strings(header.get("notes"), "notes"),
            **sweeps,
        )
        validate(found)
        return found

    def _sweep(self, name: str) -> Sweep:
        header = _mapping(self.header[name], name)
        parts = _strings(header.get("parts"), f"{name}.parts")
        if not set(parts) <= set(PARTS):
            raise TalliesError(f"{name}.parts: unknown part among {', '.join(parts)}")
        found: dict[str, Any] = {key: self.array(f"{name}/{key}") for key in ARRAYS}
        for part in parts:
            found[part] = self._part(name, part, header)
        if header.get("one_side"):
            found["right"] = found.get("left")
        cut = header.get("tail_cut")
        if cut == "inf":
            cut = math.inf
        if not (cut is None or isinstance(cut, float)) or not isinstance(header.get("symmetric"), bool):
            raise TalliesError(f"{name}.tail_cut or {name}.symmetric: not a number, or not true or false")
        return Sweep(symmetric=header["symmetric"], tail_cut=cut, **found)

    def _part(self, name: str, part: str, header: Mapping[str, Any]) -> Any:
        kind = PARTS[part]
        found: dict[str, Any] = {}
        for f in fields(kind):
            key = f"{name}/{part}/{f.name}"
            if f.name == "paths":
                paths = header.get(f"{part}_paths")
                found["paths"] = None if paths is None else _strings(paths, f"{name}.{part}_paths")
            elif f"{key}.npy" in self.members or not f.name.startswith("column_"):
                found[f.name] = self.array(key)
        return kind(**found)


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise TalliesError(f"{name}: a list belongs here")
    return value


def _strings(value: Any, name: str) -> tuple[str, ...]:
    if not all(isinstance(v, str) for v in _list(value, name)):
        raise TalliesError(f"{name}: only text belongs here")
    return tuple(value)


def _labels(value: Any) -> tuple[str | None, ...]:
    if not all(v is None or isinstance(v, str) for v in _list(value, "cells")):
        raise TalliesError("cells: a label is text or null")
    return tuple(value)


def _mapping(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TalliesError(f"{name}: an object belongs here")
    return cast(dict[str, Any], value)


def _system(value: Any) -> System:
    given = _mapping(value, "system")
    text = ("name", "pipeline", "metric", "documented_meaning")
    threshold = given.get("documented_threshold")
    sound = (
        set(given) == {f.name for f in fields(System)}
        and all(given[k] is None or isinstance(given[k], str) for k in text)
        and isinstance(given["name"], str)
        and (threshold is None or (isinstance(threshold, int | float) and math.isfinite(threshold)))
        and all(isinstance(v, str) for v in _mapping(given["models"], "system.models").values())
    )
    if not sound:
        raise TalliesError(
            "system: name, pipeline, metric, documented_threshold, documented_meaning, models belong here"
        )
    return System(**given)
