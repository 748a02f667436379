"""A measured system of made-up people, its certificate, and facts under which everything is allowed."""

from dataclasses import replace

import pytest
from made_up import NOW, PIPELINE, people

from countenance.audit import Tallies, tally
from countenance.ledger import SigningKey
from countenance.policy import Certificate, Facts, Terms, certify, shipped_policy


@pytest.fixture(scope="session")
def tallies() -> Tallies:
    return tally(people(), search=False)


@pytest.fixture(scope="session")
def key() -> SigningKey:
    return SigningKey("operator/test", bytes(range(32)))


@pytest.fixture(scope="session")
def certificate(tallies: Tallies, key: SigningKey) -> Certificate:
    return certify(tallies, key, now=NOW)


@pytest.fixture(scope="session")
def facts(certificate: Certificate, key: SigningKey) -> Facts:
    """A search that is allowed under the shipped policy."""
    return Facts(
        action="search",
        operation="SearchFacesByImage",
        request="r1",
        now=NOW,
        policy=shipped_policy(),
        actor="key-1",
        role="operator",
        pipeline=PIPELINE,
        actor_class="private",
        purposes=("photo-archive",),
        collection="friends",
        terms=Terms("photo-archive", "consent", 365),
        certificate=certificate,
        operator=key.verifying,
        gallery=3,
    )


@pytest.fixture(scope="session")
def comparison(facts: Facts) -> Facts:
    """A comparison of two photos that is allowed."""
    return replace(facts, action="compare", operation="CompareFaces", collection=None, terms=None, gallery=1)
