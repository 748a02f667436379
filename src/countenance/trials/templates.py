"""Files of templates: Parquet with ``subject``, ``embedding`` and, where known, ``path`` and group columns.

Anybody's file with the first two columns is accepted. What `countenance embed` writes also says in the file's metadata
which system made it and which photos gave no template: a person whose face is not found is an error too.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from countenance.audit.tallies import Failures, Float32Array, System
from countenance.audit.templates import TemplateSet
from countenance.errors import ManifestError
from countenance.trials.labels import Labels, choose, columns_of, label

FORMAT = "countenance-templates/1"
METRICS = ("cosine", "euclidean")
_KEY = b"countenance"


@dataclass(frozen=True)
class Unusable:
    """A photo that gave no template, whom it shows, and why; ``labels`` are that row's group cells."""

    path: str
    subject: str
    why: str
    labels: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class TemplateRows:
    """What a file of templates holds, t rows: ``subject`` (t,) names, ``path`` (t,) as given relative to ``root``.

    ``vectors`` (t, d) float32; ``labels`` the group cells, (t,) for each column.
    """

    subject: tuple[str, ...]
    path: tuple[str, ...] | None
    labels: Mapping[str, Labels]
    vectors: Float32Array
    system: System
    unusable: tuple[Unusable, ...] = ()
    notes: tuple[str, ...] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict)
    root: str = "."
    state: str | None = None


