"""What the documentation says is so: every command shown runs, every link leads somewhere, cli.md is current."""

import importlib.util
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from countenance.cli import main

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted(p for p in (ROOT / "docs").rglob("*.md") if p.name != "cli.md")]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
ALONE = ("audit", "schema")  # these run without an argument; other bare names are mentioned, not shown


PLACEHOLDER = re.compile(r"[A-Z]+(\.\w+)?$")
SERVES = "countenance serve"  # runs until it is told to stop: a test of its own
NEEDS_MORE = ("countenance models fetch", "countenance models add")  # a network, or a model file: tests/faces has them


def commands(page: Path) -> list[str]:
    """Every command that a page shows in full: in shell blocks, indented, or in a line of text."""
    text = page.read_text()
    shown = [line for language, block in FENCE.findall(text) if language == "sh" for line in block.splitlines()]
    text = FENCE.sub("", text)
    shown += re.findall(r"^    (countenance .*)$", text, re.MULTILINE)
    shown += [" ".join(found.split()) for found in re.findall(r"`(countenance [^`]+)`", text)]
    found = []
    for line in shown:
        words = shlex.split(line, comments=True)
        if words[:1] != ["countenance"] or len(words) < 2 or any(PLACEHOLDER.match(w) for w in words):
            continue
        if not line.startswith((*NEEDS_MORE, SERVES)) and not (len(words) == 2 and words[1] not in ALONE):
            found.append(shlex.join(words))
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything the pages' commands are run on: real photos of two people, made from public ones."""
    from matplotlib import cbook
    from PIL import Image
    from skimage import data

    place = tmp_path_factory.mktemp("docs")
    people = {
        "eileen": Image.fromarray(data.astronaut()),
        "grace": Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)).convert("RGB"),
    }
    rows = ["path,subject,gender"]
    for who, photo in people.items():
        (place / "photos" / who).mkdir(parents=True)
        for number, made in enumerate((photo, photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT), photo.rotate(4))):
            made.save(place / "photos" / who / f"{number}.jpg", quality=92)
            rows.append(f"photos/{who}/{number}.jpg,{who},female")
    (place / "manifest.csv").write_text("\n".join(rows) + "\n")
    for name in ("probes", "gallery"):
        (place / f"{name}.csv").write_text("\n".join(rows) + "\n")
    shutil.copy(ROOT / "src/countenance/policy/data/default.toml", place / "mine.toml")
    shutil.copy(place / "photos/eileen/0.jpg", place / "photo.jpg")
    shutil.copy(place / "photos/eileen/0.jpg", place / "a.jpg")
    shutil.copy(place / "photos/grace/0.jpg", place / "b.jpg")
    random = np.random.default_rng(3)
    lines = ["score,mated,group"]
    for group in "xy":
        for mated, mean in ((1, 2.0), (0, 0.0)):
            lines += [f"{s:.4f},{mated},{group}" for s in random.normal(mean, 1, 300)]
    (place / "scores.csv").write_text("\n".join(lines) + "\n")
    (place / "distances.csv").write_text("\n".join(lines) + "\n")
    example = re.search(
        r"(^    collection,external_image_id.*\n(?:    .*\n)+)", (ROOT / "docs/consent.md").read_text(), re.M
    )
    assert example is not None
    (place / "consents.csv").write_text(textwrap.dedent(example[1]))
    return place


