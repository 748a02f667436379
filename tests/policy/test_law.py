"""The table of bans: all places that the ACLU named, each with what it covers and as of when."""

import re
from pathlib import Path

import pytest

from countenance.policy import ACTORS, law_table, shipped_policy

NAMED = (
    "San Francisco, Berkeley, Oakland, Boston, Brookline, Cambridge, Easthampton, Northampton, Springfield, "
    "Somerville, New Orleans, Jackson, Portland, Maine, Minneapolis, Portland, Oregon, Virginia, Vermont, New York, "
    "California"
)
PAGE = Path(__file__).parents[2] / "docs" / "law.md"


def test_every_place_that_was_named_is_there():
    places = [entry.place for entry in law_table().values()]
    assert len(places) == len(set(places)) == 19
    for name in NAMED.split(", "):
        assert any(name in place for place in places), name
    for entry in law_table().values():
        assert entry.as_of == "2021-05"
        assert "ACLU" in entry.source
        assert len(entry.covers) > 10
        assert 2019 <= entry.since <= 2021
        assert entry.bans
        for ban in entry.bans:
            assert ban.actors <= {*ACTORS, "any"}
            assert ban.purposes <= {*shipped_policy().purposes, "any", "body-cameras"}
        assert entry.later is None or re.search(r"20\d\d", entry.later)
        assert entry.later is None or entry.checked, "what changed later was looked up somewhere, some day"


@pytest.mark.parametrize(
    ("place", "actor", "purpose", "refused"),
    [
        ("us-ma-boston", "police", "photo-archive", True),
        ("us-ma-boston", "company", "photo-archive", False),
        ("us-ms-jackson", "government", "access", False),
        ("us-or-portland", "company", "public-spaces", True),
        ("us-or-portland", "company", "access", False),
        ("us-ny-schools", "school", "access", True),
        ("us-ny-schools", "company", "schools", True),
        ("us-ca-body-cameras", "police", "body-cameras", True),
        ("us-ca-body-cameras", "police", "access", False),
        ("us-va", "police", "access", True),
    ],
)
def test_a_ban_covers_what_it_says(place, actor, purpose, refused):
    assert law_table()[place].refuses(actor, purpose) is refused


def test_what_is_refused_to_all():
    assert law_table()["us-or-portland"].refused_to_all == {"public-spaces"}
    assert law_table()["us-ma-boston"].refused_to_all == frozenset()


def test_the_page_lists_them_all():
    page = PAGE.read_text()
    for entry in law_table().values():
        row = next(line for line in page.splitlines() if f"`{entry.id}`" in line)
        assert entry.place in row
        assert entry.covers in row
        assert entry.later is None or entry.later in row
        assert entry.checked is None or entry.checked in row
