"""Manifests: which photo shows whom, and to which groups they belong."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from countenance.errors import ManifestError
from countenance.trials.labels import Labels, choose, columns_of, label
from countenance.trials.tables import Table, read_table

_PHOTO_ENDINGS = "jpg jpeg jpe jfif png webp bmp gif tif tiff ppm pgm avif heic heif"
PHOTO_SUFFIXES = frozenset(f".{ending}" for ending in _PHOTO_ENDINGS.split())
_SPARE_MANIFEST = "manifest.csv"


@dataclass(frozen=True)
class Manifest:
    """Photos and whom they show, n of them, in the order given.

    ``paths`` (n,) absolute; ``given`` (n,) as written, relative to ``root``; ``subject`` (n,) numbers into
    ``subjects``, which are in order of first appearance; ``labels`` the cells of every further column, (n,) each.
    """

    source: Path
    root: Path
    paths: tuple[Path, ...]
    given: tuple[str, ...]
    subject: tuple[int, ...]
    subjects: tuple[str, ...]
    labels: Mapping[str, Labels] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def groups(self, by: Sequence[str] | None = None) -> tuple[dict[str, Labels], list[str]]:
        """Group labels per subject, and notes; the rules are those of `countenance.trials.labels.choose`."""
        return choose(columns_of(self.labels, self.subject, len(self.subjects)), by)

    @property
    def digest(self) -> str:
        """sha256 over what the manifest says (photos, people, labels), wherever it lies."""
        said = hashlib.sha256()
        for k, (given, who) in enumerate(zip(self.given, self.subject, strict=True)):
            cells = [given, self.subjects[who], *(f"{name}={cells[k]}" for name, cells in self.labels.items())]
            said.update("\0".join(cells).encode("utf-8", "surrogateescape") + b"\n")
        return said.hexdigest()


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    """Read a CSV or Parquet file with ``path`` and ``subject``, or a folder with one folder of photos a person.

    A ``path`` is relative to the manifest's folder. Photos that are missing or broken are found when they are embedded,
    and counted there. Raises ManifestError, one line with file, row and mend.
    """
    source = Path(path)
    if source.is_dir() and not (source / _SPARE_MANIFEST).is_file():
        return _read_folder(source)
    notes: tuple[str, ...] = ()
    if source.is_dir():
        source = source / _SPARE_MANIFEST
        notes = (f"{path} is a folder with a {_SPARE_MANIFEST}, which was read",)
    return _read_rows(read_table(source), notes)


def _read_rows(table: Table, notes: tuple[str, ...]) -> Manifest:
    table.need("path", "subject")
    if not table.lines:
        raise ManifestError(f"{table.path}: names columns but no photo; add a row for every photo")
    for name in ("path", "subject"):
        table.refuse_empty(name)
    rows = list(zip(table.columns["path"], table.columns["subject"], strict=True))
    first = list({row: k for k, row in reversed(list(enumerate(rows)))}.values())
    first.sort()
    if len(first) < len(rows):
        notes += (f"{len(rows) - len(first)} rows repeat a photo of the same person; each photo is used once",)
    root = table.path.parent
    others = [name for name in table.columns if name not in ("path", "subject")]
    return _assemble(
        table.path,
        root,
        [rows[k] for k in first],
        {name: tuple(label(table.columns[name][k]) for k in first) for name in others},
        notes,
    )


def _read_folder(source: Path) -> Manifest:
    folders = sorted(p for p in source.iterdir() if p.is_dir() and not p.name.startswith("."))
    loose = sum(p.suffix.lower() in PHOTO_SUFFIXES for p in source.iterdir() if p.is_file())
    if not folders:
        what = f"{loose} photos but no folders" if loose else "nothing to read"
        raise ManifestError(f"{source}: holds {what}; make one folder of photos for each person, or give a manifest")
    rows: list[tuple[str, str]] = []
    ignored = empty = 0
    for folder in folders:
        files = sorted(p for p in folder.rglob("*") if p.is_file())
        photos = [p for p in files if p.suffix.lower() in PHOTO_SUFFIXES]
        ignored += len(files) - len(photos)
        empty += not photos
        rows += [(p.relative_to(source).as_posix(), folder.name) for p in photos]
    if not rows:
        raise ManifestError(f"{source}: its folders hold no photo; put each person's photos into a folder of their own")
    counts = [
        (loose, "photos lie in no person's folder and are not used"),
        (ignored, "files in the folders are no photos by their names and are not used"),
        (empty, "folders hold no photo"),
    ]
    return _assemble(source, source, rows, {}, tuple(f"{n} {what}" for n, what in counts if n))


def _assemble(
    source: Path, root: Path, rows: Sequence[tuple[str, str]], labels: Mapping[str, Labels], notes: Iterable[str]
) -> Manifest:
    numbers: dict[str, int] = {}
    subject = tuple(numbers.setdefault(who, len(numbers)) for _, who in rows)
    base = Path(os.path.abspath(root))
    return Manifest(
        source=source,
        root=base,
        paths=tuple(Path(os.path.normpath(base / given)) for given, _ in rows),
        given=tuple(given for given, _ in rows),
        subject=subject,
        subjects=tuple(numbers),
        labels=dict(labels),
        notes=tuple(notes),
    )


def duplicate_photos(manifest: Manifest) -> list[str]:
    """Notes on photos that are byte for byte the same, under one person or (a sure label error) under several.

    They are listed, not removed. Only files of equal size are read.
    """
    by_size: dict[int, dict[Path, None]] = defaultdict(dict)
    for path in manifest.paths:
        try:
            by_size[path.stat().st_size][path] = None
        except OSError:
            continue  # a missing photo is counted when it is embedded
    content: dict[Path, bytes] = {}
    for paths in by_size.values():
        for path in paths if len(paths) > 1 else ():
            try:
                content[path] = hashlib.sha256(path.read_bytes()).digest()
            except OSError:
                continue
    alike: dict[object, list[int]] = defaultdict(list)
    for k, path in enumerate(manifest.paths):
        alike[content.get(path, path)].append(k)
    sets = [rows for rows in alike.values() if len(rows) > 1]
    same = [rows for rows in sets if len({manifest.subject[k] for k in rows}) == 1]
    several = [rows for rows in sets if len({manifest.subject[k] for k in rows}) > 1]
    return [
        *_list_sets(manifest, several, "are identical but stand under different people: one label must be wrong"),
        *_list_sets(manifest, same, "are identical photos of one person: their mated comparisons say nothing"),
    ]


def _list_sets(manifest: Manifest, sets: Sequence[Sequence[int]], what: str) -> list[str]:
    if not sets:
        return []
    shown = "; ".join(
        " = ".join(f"{manifest.given[k]} ({manifest.subjects[manifest.subject[k]]})" for k in s) for s in sets[:5]
    )
    more = f"; and {len(sets) - 5} more" if len(sets) > 5 else ""
    return [f"{sum(map(len, sets))} photos {what}: {shown}{more}"]
