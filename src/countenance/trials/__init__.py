"""Brings any system to the audit: readers of manifests, templates, score tables; embedded measurements."""

from countenance.trials.bring import Asked, Brought, bring, kind_of
from countenance.trials.embedded import EMBEDDED, embedded_tallies, running_here
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
from countenance.trials.verdicts import read_verdicts

__all__ = [
    "EMBEDDED",
    "Asked",
    "Brought",
    "Embedded",
    "Manifest",
    "Pipeline",
    "SuspectedSame",
    "TemplateRows",
    "Unusable",
    "bring",
    "duplicate_photos",
    "embed_manifest",
    "embedded_tallies",
    "kind_of",
    "load_rows",
    "photo_paths",
    "read_manifest",
    "read_scores",
    "read_templates",
    "read_verdicts",
    "running_here",
    "same_name",
    "suspected_same_people",
    "system_of",
    "write_templates",
]
