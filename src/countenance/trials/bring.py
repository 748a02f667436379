"""Whatever the user points at, brought to the audit as tallies: photos, templates, scores, tallies, or nothing."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from countenance.audit import Tallies, TemplateSet, load_tallies, tally
from countenance.errors import InputError, ManifestError
from countenance.trials.embedded import embedded_tallies
from countenance.trials.embedding import embed_manifest
from countenance.trials.manifest import Manifest, duplicate_photos, read_manifest
from countenance.trials.scores import read_scores
from countenance.trials.tables import decode
from countenance.trials.templates import photo_paths, read_templates

if TYPE_CHECKING:
    from countenance.faces import Pipeline

__all__ = ["Brought", "bring", "kind_of"]

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Ask:
    """How to read what the user points at. ``by`` None means every column that can form groups."""

    by: tuple[str, ...] | None = None
    thresholds: tuple[float, ...] = ()
    distance: bool = False
    metric: str | None = None
    columns: tuple[str, ...] = ()
    pipeline: str | None = None


@dataclass(frozen=True)
class Brought:
    """Tallies, and where the photos behind them lie (by the path the tallies know), when photos were the input."""

    tallies: Tallies
    photos: dict[str, Path]


def kind_of(path: Path) -> str:
    """``photos``, ``templates``, ``scores`` or ``tallies``, by what is in the file and not by its name.

    Raises ManifestError when it is none of them.
    """
    if path.is_dir():
        return "photos"
    if not path.is_file():
        raise ManifestError(f"{path}: no such file or folder")
    with path.open("rb") as file:
        start = file.read(65536)
    if start[:4] == b"PK\x03\x04":
        return "tallies"
    if start[:4] == b"PAR1":
        names = {name.lower() for name in pq.read_schema(path).names}
    else:
        first = start.splitlines()[0] if start.strip() else b""
        names = {cell.strip().strip('"').lower() for cell in decode(path, first).replace(";", ",").split(",")}
    ...