def write_templates(path: str | os.PathLike[str], rows: TemplateRows) -> None:
    """Write the rows to ``path`` at once: a reader sees the old file or the whole new one."""
    out = Path(path)
    about = {
        "format": FORMAT,
        "system": asdict(rows.system),
        "unusable": [asdict(u) for u in rows.unusable],
        "notes": list(rows.notes),
        "inputs": dict(rows.inputs),
        "root": rows.root,
        "state": rows.state,
    }
    flat = {"model": rows.system.name, "sha256": json.dumps(dict(rows.system.models)), "metric": rows.system.metric}
    flat["pipeline"] = rows.system.pipeline
    metadata: dict[str | bytes, str] = {_KEY: json.dumps(about)}
    metadata.update({k: v for k, v in flat.items() if v is not None})
    columns: dict[str, pa.Array] = {"subject": pa.array(rows.subject, pa.string())}
    if rows.path is not None:
        columns["path"] = pa.array(rows.path, pa.string())
    for name, cells in rows.labels.items():
        columns[name] = pa.array(cells, pa.string())
    count, width = rows.vectors.shape
    offsets = pa.array(np.arange(count + 1, dtype=np.int64) * width, pa.int64())
    values = pa.array(np.ascontiguousarray(rows.vectors, dtype=np.float32).ravel())
    large = pa.LargeListArray.from_arrays(offsets, values)
    columns["embedding"] = large.cast(pa.list_(pa.float32())) if count * width < 2**31 else large
    table = pa.table(columns).replace_schema_metadata(metadata)
    scratch = out.with_name(out.name + ".writing")
    with scratch.open("wb") as file:
        pq.write_table(table, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(out)


def read_templates(
    path: str | os.PathLike[str], *, by: Sequence[str] | None = None, metric: str | None = None
) -> TemplateSet:
    """Read a Parquet file of templates into the audit's TemplateSet; ``paths`` stay as they were given.

    ``by`` names the group columns, by default all that can be one. ``metric`` ("cosine" or "euclidean") overrides the
    file's; a file that names none is compared by cosine, with a note. Raises ManifestError naming the row.
    """
    rows = load_rows(path, metric=metric)
    everyone = [*rows.subject, *(u.subject for u in rows.unusable)]
    numbers: dict[str, int] = {}
    who = np.array([numbers.setdefault(name, len(numbers)) for name in everyone], dtype=np.int64)
    cells = {name: [*values, *(u.labels.get(name) for u in rows.unusable)] for name, values in rows.labels.items()}
    groups, notes = choose(columns_of(cells, who, len(numbers)), by)
    templates = len(rows.subject)
    failures = None
    if "manifest" in rows.inputs:  # only then are all photos known that were attempted
        failures = Failures(
            photos=np.bincount(who, minlength=len(numbers)).astype(np.int64),
            failed=np.bincount(who[templates:], minlength=len(numbers)).astype(np.int64),
        )
    return TemplateSet(
        vectors=rows.vectors,
        subject=who[:templates],
        subjects=tuple(numbers),
        groups=groups,
        paths=rows.path or tuple(f"row {k}" for k in range(1, templates + 1)),
        metric=rows.system.metric or "cosine",
        system=rows.system,
        failures=failures,
        inputs={**rows.inputs, "templates": {"sha256": _digest(rows), "rows": templates}},
        notes=(*rows.notes, *notes),
    )


def load_rows(path: str | os.PathLike[str], *, metric: str | None = None) -> TemplateRows:
    """Read and check a file of templates, row by row as it stands. Raises ManifestError naming the row and the mend."""
    source = Path(path)
    if metric is not None and metric not in METRICS:
        raise ManifestError(f"--metric {metric}: unknown; it is {' or '.join(METRICS)}")
    table = _open(source)
    about = _about(source, table.schema.metadata or {})
    notes = list(about.get("notes", ()))
    found = System(**about["system"]) if "system" in about else _foreign(source, table.schema.metadata or {})
    if metric is None and found.metric is None:
        notes.append(f"{source.name} does not say how its templates are compared; cosine was used (--metric overrides)")
    elif metric is not None and found.metric not in (None, metric):
        notes.append(f"templates compared by {metric} as asked, not by {found.metric} as the file says")
    used = metric or found.metric or "cosine"
    if used not in METRICS:
        raise ManifestError(f"{source}: metric {used!r} is unknown; give --metric {' or --metric '.join(METRICS)}")
    subject = _texts(table, "subject")
    missing = [k for k, name in enumerate(subject, 1) if not name]
    if missing:
        raise ManifestError(f"{source}: row {missing[0]} (of {len(missing)}): no subject; fill it in or delete the row")
    vectors = _vectors(source, table.column("embedding"), used)
    labels, skipped = _labels(table)
    if skipped:
        notes.append(f"columns {', '.join(skipped)} hold no labels and were not read")
    return TemplateRows(
        subject=tuple(str(s) for s in subject),
        path=tuple(p or "" for p in _texts(table, "path")) if "path" in table.column_names else None,
        labels=labels,
        vectors=vectors,
        system=System(**{**asdict(found), "metric": used}),
        unusable=tuple(Unusable(**u) for u in about.get("unusable", ())),
        notes=tuple(notes),
        inputs=about.get("inputs", {}),
        root=about.get("root", "."),
        state=about.get("state"),
    )


def photo_paths(path: str | os.PathLike[str]) -> dict[str, Path]:
    """Where the photos behind a file of templates lie: the path as given, to its place on this machine;
    empty where the file names no photo."""
    source = Path(path)
    if "path" not in pq.read_schema(source).names:
        return {}
    table = pq.read_table(source, columns=["path"])
    root = source.parent / _about(source, table.schema.metadata or {}).get("root", ".")
    return {given: Path(os.path.normpath(root / given)) for given in table.column("path").to_pylist()}


def file_state(path: str | os.PathLike[str]) -> str | None:
    """The state that `embed_manifest` recorded in this file; None where the file is not one of ours or says nothing."""
    try:
        metadata = pq.read_schema(path).metadata or {}
        state = json.loads(metadata.get(_KEY, b"{}")).get("state")
    except (pa.ArrowException, OSError, ValueError):
        return None
    return state if isinstance(state, str) else None


def _open(source: Path) -> pa.Table:
    if not source.exists():
        raise ManifestError(f"{source}: no such file; check the name")
    try:
        table = pq.read_table(source)
    except (pa.ArrowException, OSError) as error:
        raise ManifestError(
            f"{source}: not a Parquet file, or a damaged one ({' '.join(str(error).split())[:120]})"
        ) from None
    for name in ("subject", "embedding"):
        if table.column_names.count(name) != 1:
            fault = "no column" if name not in table.column_names else "more than one column"
            raise ManifestError(f"{source}: {fault} {name!r}; it has {', '.join(table.column_names)}. Rename a column")
    if table.num_rows == 0:
        raise ManifestError(f"{source}: holds no template; embed some photos first")
    return table


def _about(source: Path, metadata: Mapping[bytes, bytes]) -> dict[str, Any]:
    try:
        about = json.loads(metadata.get(_KEY, b"{}"))
    except ValueError:
        about = None
    if not isinstance(about, dict) or about.get("format", FORMAT) != FORMAT:
        raise ManifestError(f"{source}: its metadata are not {FORMAT}; embed the photos again with this version")
    return about


def _foreign(source: Path, metadata: Mapping[bytes, bytes]) -> System:
    text = {k.decode("utf-8", "replace"): v.decode("utf-8", "replace") for k, v in metadata.items()}
    threshold = text.get("documented_threshold")
    try:
        documented = None if threshold is None else float(threshold)
    except ValueError:
        raise ManifestError(
            f"{source}: metadata documented_threshold is {threshold!r}, not a number; mend it"
        ) from None
    return System(
        name=text.get("model") or source.name,
        pipeline=text.get("pipeline"),
        metric=text.get("metric"),
        documented_threshold=documented,
    )


def _texts(table: pa.Table, name: str) -> list[str | None]:
    return [None if v is None else str(v).strip() for v in table.column(name).to_pylist()]


def _labels(table: pa.Table) -> tuple[dict[str, Labels], list[str]]:
    labels: dict[str, Labels] = {}
    skipped = []
    for column in table.schema:
        if column.name in ("subject", "path", "embedding"):
            continue
        if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
            skipped.append(column.name)
        else:
            labels[column.name] = tuple(label(v) for v in table.column(column.name).to_pylist())
    return labels, skipped


def _vectors(source: Path, column: pa.ChunkedArray, metric: str) -> Float32Array:
    kind = column.type
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not lists or not pa.types.is_floating(kind.value_type):
        raise ManifestError(f"{source}: column 'embedding' is {kind}, not a list of floating-point numbers; convert it")
    if column.null_count:
        row = column.is_null().to_pylist().index(True) + 1
        raise ManifestError(f"{source}: row {row}: no embedding; delete the row")
    if pa.types.is_fixed_size_list(kind):
        width = kind.list_size
    else:
        lengths = np.asarray(pa.compute.list_value_length(column), dtype=np.int64)
        width = int(lengths[0])
        if (lengths != width).any():
            row = int(np.argmax(lengths != width))
            raise ManifestError(
                f"{source}: row {row + 1}: {lengths[row]} numbers where row 1 has {width}; "
                f"embed all photos with one system"
            )
    if width == 0:
        raise ManifestError(f"{source}: row 1: the embedding is empty; embed the photo again or delete the row")
    values = np.concatenate([np.asarray(c.flatten(), dtype=np.float32) for c in column.chunks])
    vectors: Float32Array = np.ascontiguousarray(values.reshape(-1, width))
    bad = ~np.isfinite(vectors).all(axis=1)
    if bad.any():
        row = int(np.argmax(bad)) + 1
        raise ManifestError(
            f"{source}: row {row} (of {int(bad.sum())}): the embedding holds NaN or infinity; embed the photo again or "
            f"delete the row"
        )
    if metric == "cosine" and not (vectors != 0).any(axis=1).all():
        row = int(np.argmin((vectors != 0).any(axis=1))) + 1
        raise ManifestError(f"{source}: row {row}: the embedding is all zeros, which has no cosine; delete the row")
    return vectors


def _digest(rows: TemplateRows) -> str:
    """sha256 over people, paths, labels and vectors, whatever the file's encoding."""
    said = hashlib.sha256(json.dumps([rows.subject, rows.path, {k: list(v) for k, v in rows.labels.items()}]).encode())
    said.update(np.ascontiguousarray(rows.vectors, dtype="<f4").tobytes())
    return said.hexdigest()
