"""The pages say what the code does."""

import re
from pathlib import Path

from countenance.policy import RULES
from countenance.policy.terms import BASIS_TAG, PURPOSE_TAG, RETENTION_TAG

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_lists_the_rules_in_their_order():
    rows = re.findall(r"^\| `([a-z-]+)` \|", (DOCS / "policy.md").read_text(), re.M)
    assert tuple(rows) == RULES


def test_the_page_lists_the_tags():
    page = (DOCS / "policy.md").read_text()
    assert all(f"`{tag}`" in page for tag in (PURPOSE_TAG, BASIS_TAG, RETENTION_TAG))


def test_the_page_names_every_member_of_a_certificate(certificate):
    page = (DOCS / "certificate.md").read_text()
    told = set(certificate.said) - {"format", "code"}
    assert all(f"`{name}`" in page or f"`{name}." in page for name in told), told