@pytest.fixture(scope="module")
def counter(place: Path) -> dict[str, str]:
    """A server's data folder, with faces of two people in two collections; the environment of whoever works there."""
    from countenance.faces import default_pipeline
    from countenance.faces.image import decode
    from countenance.gallery import Box, Consent, NewFace, Occasion, open_gallery
    from countenance.ledger import SigningKey
    from countenance.policy import synthetic_certificate
    from countenance.service.keyring import KeyRing
    from countenance.service.receipts import erase_faces, write_receipt

    data, pipeline, now = place / "countenance-data", default_pipeline(), datetime.now(UTC)
    occasion = Occasion(actor="docs", operation="docs")
    with open_gallery(data) as gallery:
        for name, photo in (("friends", "a.jpg"), ("festival", "b.jpg")):
            gallery.create_collection(
                name, occasion, pipeline=pipeline.digest, metric=pipeline.metric, dimension=pipeline.dim
            )
            (found,) = pipeline.look(decode(place / photo))[:1]
            consent = Consent(
                subject="s-0018", purpose="evaluation", basis="consent", notice="-", given=now,
                until=now + timedelta(days=9), withdraw="-",
            )  # fmt: skip
            face = NewFace(
                vector=pipeline.embed_faces(found.chip[None])[0], consent=consent, image_id="i", box=Box(0, 0, 1, 1),
                confidence=99.0, external_image_id=photo,
            )  # fmt: skip
            gallery.enrol(name, [face], occasion, pipeline=pipeline.digest)
        (gone,) = gallery.enrol("festival", [face], occasion, pipeline=pipeline.digest)
        erased = erase_faces(gallery, "festival", [gone.face_id], (), occasion, "forget")
        (place / "receipt").mkdir()
        write_receipt(place / "receipt", erased, str(gallery.ledger.key), now)
    # the test policy, which lets collections without tags be searched, and the purpose that the keys shown are for
    shipped = (ROOT / "src/countenance/policy/data/default.toml").read_text()
    archive = re.search(r"^\[purposes\.photo-archive\]\n(?:.+\n)+", shipped, re.MULTILINE)
    assert archive is not None
    (data / "policy.toml").write_text((ROOT / "src/countenance/policy/data/test.toml").read_text() + "\n" + archive[0])
    signer = SigningKey.load(data / "ledger.key")
    made_up = synthetic_certificate(signer, pipeline.digest, gallery=100, threshold=-0.5, days=9)
    (data / "certificate.json").write_text(made_up.to_json())
    key = KeyRing(data).issue("operator")
    return {"AWS_ACCESS_KEY_ID": key.key_id, "AWS_SECRET_ACCESS_KEY": key.secret}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text().replace("\n", " ")):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_command_shown_runs(place: Path, counter: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    for name, value in counter.items():
        monkeypatch.setenv(name, value)
    ran = 0
    for page in PAGES:
        for line in commands(page):
            words = shlex.split(line)
            found = CliRunner().invoke(main, words[1:])
            assert found.exit_code == 0, f"{page.name}: {line}\n{found.output}{found.stderr}"
            ran += 1
    assert ran >= 5
    assert len(pq.read_table(place / "templates.parquet")) == 6


def test_the_server_shown_runs_and_stops(place: Path) -> None:
    """As it is shown, but on a free port."""
    shown = set(re.findall(rf"^(?:    )?({SERVES}.*)$", "\n".join(page.read_text() for page in PAGES), re.MULTILINE))
    lines = [line for line in shown if not any(PLACEHOLDER.match(word) for word in line.split()) and "`" not in line]
    assert lines
    for line in lines:
        words = [
            sys.executable,
            "-c",
            "from countenance.cli import main; main()",
            *shlex.split(line)[1:],
            "--port",
            "0",
        ]
        with subprocess.Popen(words, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
            assert server.stdout is not None
            said = server.stdout.readline()
            assert said.startswith("listening on http://127.0.0.1:"), said + server.stdout.read()
            server.send_signal(signal.SIGTERM)
            assert server.wait(60) == 0


def test_the_python_of_the_readme_runs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    assert CliRunner().invoke(main, ["embed", "manifest.csv", "--out", "templates.parquet"]).exit_code == 0
    for language, text in FENCE.findall((ROOT / "README.md").read_text()):
        if language == "python":
            exec(compile(text, "README.md", "exec"), {})


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_commands_is_current() -> None:
    module = script("make_cli_docs")
    assert module.PAGE.read_text() == module.page(), "run: python scripts/make_cli_docs.py"


def test_tables_of_coverage_are_written_from_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges over the wolf ratios, between the marks of a page; pages of what was not measured stay."""
    rows = [
        {"measure": m, "pattern": [1, 4], "wolf_ratio": ratio, "subjects": 2000, "photos": 1, "runs": 2000}
        | {"coverage": covered, "miss_above": 0.001 * k, "refused": 0.0}
        for k, m in enumerate(("max_min", "max_geomean", "garbe", "fdr"))
        for ratio, covered in ((0.0, 0.9512), (1.0, 0.9738))
    ]
    rows += [r | {"pattern": [1, 1.5], "untuned": True, "coverage": 0.96} for r in rows]
    module = script("coverage_tables")
    pages = shutil.copytree(module.PAGES, tmp_path / "estimators")
    monkeypatch.setattr(module, "PAGES", pages)
    measured = tmp_path / "bench.json"
    measured.write_text(json.dumps({"coverage_differentials": rows}))
    monkeypatch.setattr(sys, "argv", ["coverage_tables.py", str(measured)])
    before = {page.name: page.read_text() for page in pages.iterdir()}
    module.main()
    changed = {page.name for page in pages.iterdir() if page.read_text() != before[page.name]}
    assert changed == {"differentials.md"}
    text = (pages / "differentials.md").read_text()
    assert "- FDR: 1 of 2 cells within 93 to 97 % (95.1 to 97.4 %)" in text
    covered = " | ".join(["95.1 to 97.4"] * 4)
    assert f"| 1 : 4 | 2,000 | 1 | {covered} | 0.3 | 2,000 |\n\nPatterns on which no constant" in text
    assert "- FDR: 2 of 2 cells within 93 to 97 % (96.0 %)" in text
    assert "| 1 : 1.5 | 2,000 | 1 | 96.0 | 96.0 | 96.0 | 96.0 | 0.3 | 2,000 |\n<!-- /coverage -->" in text
    outside = [
        re.sub(r"<!-- coverage -->.*<!-- /coverage -->", "", t, flags=re.DOTALL)
        for t in (before["differentials.md"], text)
    ]
    assert outside[0] == outside[1]
