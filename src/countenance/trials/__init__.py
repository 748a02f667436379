"""Brings any system to the audit: readers of manifests, templates, score tables; embedded measurements."""

from countenance.trials.embedding import Embedded, Pipeline, embed_manifest, system_of
from countenance.trials.manifest import Manifest, duplicate_photos, read_manifest
from countenance.trials.names import SuspectedSame, same_name, suspected_same_people
from countenance.trials.scores import read_scores
from countenance.trials.templates import (
    TemplateRows,
    Unusable,
    load_rows,
    photo_paths,
    read_templates,
    write_templates,
)

__all__ = [
    "Embedded",
    "Manifest",
    "Pipeline",
    "SuspectedSame",
    "TemplateRows",
    "Unusable",
    "duplicate_photos",
    "embed_manifest",
    "load_rows",
    "photo_paths",
    "read_manifest",
    "read_scores",
    "read_templates",
    "same_name",
    "suspected_same_people",
    "system_of",
    "write_templates",
]
