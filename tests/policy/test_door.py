"""From refusal to search and back, through a real gallery: the only way in is a decision."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from made_up import PIPELINE, people

from countenance.errors import PermitError
from countenance.gallery import Box, NewFace, Occasion, open_gallery
from countenance.ledger import Kind
from countenance.policy import decide, default_consent, shipped_policy, terms_of


def test_refused_certified_allowed_grown_refused_again(facts, certificate, tmp_path):
    policy, found = shipped_policy("test"), people(seed=9)
    terms, now = terms_of({}, policy), datetime.now(UTC)
    asked = replace(facts, policy=policy, terms=terms, purposes=(), actor_class=None)
    with open_gallery(tmp_path / "gallery") as gallery:
        occasion = Occasion(actor="key-1", operation="IndexFaces")
        gallery.create_collection("friends", occasion, pipeline=PIPELINE, metric="cosine", dimension=48)

        def enrol(first: int, last: int) -> None:
            faces = [
                NewFace(
                    vector=found.vectors[2 * k],
                    consent=default_consent(policy, terms, f"person {k}", now),
                    image_id=f"photo-{k}",
                    box=Box(0, 0, 1, 1),
                    confidence=99.0,
                )
                for k in range(first, last)
            ]
            gallery.enrol("friends", faces, occasion, pipeline=PIPELINE)

        largest = certificate.largest_gallery()
        enrol(200, 203)
        refused = decide(replace(asked, certificate=None, gallery=3))
        assert "no audit, no search" in refused.reason
        allowed = decide(replace(asked, gallery=3))
        probe = found.vectors[2 * 201 + 1]  # another photo of somebody who is enrolled
        (candidate,) = gallery.search("friends", probe, allowed.permit).candidates
        assert candidate.face.image_id == "photo-201"
        assert candidate.score >= allowed.in_force.threshold
        with pytest.raises(PermitError, match="used before"):
            gallery.search("friends", probe, allowed.permit)

        late = decide(replace(asked, gallery=3)).permit
        enrol(203, 200 + largest + 1)
        with pytest.raises(PermitError, match="threshold holds for"):
            gallery.search("friends", probe, late)
        grown = decide(replace(asked, gallery=largest + 1))
        assert not grown.allowed
        assert f"vouches for {largest} at most" in grown.reason
        with pytest.raises(PermitError, match="needs a permit"):
            gallery.search("friends", probe, grown.permit)
        (entry,) = (record.entry for record in gallery.ledger.records(kinds=[Kind.SEARCH]))
        assert (entry.purpose, entry.certificate, entry.policy) == ("evaluation", certificate.id, policy.digest)
        assert entry.threshold == allowed.in_force.threshold
