"""From a manifest of photos to a file of templates: slow work that survives being killed at any time.

Every finished photo is committed to a journal beside the output, keyed by the photo's path, size and time of change
and valid for one pipeline. Whoever starts again finds it there. The output appears whole, in one step; then the
journal goes.
"""

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from countenance.audit.tallies import Float32Array, System
from countenance.errors import InputError, ManifestError
from countenance.trials.manifest import Manifest, duplicate_photos
from countenance.trials.templates import TemplateRows, Unusable, file_state, load_rows, write_templates

Progress = Callable[[int, int], None]
"""Called with the number of photos done and of all photos."""


class PhotoOutcome(Protocol):
    """What a pipeline says about one photo: a template, or why there is none."""

    @property
    def path(self) -> Path:
        """The photo, as it was asked for."""

    @property
    def embedding(self) -> Float32Array | None:
        """(d,) float32, or None."""

    @property
    def error(self) -> object | None:
        """Why there is none; None where there is one."""

    @property
    def faces_found(self) -> int:
        """Faces in the photo; the largest one is embedded."""


class Pipeline(Protocol):
    """What makes templates from photos; `countenance.faces` has them."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def digest(self) -> str:
        """For machines: changes whenever a template could change."""

    @property
    def metric(self) -> str:
        """``cosine`` or ``euclidean``."""

    @property
    def documented_threshold(self) -> float | None:
        """The vendor's, as a similarity."""

    def embed_photos(self, paths: Sequence[Path], /) -> Iterable[PhotoOutcome]:
        """One outcome for each path, in any order."""


@dataclass(frozen=True)
class Embedded:
    """What came of it: ``templates`` written to ``out``; ``unusable`` photos and why; ``resumed`` were done before.

    ``already`` when the output was complete before we began.
    """

    out: Path
    photos: int
    templates: int
    unusable: tuple[Unusable, ...]
    resumed: int
    already: bool
    notes: tuple[str, ...]


def embed_manifest(
    manifest: Manifest, pipeline: Pipeline, out: str | os.PathLike[str], progress: Progress | None = None
) -> Embedded:
    """Embed every photo of ``manifest`` and write ``out``; go on where an earlier run was stopped.

    Raises InputError when ``out`` cannot be written, is something else than templates, or no photo gave a template;
    KeyboardInterrupt, its text saying how to go on, when the user stops it.
    """
    target = Path(out)
    report = progress or (lambda _done, _all: None)
    photos = _stamps(manifest.paths)
    state = _state(manifest, pipeline, photos)
    journal = target.with_name(target.name + ".partial")
    if target.exists() and file_state(target) == state:
        _remove(journal)
        rows = load_rows(target)
        report(len(manifest.paths), len(manifest.paths))
        count = len(manifest.paths)
        return Embedded(target, count, len(rows.subject), rows.unusable, count, True, rows.notes)
    _check_target(target)
    with _journal(journal, pipeline.digest) as db:
        done = _finished(db, photos)
        resumed = len(done)
        try:
            for path, outcome in _run(pipeline, [p for p in photos if p not in done], photos, db):
                done[path] = outcome
                report(len(done), len(photos))
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"stopped after {len(done)} of {len(photos)} photos; run the same command again to go on from there"
            ) from None
        rows = _rows(manifest, pipeline, done, target, state)
    write_templates(target, rows)
    _remove(journal)
    return Embedded(target, len(manifest.paths), len(rows.subject), rows.unusable, resumed, False, rows.notes)


def system_of(pipeline: Pipeline) -> System:
    """The pipeline as the audit names it."""
    models = {}
    for part in ("detector", "embedder"):
        card = getattr(getattr(pipeline, part, None), "card", None)
        if card is not None:
            models[str(card.name)] = str(card.sha256)
    return System(
        name=pipeline.name,
        pipeline=pipeline.digest,
        metric=pipeline.metric,
        documented_threshold=pipeline.documented_threshold,
        documented_meaning=getattr(pipeline, "documented_threshold_meaning", None) or None,
        models=models,
    )


_Stamp = tuple[int, int]
_Outcome = Float32Array | str  # a template, or why there is none


def _stamps(paths: Iterable[Path]) -> dict[Path, _Stamp]:
    """Each photo once, with size and time of change; (-1, -1) for a photo that is not there."""
    stamps: dict[Path, _Stamp] = {}
    for path in paths:
        if path not in stamps:
            try:
                stat = path.stat()
                stamps[path] = (stat.st_size, stat.st_mtime_ns)
            except OSError:
                stamps[path] = (-1, -1)
    return stamps


def _state(manifest: Manifest, pipeline: Pipeline, photos: Mapping[Path, _Stamp]) -> str:
    said = hashlib.sha256(f"{manifest.digest} {pipeline.digest}".encode())
    for path, stamp in photos.items():
        said.update(f"{os.fspath(path)}\0{stamp}\n".encode("utf-8", "surrogateescape"))
    return said.hexdigest()


