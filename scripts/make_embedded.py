"""Make the measurements that come with the package, from photos that do not.

    python scripts/make_embedded.py ../shared/data --pipeline dlib
    python scripts/make_embedded.py ../shared/data --pipeline mobilefacenet

Members of Congress (CivilServiceUSA, 2021) are searched among the people of LFW (one reference for each: the first
photo); all pairs of LFW's photos are compared besides. Who is in both sets stands in ``congress_in_lfw.csv``, decided
by a person from the photos; names alone missed four and one namesake is another person. The outcome is scores and
counts under random numbers: no template, no name. LFW can be had from its authors or by scikit-learn's
``fetch_lfw_people``; the portraits from the CivilServiceUSA repositories.
"""

import argparse
import csv
from dataclasses import replace
from pathlib import Path

import numpy as np

from countenance.audit import TemplateSet, save_tallies, tally
from countenance.faces import default_pipeline
from countenance.trials import embed_manifest, read_manifest, read_templates
from countenance.trials.embedded import EMBEDDED

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "src" / "countenance" / "trials" / "data"


def same_people() -> dict[str, str]:
    """LFW's name for each member of Congress who is in LFW."""
    with (HERE / "congress_in_lfw.csv").open(newline="") as file:
        return {row["congress"]: row["lfw"] for row in csv.DictReader(file) if row["verdict"] == "same"}


def read(manifest: Path, pipeline_name: str, work: Path, by: tuple[str, ...]) -> TemplateSet:
    """Templates of a manifest, embedded into ``work`` (which is yours to delete)."""
    out = work / f"{manifest.parent.name}.{pipeline_name}.parquet"
    done = embed_manifest(read_manifest(manifest), default_pipeline(pipeline_name), out)
    for lost in done.unusable:
        print("not used:", lost)
    return read_templates(out, by=by)


def first_photos(templates: TemplateSet) -> TemplateSet:
    """One reference per subject: the first photo."""
    _, first = np.unique(templates.subject, return_index=True)
    first.sort()
    return replace(
        templates,
        vectors=templates.vectors[first],
        subject=templates.subject[first],
        paths=tuple(templates.paths[k] for k in first),
    )


def main() -> None:
    """Embed, compare, save without names."""
    parser = argparse.ArgumentParser(description="make the embedded measurements")
    parser.add_argument("data", type=Path, help="the folder with lfw/ and congress/")
    parser.add_argument("--pipeline", choices=sorted(EMBEDDED), required=True)
    parser.add_argument("--work", type=Path, required=True, help="a folder for templates; delete it afterwards")
    arguments = parser.parse_args()
    arguments.work.mkdir(mode=0o700, parents=True, exist_ok=True)
    lfw = read(arguments.data / "lfw" / "manifest.csv", arguments.pipeline, arguments.work, ("gender",))
    congress = read(
        arguments.data / "congress" / "manifest.csv", arguments.pipeline, arguments.work, ("gender", "ethnicity")
    )
    known = same_people()
    congress = replace(congress, subjects=tuple(known.get(name, f"congress/{name}") for name in congress.subjects))
    tallies = tally(lfw, probes=congress, gallery=first_photos(lfw))
    about = {
        "probes_are": "members of Congress",
        "references_are": "people in the news",
        "data": [
            "CivilServiceUSA us-house and us-senate portraits, early 2021 (MIT)",
            "Labeled Faces in the Wild, deep-funneled (Huang et al. 2007, 2012)",
            "gender labels of LFW: AFIF4 (Afifi and Abdelhamed 2019)",
        ],
    }
    PACKAGE.mkdir(exist_ok=True)
    save_tallies(replace(tallies, inputs={**tallies.inputs, **about}), PACKAGE / EMBEDDED[arguments.pipeline])


if __name__ == "__main__":
    main()
