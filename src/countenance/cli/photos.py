"""Commands on photos: embed, detect, compare, and the models that do it."""

from pathlib import Path

import click

from countenance.cli.common import AS_JSON, FILE, PIPELINE, QUIET, pipeline_of, print_json, progress


@click.command()
@click.argument("manifest", type=FILE)
@click.option("--out", type=FILE, required=True, help="The Parquet file to write.")
@PIPELINE
@QUIET
@AS_JSON
def embed(manifest: Path, out: Path, pipeline_name: str | None, quiet: bool, as_json: bool) -> None:
    """Make templates of all photos in a MANIFEST.

    Stopped and started again, it goes on where it was. It ends with the photos that could not be used, and why.
    """
    from countenance import trials

    with progress(quiet) as tell:
        found = trials.embed_manifest(
            trials.read_manifest(manifest),
            pipeline_of(pipeline_name),
            out,
            lambda done, whole: tell("Embedding", done, whole),
        )
    if as_json:
        unusable = [{"path": u.path, "subject": u.subject, "reason": u.why} for u in found.unusable]
        print_json({"out": str(out), "photos": found.photos, "templates": found.templates, "unusable": unusable})
        return
    click.echo(f"{found.templates:,} templates of {found.photos:,} photos in {out}")
    for lost in found.unusable:
        click.echo(f"not used: {lost.path}: {lost.why}")
    for note in found.notes:
        click.echo(note)


@click.command()
@click.argument("image", type=FILE)
@PIPELINE
@AS_JSON
def detect(image: Path, pipeline_name: str | None, as_json: bool) -> None:
    """Find the faces in an IMAGE: boxes, landmarks and measured quality; never age, gender or emotion."""
    from countenance.faces import load_image

    found = [face.to_json() for face in pipeline_of(pipeline_name).detect(load_image(image))]
    if as_json:
        print_json({"faces": found})
        return
    click.echo(f"{len(found)} {'face' if len(found) == 1 else 'faces'} in {image}")
    for face in found:
        x, y, width, height = face["box"]
        click.echo(f"  {width:.0f} x {height:.0f} pixels at ({x:.0f}, {y:.0f}), detector score {face['score']:.2f}")


@click.command()
@click.argument("first", type=FILE)
@click.argument("second", type=FILE)
@PIPELINE
@AS_JSON
def compare(first: Path, second: Path, pipeline_name: str | None, as_json: bool) -> None:
    """Compare the largest face of two photos: a score, and no verdict."""
    pipeline = pipeline_of(pipeline_name)
    found = pipeline.compare(first, second)
    if as_json:
        print_json({"score": found.score, "faces": [list(box) for box in found.boxes], "model": pipeline.name})
        return
    click.echo(f"score {found.score:.4f} by {pipeline.name} (larger means more alike)")
    click.echo("What this score is worth depends on who and how many are compared: countenance audit measures it.")


@click.group()
def models() -> None:
    """The networks at hand: list, fetch, add."""


@models.command("list")
@AS_JSON
def models_list(as_json: bool) -> None:
    """List the models that are known, with licence and sha256, and which are at hand."""
    from countenance.faces import list_models

    rows = [m.to_json() for m in list_models()]
    if as_json:
        print_json({"models": rows})
        return
    for row in rows:
        state = "at hand" if row["at_hand"] else "not here"
        click.echo(f"{row['name']:<20} {row['role']:<9} {state:<9} {row['licence']:<14} {row['sha256'][:12]}")


@models.command("fetch")
@click.argument("name")
@click.option("--url", help="Fetch from here instead; the sha256 must still be the known one.")
@QUIET
def models_fetch(name: str, url: str | None, quiet: bool) -> None:
    """Fetch a published model by NAME; resumed when interrupted, refused when its sha256 is not the known one."""
    from countenance.faces import fetch_model

    with progress(quiet, "bytes") as tell:
        model = fetch_model(name, url=url, progress=lambda done, whole: tell("Fetching", done, whole))
    click.echo(f"{model.card.name} is at hand: {model.path}")


@models.command("add")
@click.argument("file", type=FILE)
@click.option("--card", type=FILE, help="A model card (TOML or JSON), for a file that is not known by its sha256.")
def models_add(file: Path, card: Path | None) -> None:
    """Add an ONNX FILE; a published model is recognised by its sha256, any other needs a card."""
    from countenance.faces import add_model

    model = add_model(file, card)
    click.echo(f"{model.card.name} is at hand ({model.card.licence}); embed with --pipeline {model.card.name}")