def _check_target(target: Path) -> None:
    if target.is_dir() or not target.parent.is_dir():
        raise InputError(f"--out {target}: must be a file in a folder that exists")
    if not os.access(target.parent, os.W_OK):
        raise InputError(f"--out {target}: its folder cannot be written to; choose another")
    if target.exists():
        try:
            load_rows(target)
        except ManifestError:
            raise InputError(f"--out {target}: exists and is no file of templates; choose another name") from None


@contextmanager
def _journal(path: Path, digest: str) -> Iterator[sqlite3.Connection]:
    """The journal, locked for us; one that another pipeline began is emptied."""
    db = sqlite3.connect(path, isolation_level=None, timeout=0)
    try:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")  # a commit costs no disk flush and outlives the process that made it
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("CREATE TABLE IF NOT EXISTS pipeline (digest TEXT)")
        db.execute(
            "CREATE TABLE IF NOT EXISTS photos (path TEXT PRIMARY KEY, size INT, changed INT, vector BLOB, why TEXT)"
        )
        if db.execute("SELECT digest FROM pipeline").fetchall() != [(digest,)]:
            db.execute("DELETE FROM photos")
            db.execute("DELETE FROM pipeline")
            db.execute("INSERT INTO pipeline VALUES (?)", (digest,))
        yield db
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise InputError(f"{path}: another run is writing it; wait for it, or choose another --out") from None
        raise InputError(f"{path}: cannot be written ({error}); free some space or choose another --out") from None
    except sqlite3.DatabaseError as error:
        raise InputError(f"{path}: damaged journal ({error}); delete it to begin again") from None
    finally:
        db.close()


def _finished(db: sqlite3.Connection, photos: Mapping[Path, _Stamp]) -> dict[Path, _Outcome]:
    done: dict[Path, _Outcome] = {}
    for name, size, changed, vector, why in db.execute("SELECT path, size, changed, vector, why FROM photos"):
        path = Path(os.fsdecode(name))
        if photos.get(path) == (size, changed):
            done[path] = why if vector is None else np.frombuffer(vector, dtype="<f4")
    return done


def _run(
    pipeline: Pipeline, todo: Sequence[Path], photos: Mapping[Path, _Stamp], db: sqlite3.Connection
) -> Iterator[tuple[Path, _Outcome]]:
    """Outcomes as they come, each in the journal before it is told."""
    for path in todo:
        if photos[path] == (-1, -1):
            yield path, "no such file"  # not in the journal: it may be there next time
    present = [path for path in todo if photos[path] != (-1, -1)]
    for result in pipeline.embed_photos(present) if present else ():
        vector, why = result.embedding, None
        if vector is None:
            why = _reason(result)
        blob = None if vector is None else np.ascontiguousarray(vector, dtype="<f4").tobytes()
        db.execute(
            "INSERT OR REPLACE INTO photos VALUES (?, ?, ?, ?, ?)",
            (os.fsencode(result.path), *photos[result.path], blob, why),
        )
        yield result.path, why if vector is None else np.asarray(vector, dtype=np.float32)  # type: ignore[misc]


def _reason(result: PhotoOutcome) -> str:
    text = " ".join(str(result.error or "no face found").split())
    return text.removeprefix(f"{result.path}: ")


def _rows(
    manifest: Manifest, pipeline: Pipeline, done: Mapping[Path, _Outcome], target: Path, state: str
) -> TemplateRows:
    kept: list[int] = []
    unusable: list[Unusable] = []
    for k, path in enumerate(manifest.paths):
        outcome = done.get(path, "the engine gave no answer")
        if isinstance(outcome, str):
            labels = {name: cells[k] for name, cells in manifest.labels.items()}
            unusable.append(Unusable(manifest.given[k], manifest.subjects[manifest.subject[k]], outcome, labels))
        else:
            kept.append(k)
    if not kept:
        raise InputError(
            f"{manifest.source}: none of its {len(manifest.paths)} photos gave a template; "
            f"the first: {unusable[0].path}: {unusable[0].why}"
        )
    vectors = np.stack([np.asarray(done[manifest.paths[k]], dtype=np.float32) for k in kept])
    rows = TemplateRows(
        subject=tuple(manifest.subjects[manifest.subject[k]] for k in kept),
        path=tuple(manifest.given[k] for k in kept),
        labels={name: tuple(cells[k] for k in kept) for name, cells in manifest.labels.items()},
        vectors=vectors,
        system=system_of(pipeline),
        unusable=tuple(unusable),
        notes=(*manifest.notes, *duplicate_photos(manifest)),
        inputs={"manifest": {"sha256": manifest.digest, "photos": len(manifest.paths)}},
        root=os.path.relpath(manifest.root, Path(os.path.abspath(target)).parent),
        state=state,
    )
    return rows if not unusable else replace(rows, notes=(*rows.notes, _failure_note(manifest, unusable)))


def _failure_note(manifest: Manifest, unusable: Sequence[Unusable]) -> str:
    people = len({u.subject for u in unusable})
    return f"{len(unusable)} of {len(manifest.paths)} photos, of {people} people, gave no template"


def _remove(journal: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        journal.with_name(journal.name + suffix).unlink(missing_ok=True)
