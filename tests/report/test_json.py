"""audit.json: its schema, its bytes, and what it refuses."""

import json
import os
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_examples import ALL, adjudicated, embedded, nothing

from countenance.errors import InputError
from countenance.report import json_text, schema_text, write_json, write_report

SCHEMA = json.loads(schema_text())


def check(document: object) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(document)


def test_the_schema_is_itself_valid():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", ALL)
def test_every_result_follows_the_schema(name):
    check(json.loads(json_text(ALL[name]())))


def objects(schema, where="audit"):
    """Every object schema in the schema, with its place."""
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield where, schema
        for name, inner in schema.items():
            yield from objects(inner, f"{where}.{name}")
    elif isinstance(schema, list):
        for number, inner in enumerate(schema):
            yield from objects(inner, f"{where}[{number}]")


def test_the_schema_is_strict_and_describes_every_field():
    found = dict(objects(SCHEMA))
    assert len(found) > 20
    for where, schema in found.items():
        assert schema.get("description"), where
        if "inputs" not in where:
            assert schema.get("additionalProperties") is not None, where
        for name, field in schema.get("properties", {}).items():
            assert field.get("description") or SCHEMA["$defs"][field["$ref"].split("/")[-1]]["description"], (
                where,
                name,
            )


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("surprise",), 1),
        (("counts", "surprise"), 1),
        (("verification", "groups", 0, "fmr_interval"), [0.1]),
        (("verification", "groups", 0, "fmr"), 1.5),
        (("search", "points", 0, "groups", 0, "group"), "women"),
        (("weighting",), "photo"),
        (("schema",), "https://example.org"),
    ],
)
def test_what_breaks_the_contract_is_found(path, value):
    document = json.loads(json_text(embedded()))
    at = document
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        check(document)


def test_a_missing_field_is_found():
    document = json.loads(json_text(embedded()))
    del document["verification"]["groups"][0]["fmr_interval"]
    with pytest.raises(jsonschema.ValidationError):
        check(document)


def test_the_same_result_gives_the_same_bytes_and_only_made_holds_the_time():
    one, two = json_text(embedded()), json_text(embedded())
    assert one == two
    later = json_text(replace(embedded(), made="2030-01-01T00:00:00Z"))
    changed = [(a, b) for a, b in zip(one.splitlines(), later.splitlines(), strict=True) if a != b]
    assert [a.strip().split(":")[0] for a, _ in changed] == ['"made"']


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=0, max_value=1))
def test_floats_come_back_exactly(value):
    result = replace(nothing(), inputs={"value": value})
    assert json.loads(json_text(result))["inputs"]["value"] == value


@given(st.text())
def test_any_text_comes_back(text):
    result = replace(nothing(), headline=text)
    assert json.loads(json_text(result).encode("utf-8", "backslashreplace"))["headline"] == text


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), np.float32("nan")])
def test_what_is_no_number_is_refused_by_name(bad):
    with pytest.raises(ValueError, match=r"inputs\.scores\[1\] is"):
        json_text(replace(nothing(), inputs={"scores": [1.0, bad]}))


@pytest.mark.parametrize(("bad", "what"), [({1, 2}, "a set"), ({3: 4}, "key 3"), (b"x", "a bytes")])
def test_what_json_cannot_hold_is_refused_by_name(bad, what):
    with pytest.raises(ValueError, match=f"inputs.*{what}"):
        json_text(replace(nothing(), inputs={"odd": bad}))


def test_numpy_scalars_are_numbers():
    result = replace(nothing(), inputs={"n": np.int64(3), "x": np.float64(0.1), "b": np.bool_(True)})
    assert json.loads(json_text(result))["inputs"] == {"n": 3, "x": 0.1, "b": True}


def test_adjudicated_results_are_nested():
    document = json.loads(json_text(adjudicated()))
    assert document["adjudicated"]["headline"] != document["headline"]
    check(document)


def test_a_path_that_is_not_utf8_is_written_and_read(tmp_path: Path):
    name = os.fsdecode(b"caf\xe9.jpg")
    path = write_json(replace(nothing(), inputs={"file": name}), tmp_path / "audit.json")
    assert json.loads(path.read_bytes())["inputs"]["file"] == name


def test_report_is_written_whole_into_a_new_folder(tmp_path: Path):
    written = write_report(embedded(), tmp_path / "a" / "b")
    assert written.audit_json.read_text(encoding="utf-8") == json_text(embedded())
    assert written.report_html.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert sorted(p.name for p in (tmp_path / "a" / "b").iterdir()) == ["audit.json", "report.html"]


def test_nothing_is_written_when_one_file_cannot_be(tmp_path: Path):
    (tmp_path / "report.html").mkdir()
    with pytest.raises(InputError, match=r"report\.html: cannot be written .*--out"):
        write_report(embedded(), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_an_earlier_report_survives_a_result_that_cannot_be_written(tmp_path: Path):
    write_report(nothing(), tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(ValueError, match="NaN"):
        write_report(replace(embedded(), inputs={"x": float("nan")}), tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_folder_that_is_a_file_is_the_users_mistake(tmp_path: Path):
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match="--out"):
        write_report(nothing(), tmp_path / "out")
    with pytest.raises(InputError, match="--out"):
        write_json(nothing(), tmp_path / "missing" / "audit.json")
