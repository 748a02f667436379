"""What a person reads of a certificate or a policy."""

from dataclasses import replace
from datetime import timedelta

import pytest
from made_up import NOW, PIPELINE

from countenance.errors import CertificateError
from countenance.ledger import SigningKey
from countenance.policy import Rate, describe, describe_policy, shipped_policy, synthetic_certificate, verify


def test_a_certificate_is_told(certificate):
    text = describe(certificate)
    largest = certificate.largest_gallery()
    assert f"galleries of up to {largest} faces, with at most 1.00% strangers expected" in text
    assert "400 people, 800 photos, 79,800 pairs of people" in text
    assert certificate.id in text
    row = next(line for line in text.splitlines() if line.split()[:1] == [str(largest)])
    assert f"{certificate.threshold_for(largest):.4f}" in row
    assert "gender female" in text
    assert "people and photos unlike these: children" in text
    none = replace(certificate.groups[0], rates=(Rate(-1.0, 0.0, 0.0, 2e-5),))
    unseen = describe(replace(certificate, groups=(none,)))
    assert "below 2e-05" in unseen  # no error was seen, and that is not a rate of 0
    for word in ("fair", "unbiased", "accurate", "safe"):
        assert word not in text


def test_what_was_checked_and_what_was_not(certificate, tallies, key):
    assert verify(certificate, now=NOW) == (
        f"certificate {certificate.id}: signed by operator/test, whose key you have to know; "
        "not recomputed: give --tallies"
    )
    whole = verify(certificate, tallies, [key.verifying], NOW)
    assert "whom you trust; everything in it follows from the tallies" in whole
    wrong = [
        ("does not hold", {"certificate": replace(certificate, signature="")}),
        ("not trusted here", {"trusted": [SigningKey("x", b"x" * 32).verifying]}),
        ("expired on 2027-11-23", {"now": NOW + timedelta(days=365)}),
        ("holds only from 2026-11-23 12:00", {"now": NOW - timedelta(days=1)}),
        ("other tallies", {"tallies": replace(tallies, system=replace(tallies.system, name="x"))}),
    ]
    for says, given in wrong:
        with pytest.raises(CertificateError, match=says):
            verify(**{"certificate": certificate, "now": NOW, **given})


def test_synthetic_is_the_first_word(key, tallies):
    made = synthetic_certificate(key, PIPELINE, gallery=1000, threshold=0.3, now=NOW)
    assert describe(made).startswith("SYNTHETIC")
    assert verify(made, tallies, now=NOW).endswith("SYNTHETIC: nothing was measured")


def test_a_policy_is_told():
    text = describe_policy(shipped_policy())
    assert text.startswith("policy shipped, version 1 (")
    assert "allowed  photo-archive" in text
    assert "refused  law-enforcement: a false match ends in an arrest" in text
    assert "refused  any other purpose, and collections that name none" in text
    assert "WARNING" not in text
    trying = describe_policy(shipped_policy("test"))
    assert "a collection without tags is for evaluation" in trying
    assert "WARNING  accepts certificates that were made up" in trying
