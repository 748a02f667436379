"""Names that could be one person's, and names that are not."""

import csv

import pytest

from countenance.trials import same_name, suspected_same_people


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Tommy Tuberville", "Tommy_Tubberville"),
        ("Linda Sánchez", "Linda_Sanchez"),
        ("Robert Menendez", "Bob_Menendez"),
        ("Richard  Shelby", "Richard_Shelby"),
        ("Menendez, Robert", "Bob Menendez"),
        ("John F. Kennedy Jr.", "Jack Kennedy"),
        ("Charles E. Schumer", "Chuck Schumer"),
        ("Nydia Velázquez", "NYDIA VELAZQUEZ"),
        ("Chris Van Hollen", "Chris VanHollen"),
        ("Lars Løkke", "Lars Lokke"),
        ("A.J. Cook", "AJ Cook"),
        ("Ludivne Cherry", "Ludivine Cherry"),
        ("Pelé", "pele"),
    ],
)
def test_one_person(a: str, b: str) -> None:
    assert same_name(a, b)
    assert same_name(b, a)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("George W Bush", "George H W Bush"),
        ("John Smith", "Jane Smith"),
        ("Tom Rice", "Tom Price"),
        ("Mike Rogers", "Mike Lee"),
        ("Adam", "Adam Smith"),
        ("Robert Menendez", "Albert Menendez"),
        ("", "Adam Smith"),
        ("...", "..."),
    ],
)
def test_different_people(a: str, b: str) -> None:
    assert not same_name(a, b)
    assert not same_name(b, a)


def test_suspects_are_what_comparing_every_pair_finds() -> None:
    probes = ["Linda Sánchez", "Robert Menendez", "Nobody Here", "Tommy Tuberville", "Chris Van Hollen", "Adam Smith"]
    gallery = ["Bob_Menendez", "Linda_Sanchez", "Tommy_Tubberville", "Chris VanHollen", "Adam_Smith", "Adam_Smyth"]
    found = [(s.probe, s.gallery) for s in suspected_same_people(probes, gallery)]
    assert found == [(p, g) for p, a in enumerate(probes) for g, b in enumerate(gallery) if same_name(a, b)]
    assert {(s.probe, s.gallery) for s in suspected_same_people(probes, gallery) if s.exact} == {(0, 1), (4, 3), (5, 4)}


@pytest.mark.shared
def test_congress_in_lfw(shared) -> None:
    """The design counts 22 equal names and four more under other spellings."""
    with (shared / "data/congress/manifest.csv").open(encoding="utf-8") as file:
        probes = [row["name"] for row in csv.DictReader(file)]
    with (shared / "data/lfw/manifest.csv").open(encoding="utf-8") as file:
        gallery = sorted({row["subject"] for row in csv.DictReader(file)})
    found = suspected_same_people(probes, gallery)
    pairs = {(probes[s.probe], gallery[s.gallery]) for s in found}
    equal = {(p, g) for p, g in pairs if p == g.replace("_", " ")}
    assert len(equal) == 22
    for known in ("Tommy_Tubberville", "Linda_Sanchez", "Bob_Menendez", "Richard_Shelby"):
        assert known in {g for _, g in pairs}
    assert len(pairs) < 40, "proposals must stay few enough for a person to judge"
