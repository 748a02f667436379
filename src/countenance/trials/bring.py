"""Whatever the user points at, brought to the audit as tallies: photos, templates, scores, tallies, or nothing."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from countenance.audit import Failures, Tallies, TemplateSet, load_tallies, tally
from countenance.errors import InputError, ManifestError
from countenance.trials.embedded import embedded_tallies
from countenance.trials.embedding import Pipeline, embed_manifest
from countenance.trials.manifest import Manifest, read_manifest
from countenance.trials.scores import read_scores
from countenance.trials.tables import decode
from countenance.trials.templates import photo_paths, read_templates

__all__ = ["Asked", "Brought", "bring", "kind_of"]

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Asked:
    """How to read what the user points at. ``by`` None means every column that can form groups.

    ``pipeline`` makes templates from photos; it is called only when photos are the input. ``shown`` names one of the
    embedded pipelines. ``columns`` says what a score table calls its columns.
    """

    pipeline: Callable[[], Pipeline]
    by: tuple[str, ...] | None = None
    thresholds: tuple[float, ...] = ()
    distance: bool = False
    metric: str | None = None
    shown: str | None = None
    columns: dict[str, str] = field(default_factory=dict)
    seed: int = 0


@dataclass(frozen=True)
class Brought:
    """Tallies, and where the photos behind them lie, by the path that the tallies know; empty without photos."""

    tallies: Tallies
    photos: dict[str, Path] = field(default_factory=dict)


def kind_of(path: Path) -> str:
    """``photos``, ``templates``, ``scores`` or ``tallies``: by what is in the file, not by its name.

    Raises ManifestError when there is no such file.
    """
    if path.is_dir():
        return "photos"
    if not path.is_file():
        raise ManifestError(f"{path}: no such file or folder; check the name")
    with path.open("rb") as file:
        start = file.read(65536)
    if start[:4] == b"PK\x03\x04":
        return "tallies"
    if start[:4] == b"PAR1":
        try:
            names = set(pq.read_schema(path).names)
        except (OSError, ValueError) as error:
            raise ManifestError(f"{path}: not a readable Parquet file ({error}); write it again") from None
    else:
        header = decode(path, start.splitlines()[0]) if start.strip() else ""
        names = {cell.strip().strip('"') for cell in header.replace(";", ",").replace("\t", ",").split(",")}
    if "embedding" in names:
        return "templates"
    if "path" in names or ("subject" in names and "score" not in names):
        return "photos"
    return "scores"


def bring(
    source: Path | None, asked: Asked, *, probes: Path | None, gallery: Path | None, progress: Progress
) -> Brought:
    """Tallies of ``source``, or of ``probes`` searched in ``gallery``; the embedded ones when nothing is given.

    Raises InputError for what cannot be read or does not go together.
    """
    if (probes is None) != (gallery is None):
        missing = "--probes" if probes is None else "--gallery"
        raise InputError(f"{missing}: is missing; a search needs both --probes and --gallery")
    if source is None and probes is None:
        return Brought(embedded_tallies(asked.shown))
    if source is not None and probes is None:
        kind = kind_of(source)
        if kind == "tallies":
            return Brought(load_tallies(source))
        if kind == "scores":
            return Brought(_scores(source, asked, progress))
    with _Templates(asked, progress) as made:
        searched = [made.of(path) for path in (probes, gallery) if path]
        whole = made.of(source) if source else together(*searched)
        tallies = tally(
            whole,
            probes=searched[0] if searched else None,
            gallery=searched[1] if searched else None,
            thresholds=asked.thresholds,
            seed=asked.seed,
            progress=lambda done, all_: progress("Comparing", done, all_),
        )
        return Brought(tallies, made.photos)


def together(first: TemplateSet, second: TemplateSet) -> TemplateSet:
    """Two sets as one: the same name is the same person, whose label is the first that is given."""
    names = tuple(dict.fromkeys((*first.subjects, *second.subjects)))
    number = {name: k for k, name in enumerate(names)}
    sides = (first, second)
    return TemplateSet(
        vectors=np.concatenate([s.vectors for s in sides]),
        subject=np.concatenate([np.array([number[s.subjects[k]] for k in s.subject], dtype=np.int64) for s in sides]),
        subjects=names,
        paths=(*first.paths, *second.paths),
        system=first.system,
        groups={c: _labels(c, sides, number) for c in dict.fromkeys((*first.groups, *second.groups))},
        metric=first.metric,
        failures=_failures(sides, number),
        inputs={"probes": dict(first.inputs), "gallery": dict(second.inputs)},
        notes=tuple(dict.fromkeys((*first.notes, *second.notes))),
    )


def _labels(column: str, sides: tuple[TemplateSet, ...], number: dict[str, int]) -> tuple[str | None, ...]:
    found: list[str | None] = [None] * len(number)
    for side in sides:
        for name, given in zip(side.subjects, side.groups.get(column, ()), strict=False):
            found[number[name]] = found[number[name]] or given
    return tuple(found)


def _failures(sides: tuple[TemplateSet, ...], number: dict[str, int]) -> Failures | None:
    if all(side.failures is None for side in sides):
        return None
    photos, failed = np.zeros(len(number), dtype=np.int64), np.zeros(len(number), dtype=np.int64)
    for side in sides:
        if side.failures is not None:
            at = np.array([number[name] for name in side.subjects], dtype=np.int64)
            np.add.at(photos, at, side.failures.photos)
            np.add.at(failed, at, side.failures.failed)
    return Failures(photos, failed)


def _scores(source: Path, asked: Asked, progress: Progress) -> Tallies:
    return read_scores(
        source,
        distance=asked.distance,
        columns=asked.columns,
        thresholds=asked.thresholds,
        by=asked.by,
        progress=lambda done, all_: progress("Reading scores", done, all_),
    )


class _Templates:
    """Templates of photos live only as long as the audit, for they identify people; interrupted work is kept."""

    def __init__(self, asked: Asked, progress: Progress) -> None:
        self.asked, self.progress, self.photos = asked, progress, dict[str, Path]()
        self.done: list[Path] = []

    def __enter__(self) -> "_Templates":
        return self

    def __exit__(self, *_: object) -> None:
        for path in self.done:
            path.unlink(missing_ok=True)

    def of(self, source: Path) -> TemplateSet:
        kind = kind_of(source)
        if kind == "templates":
            found = read_templates(source, by=self.asked.by, metric=self.asked.metric)
            self.photos |= photo_paths(source)
            return found
        if kind != "photos":
            raise InputError(f"{source}: holds {kind}; give photos or templates here")
        return self._embedded(read_manifest(source))

    def _embedded(self, manifest: Manifest) -> TemplateSet:
        out = _workplace() / f"{manifest.digest[:32]}.parquet"
        embed_manifest(manifest, self.asked.pipeline(), out, lambda done, all_: self.progress("Embedding", done, all_))
        self.done.append(out)
        found = read_templates(out, by=self.asked.by)
        root = manifest.source if manifest.source.is_dir() else manifest.source.parent
        shown = {given: os.path.join(root, given) for given in manifest.given}
        self.photos |= {shown[given]: path for given, path in zip(manifest.given, manifest.paths, strict=True)}
        return replace(found, paths=tuple(shown[given] for given in found.paths))


def _workplace() -> Path:
    """A folder of this user's alone, for templates of photos being audited."""
    place = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "countenance" / "audits"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    return place
