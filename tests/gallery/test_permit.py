"""One door: nothing is searched without a permit, and nothing but policy makes one."""

import ast
import copy
import pickle
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import countenance
from countenance.errors import PermitError
from countenance.gallery import Gallery, Permit
from countenance.ledger import Kind
from gallery.helpers import OPERATOR, PIPELINE, enrolled, made, permit, vectors

SOURCE = Path(countenance.__file__).parent
MAKERS = {"policy", "gallery/permit.py"}


@pytest.mark.parametrize(
    ("leave", "says"),
    [
        (None, "needs a permit"),
        (object(), "needs a permit"),
        ({"collection": "other"}, "for the collection other"),
        ({"pipeline": "other"}, "for the pipeline other"),
        ({"largest_gallery": 4}, "has 5 faces"),
        ({"valid_for": timedelta(seconds=-1)}, "expired"),
    ],
)
def test_a_search_without_a_permit_that_holds_is_refused_and_recorded(gallery: Gallery, leave: Any, says: str) -> None:
    made(gallery)
    array = vectors(5)
    enrolled(gallery, array)
    given = permit(**({"name": "family"} | leave)) if isinstance(leave, dict) and "collection" not in leave else leave
    if isinstance(leave, dict) and "collection" in leave:
        given = permit("other")
    with pytest.raises(PermitError, match=says):
        gallery.search("family", array[0], given)
    (record,) = gallery.ledger.records(kinds=[Kind.REFUSAL])
    assert says in (record.entry.reason or "")
    assert not list(gallery.ledger.records(kinds=[Kind.SEARCH]))


def test_a_permit_is_good_once(gallery: Gallery) -> None:
    made(gallery)
    array = vectors(1)
    leave = permit()
    gallery.search("family", array[0], leave)
    with pytest.raises(PermitError, match="used before"):
        gallery.search("family", array[0], leave)


def test_giving_faces_that_must_match_passes_the_same_door(gallery: Gallery) -> None:
    made(gallery)
    ids = enrolled(gallery, vectors(2))
    gallery.create_user("family", "anna", OPERATOR)
    for leave in (permit("other"), permit(pipeline="other"), permit(largest_gallery=1)):
        with pytest.raises(PermitError):
            gallery.assign("family", "anna", ids, OPERATOR, permit=leave)
    assert len(list(gallery.ledger.records(kinds=[Kind.REFUSAL]))) == 3
    assert gallery.users("family")[0].faces == 0
    gallery.assign("family", "anna", ids, OPERATOR, permit=permit(threshold=-3.5))
    *_, last = gallery.ledger.records(kinds=[Kind.USER])
    assert last.entry.threshold == -3.5


def test_a_permit_is_not_made_copied_or_changed_elsewhere() -> None:
    leave = permit()
    facts = {name: getattr(leave, name) for name in Permit.__dataclass_fields__ if name != "token"}
    with pytest.raises(PermitError, match=r"policy\.decide alone"):
        Permit(**facts, token=object())
    with pytest.raises(TypeError):
        Permit(**facts)
    with pytest.raises((TypeError, ValueError)):
        replace(leave, threshold=-1e9)
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(PermitError):
            attempt(leave)
    with pytest.raises(AttributeError):
        leave.threshold = 0.0  # type: ignore[misc]


@pytest.mark.parametrize("facts", [{"threshold": float("nan")}, {"max_candidates": 0}, {"largest_gallery": -1}])
def test_permits_that_say_nothing(facts: dict[str, Any]) -> None:
    with pytest.raises(PermitError):
        permit(**facts)


def test_only_policy_takes_the_maker_of_permits() -> None:
    takers = set()
    for path in SOURCE.rglob("*.py"):
        name = path.relative_to(SOURCE).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.ImportFrom(module="countenance.gallery.permit", names=names):
                    if any(alias.name not in {"Permit", "Door"} for alias in names):
                        takers.add(name)
                case ast.ImportFrom(module="countenance.gallery", names=names):
                    if any(alias.name in {"permit", "*"} for alias in names):
                        takers.add(name)
                case ast.Import(names=names):
                    if any(alias.name.startswith("countenance.gallery.permit") for alias in names):
                        takers.add(name)
                case ast.Call(func=ast.Name(id="Permit") | ast.Attribute(attr="Permit")):
                    takers.add(name)
                case ast.Attribute(value=ast.Name(id="permit") | ast.Attribute(attr="permit"), attr="issue"):
                    takers.add(name)
                case _:
                    pass
    assert {name for name in takers if not name.startswith("policy/") and name not in MAKERS} == set()


def test_the_occasion_of_a_refusal_is_the_permits(gallery: Gallery) -> None:
    made(gallery)
    with pytest.raises(PermitError):
        gallery.search("family", vectors(1)[0], permit(pipeline="other"))
    (record,) = gallery.ledger.records(kinds=[Kind.REFUSAL])
    assert (record.entry.actor, record.entry.purpose) == (OPERATOR.actor, OPERATOR.purpose)
    assert PIPELINE in (record.entry.reason or "")
