"""Embedding a manifest with the real engine: what comes out, what is said, and that being killed costs nothing."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("PIL")

from PIL import Image

from countenance.errors import InputError
from countenance.faces import default_pipeline
from countenance.trials import embed_manifest, load_rows, photo_paths, read_manifest, read_templates


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two public-domain faces, in several sizes, as a folder of folders, with photos that cannot be used among them."""
    import matplotlib
    import skimage.data

    folder = tmp_path_factory.mktemp("faces")
    hopper = Image.open(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg").convert("RGB")
    collins = Image.fromarray(skimage.data.astronaut())
    for name, photo in {"hopper": hopper, "collins": collins}.items():
        (folder / name).mkdir()
        for k in range(8):
            side = 300 - 10 * k
            photo.resize((side, side * photo.height // photo.width)).save(folder / name / f"{k}.jpg", quality=90)
    (folder / "nobody").mkdir()
    Image.new("RGB", (200, 200), "grey").save(folder / "nobody" / "wall.png")
    (folder / "nobody" / "text.jpg").write_text("this is no photo")
    return folder


@pytest.fixture(scope="module")
def pipeline():
    return default_pipeline()


def test_everything_is_accounted_for(faces: Path, pipeline, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    out = tmp_path / "t.parquet"
    found = embed_manifest(read_manifest(faces), pipeline, out, lambda done, whole: told.append((done, whole)))
    assert (found.photos, found.templates, found.resumed, found.already) == (18, 16, 0, False)
    assert [(u.path, u.subject) for u in found.unusable] == [
        ("nobody/text.jpg", "nobody"),
        ("nobody/wall.png", "nobody"),
    ]
    assert all(u.why and "\n" not in u.why and str(faces) not in u.why for u in found.unusable)
    assert told == [(k, 18) for k in range(1, 19)]
    assert "2 of 18 photos, of 1 people, gave no template" in found.notes
    assert os.listdir(tmp_path) == ["t.parquet"]
    templates = read_templates(out)
    assert templates.subjects == ("collins", "hopper", "nobody")
    assert templates.failures is not None
    assert templates.failures.failed.tolist() == [0, 0, 2]
    assert templates.failures.photos.tolist() == [8, 8, 2]
    assert templates.system.pipeline == pipeline.digest
    assert len(templates.system.models) == 2
    assert templates.metric == pipeline.metric
    assert photo_paths(out)["hopper/0.jpg"].samefile(faces / "hopper/0.jpg")
    direct = next(iter(pipeline.embed_photos([faces / "collins/0.jpg"])))
    assert np.array_equal(templates.vectors[0], direct.embedding)


def test_a_finished_output_is_recognised_until_something_changes(faces: Path, pipeline, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(faces, photos)
    shutil.rmtree(photos / "nobody")
    out = tmp_path / "t.parquet"
    first = embed_manifest(read_manifest(photos), pipeline, out)
    assert not first.already
    again = embed_manifest(read_manifest(photos), pipeline, out)
    assert again.already
    assert again.templates == first.templates
    shutil.copy(photos / "hopper/7.jpg", photos / "hopper/8.jpg")
    more = embed_manifest(read_manifest(photos), pipeline, out)
    assert not more.already
    assert more.templates == first.templates + 1
    assert any("identical photos of one person" in note for note in more.notes)


def test_missing_photos_and_one_photo_under_two_names(faces: Path, pipeline, tmp_path: Path) -> None:
    manifest = tmp_path / "m.csv"
    photo = faces / "hopper/0.jpg"
    manifest.write_text(f"path,subject\n{photo},grace\ngone.jpg,grace\n{photo},ada\n")
    found = embed_manifest(read_manifest(manifest), pipeline, tmp_path / "t.parquet")
    assert [(u.path, u.why) for u in found.unusable] == [("gone.jpg", "no such file")]
    assert any("stand under different people" in note for note in found.notes)
    rows = load_rows(found.out)
    assert rows.subject == ("grace", "ada")
    assert np.array_equal(rows.vectors[0], rows.vectors[1])


def test_no_usable_photo(faces: Path, pipeline, tmp_path: Path) -> None:
    manifest = tmp_path / "m.csv"
    manifest.write_text(f"path,subject\n{faces}/nobody/text.jpg,x\n{faces}/nobody/wall.png,y\n")
    with pytest.raises(InputError, match=r"none of its 2 photos gave a template; the first: .*text\.jpg"):
        embed_manifest(read_manifest(manifest), pipeline, tmp_path / "t.parquet")


def test_output_that_cannot_be_written(faces: Path, pipeline, tmp_path: Path) -> None:
    manifest = read_manifest(faces)
    with pytest.raises(InputError, match="folder that exists"):
        embed_manifest(manifest, pipeline, tmp_path / "none" / "t.parquet")
    mine = tmp_path / "mine.txt"
    mine.write_text("my notes")
    with pytest.raises(InputError, match="exists and is no file of templates"):
        embed_manifest(manifest, pipeline, mine)
    assert mine.read_text() == "my notes"


WORKER = textwrap.dedent("""
    import sys
    from pathlib import Path
    from countenance.faces import default_pipeline, pipeline as engine
    from countenance.trials import embed_manifest, read_manifest

    engine.CHUNK = 4  # few photos here: several shares must be left when the first ones are done
    pipeline = default_pipeline()
    plain = pipeline.embed_photos

    def counting(paths):
        for result in plain(paths):
            print("did", result.path, flush=True)
            yield result

    pipeline.embed_photos = counting
    try:
        found = embed_manifest(read_manifest(sys.argv[1]), pipeline, sys.argv[2])
    except KeyboardInterrupt as stop:
        print("stopped:", stop, flush=True)
        sys.exit(130)
    print("resumed", found.resumed, "templates", found.templates, flush=True)
""")


def start(faces: Path, out: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(faces), str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # a shell's background job ignores SIGINT, and its children inherit that: a user's terminal does not
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  (no threads yet)
    )


def finished(journal: Path) -> set[str]:
    with closing(sqlite3.connect(journal)) as db:
        return {os.fsdecode(row[0]) for row in db.execute("SELECT path FROM photos")}


def stop_after(faces: Path, out: Path, photos: int, how: signal.Signals) -> str:
    process = start(faces, out)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("did") and sum(x.startswith("did") for x in lines) >= photos:
            process.send_signal(how)
            break
    rest = process.stdout.read()
    process.wait(timeout=60)
    assert process.returncode != 0, "".join(lines) + rest
    return "".join(lines) + rest


def test_killed_and_started_again_it_redoes_no_finished_photo(faces: Path, tmp_path: Path) -> None:
    out = tmp_path / "t.parquet"
    journal = tmp_path / "t.parquet.partial"
    kept: set[str] = set()
    for photos in (3, 2):
        said = stop_after(faces, out, photos, signal.SIGKILL)
        assert not out.exists()
        redone = {line.removeprefix("did ").strip() for line in said.splitlines() if line.startswith("did")} & kept
        assert not redone
        kept = finished(journal)
        assert len(kept) >= photos - 1  # the last one told may not have reached the journal
    process = start(faces, out)
    said, _ = process.communicate(timeout=120)
    did = {line.removeprefix("did ") for line in said.splitlines() if line.startswith("did")}
    assert process.returncode == 0, said
    assert not did & kept
    assert len(did | kept) == 18
    assert f"resumed {len(kept)} templates 16" in said
    assert os.listdir(tmp_path) == ["t.parquet"]
    whole = tmp_path / "whole"
    whole.mkdir()
    embed_manifest(read_manifest(faces), default_pipeline(), whole / "t.parquet")
    assert np.array_equal(load_rows(out).vectors, load_rows(whole / "t.parquet").vectors)


def test_interrupted_it_says_how_to_go_on(faces: Path, tmp_path: Path) -> None:
    said = stop_after(faces, tmp_path / "t.parquet", 2, signal.SIGINT)
    assert "Traceback" not in said
    assert "of 18 photos; run the same command again to go on from there" in said
    assert finished(tmp_path / "t.parquet.partial")


def test_two_runs_at_once_do_not_mix(faces: Path, pipeline, tmp_path: Path) -> None:
    out = tmp_path / "t.parquet"
    process = start(faces, out)
    assert process.stdout is not None
    try:
        next(line for line in process.stdout if line.startswith("did"))
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.1)
        with pytest.raises(InputError, match="another run is writing it"):
            embed_manifest(read_manifest(faces), pipeline, out)
    finally:
        process.kill()
        process.wait(timeout=60)


def test_a_journal_of_another_pipeline_is_not_used(faces: Path, pipeline, tmp_path: Path) -> None:
    out = tmp_path / "t.parquet"
    stop_after(faces, out, 3, signal.SIGKILL)
    with closing(sqlite3.connect(tmp_path / "t.parquet.partial")) as db, db:
        db.execute("UPDATE pipeline SET digest = 'another'")
    assert embed_manifest(read_manifest(faces), pipeline, out).resumed == 0


def test_a_damaged_journal_is_named(faces: Path, pipeline, tmp_path: Path) -> None:
    (tmp_path / "t.parquet.partial").write_bytes(b"not a database, but long enough to be read as one" * 100)
    with pytest.raises(InputError, match="damaged journal"):
        embed_manifest(read_manifest(faces), pipeline, tmp_path / "t.parquet")
