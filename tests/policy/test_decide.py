"""Every refusal has its own sentence with its mend, and nothing without a certificate is ever allowed."""

import dataclasses
import json
import math
from dataclasses import replace
from datetime import timedelta
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import NOW, PIPELINE

from countenance.errors import PolicyError
from countenance.gallery import Consent
from countenance.ledger import SigningKey
from countenance.policy import (
    ACTIONS,
    ACTORS,
    ROLES,
    RULES,
    Terms,
    certify,
    decide,
    default_consent,
    read_policy,
    shipped_policy,
    synthetic_certificate,
    terms_of,
)
from countenance.policy.certificate import from_said
from countenance.policy.signing import sign

STRANGER = SigningKey("stranger/x", b"9" * 32)
STARTED = "2026-11-23T12:00:00.000000Z"


def policy_with(old, new, name="default"):
    text = (files("countenance.policy") / "data" / f"{name}.toml").read_text()
    assert old in text
    return read_policy(text.replace(old, new, 1))


def signed(certificate, key, **changes):
    """The certificate with top-level members changed, signed by ``key``."""
    said = {**certificate.said, "issuer": str(key.verifying), **changes}
    return from_said(said, sign(key, said))


@pytest.fixture
def consent():
    return Consent(
        subject="s1",
        purpose="photo-archive",
        basis="consent",
        notice="notice-1",
        given=NOW - timedelta(days=1),
        until=NOW + timedelta(days=300),
        withdraw="write to us",
    )


def test_a_search_that_may_be_made_comes_with_its_permit(facts, certificate):
    found = decide(facts)
    assert found.allowed
    assert found.rule == "certified"
    assert (found.purpose, found.basis, found.review) == ("photo-archive", "consent", False)
    said, permit = found.in_force, found.permit
    assert permit.threshold == said.threshold == max(said.certified_threshold, said.asked_threshold)
    assert said.certified_threshold == certificate.threshold_for(3)
    assert (permit.collection, permit.pipeline, permit.decision) == ("friends", PIPELINE, "r1")
    assert permit.occasion.certificate == certificate.id
    assert permit.occasion.policy == facts.policy.digest
    assert permit.threshold_asked == 80.0
    assert permit.largest_gallery == said.holds_up_to >= 3
    assert certificate.threshold_for(said.holds_up_to) <= said.threshold
    larger = certificate.threshold_for(said.holds_up_to + 1)
    assert larger is None or larger > said.threshold


def test_the_answer_says_how_wrong_it_may_be(facts, certificate):
    said = decide(replace(facts, gallery=5)).in_force
    assert said.asked == 80.0
    assert said.similarity == certificate.curve.similarity(said.threshold) > 99
    assert said.fmr_interval[0] <= said.fmr <= said.fmr_interval[1]
    assert said.worst.group == "gender female"
    assert said.best.group == "gender male"
    assert said.best.strangers <= said.worst.strangers <= said.target == 0.01
    assert said.worst.strangers <= said.worst.at_most
    assert said.certificate == certificate.id
    assert said.self_issued
    assert not said.synthetic
    assert "people and photos unlike these" in said.not_tested
    assert "self-issued" in decide(facts).reason
    foreign = signed(certificate, STRANGER)
    trusting = policy_with("trusted = []", f'trusted = ["{STRANGER.verifying}"]')
    found = decide(replace(facts, certificate=foreign, policy=trusting))
    assert found.allowed
    assert not found.in_force.self_issued
    assert "self-issued" not in found.reason


def test_the_stricter_of_asked_and_certified_is_in_force(facts, certificate):
    loose, strict = (decide(replace(facts, similarity=s)).in_force for s in (0.0, 99.999))
    assert loose.threshold == certificate.threshold_for(3)
    assert strict.threshold == certificate.curve.threshold(99.999) > loose.threshold
    never = decide(replace(facts, similarity=100.0))
    assert never.allowed
    assert never.in_force.asked_threshold == math.inf
    assert math.isfinite(never.permit.threshold)
    assert never.permit.threshold > 1.0
    assert decide(replace(facts, similarity=0.0)).in_force.asked_threshold == -math.inf
    told = json.loads(json.dumps(never.in_force.to_json(), allow_nan=False))
    assert told["threshold"] is told["asked_threshold"] is None
    assert json.loads(json.dumps(loose.to_json()))["worst"]["group"] == "gender female"
    assert loose.to_json()["threshold"] == loose.threshold


def test_a_comparison_needs_a_certificate_and_no_permit(comparison):
    found = decide(comparison)
    assert found.allowed
    assert found.permit is None
    assert found.in_force.gallery == 1
    assert found.purpose == "photo-archive"
    refused = decide(replace(comparison, certificate=None))
    assert (refused.allowed, refused.rule) == (False, "certificate")
    assert decide(replace(comparison, purposes=("schools", "photo-archive"))).purpose == "photo-archive"
    assert decide(replace(comparison, purposes=("schools",))).rule == "purpose-refused"
    assert "this key has no purpose" in decide(replace(comparison, purposes=())).reason


REFUSALS = {
    "role": (lambda f, c, k: replace(f, role="auditor"), "use a key of the role operator or reader"),
    "purpose-undeclared": (
        lambda f, c, k: replace(f, terms=Terms()),
        "tag it: countenance:purpose = photo-archive | event-photos",
    ),
    "purpose-refused": (
        lambda f, c, k: replace(f, terms=Terms("law-enforcement", "consent", 3), purposes=("law-enforcement",)),
        "a false match ends in an arrest",
    ),
    "purpose-of-key": (lambda f, c, k: replace(f, purposes=("access",)), "countenance keys"),
    "law": (
        lambda f, c, k: replace(
            f, policy=policy_with("in_force = []", 'in_force = ["us-ma-boston"]'), actor_class="police"
        ),
        "the law of Boston, Massachusetts bans this",
    ),
    "legal-basis": (
        lambda f, c, k: replace(f, terms=Terms("photo-archive", None, 3)),
        "tag it: countenance:legal-basis = consent | explicit-consent",
    ),
    "retention": (
        lambda f, c, k: replace(f, terms=Terms("photo-archive", "consent", 1096)),
        "countenance:retention-days = 1095 or less",
    ),
    "certificate": (
        lambda f, c, k: replace(f, certificate=None, certificate_fault="c.json is damaged"),
        "(c.json is damaged); run: countenance audit PHOTOS --save-tallies TALLIES, then countenance certify",
    ),
    "certificate-altered": (
        lambda f, c, k: replace(f, certificate=from_said({**c.said, "code": "9"}, c.signature)),
        "its signature does not hold",
    ),
    "certificate-signer": (
        lambda f, c, k: replace(f, certificate=signed(c, STRANGER)),
        "signed by stranger/x, whom the policy does not trust",
    ),
    "certificate-synthetic": (
        lambda f, c, k: replace(f, certificate=synthetic_certificate(k, PIPELINE, gallery=9, threshold=0.1, now=NOW)),
        "nothing was measured",
    ),
    "certificate-validity": (
        lambda f, c, k: replace(f, now=NOW + timedelta(days=365)),
        "expired on 2027-11-23; audit again, then run: countenance certify",
    ),
    "certificate-pipeline": (lambda f, c, k: replace(f, pipeline="e" * 64), "is of another pipeline (4f4f4f4f4f4f"),
    "certificate-groups": (
        lambda f, c, k: replace(f, policy=policy_with('groups = ["gender"]', 'groups = ["gender", "age"]')),
        "does not certify age, which the policy demands; audit people with that label, then run: countenance certify",
    ),
    "certificate-gallery": (
        lambda f, c, k: replace(f, gallery=c.largest_gallery() + 1),
        "faces would be searched, and certificate",
    ),
}


@pytest.mark.parametrize("rule", REFUSALS)
def test_each_refusal_has_a_sentence_of_its_own(facts, certificate, key, rule):
    change, says = REFUSALS[rule]
    found = decide(change(facts, certificate, key))
    assert not found.allowed
    assert found.rule == rule
    assert says in found.reason
    assert "\n" not in found.reason
    assert found.permit is None
    assert found.in_force is None


def test_every_rule_is_tested():
    assert set(RULES) == set(REFUSALS) | {"consent", "forget"}


def test_the_rules_are_asked_in_their_order(facts, certificate, key):
    """Facts under which everything is wrong, mended one by one."""
    wrong = replace(
        facts,
        role="auditor",
        terms=Terms(),
        purposes=("access",),
        actor_class="police",
        policy=policy_with("in_force = []", 'in_force = ["us-ma-boston"]'),
        certificate=None,
        pipeline="e" * 64,
        gallery=10**6,
    )
    age = policy_with('groups = ["gender"]', 'groups = ["age"]')
    bad = signed(certificate, STRANGER, synthetic=True, validity={**certificate.said["validity"], "until": STARTED})
    mends = [
        ("role", {"role": "operator"}),
        ("purpose-undeclared", {"terms": Terms("schools")}),
        ("purpose-refused", {"terms": Terms("photo-archive")}),
        ("purpose-of-key", {"purposes": ("photo-archive",)}),
        ("law", {"policy": age}),
        ("legal-basis", {"terms": Terms("photo-archive", "consent")}),
        ("retention", {"terms": Terms("photo-archive", "consent", 1)}),
        ("certificate", {"certificate": from_said(bad.said, "")}),
        ("certificate-altered", {"certificate": bad}),
        ("certificate-signer", {"certificate": signed(bad, key)}),
        ("certificate-synthetic", {"certificate": signed(bad, key, synthetic=False)}),
        ("certificate-validity", {"certificate": certificate}),
        ("certificate-pipeline", {"pipeline": PIPELINE}),
        ("certificate-groups", {"policy": shipped_policy()}),
        ("certificate-gallery", {"gallery": 3}),
    ]
    assert [rule for rule, _ in mends] == [rule for rule in RULES if rule in REFUSALS]
    for rule, mend in mends:
        assert decide(wrong).rule == rule
        wrong = replace(wrong, **mend)
    assert decide(wrong).allowed


def test_other_ways_in_which_a_certificate_fails(facts, certificate, key):
    early = decide(replace(facts, now=NOW - timedelta(seconds=1)))
    assert "holds only from 2026-11-23 12:00 UTC on" in early.reason
    long = decide(replace(facts, policy=policy_with("longest_days = 365  ", "longest_days = 30  ")))
    assert long.rule == "certificate-validity"
    assert "certify TALLIES --key KEY --days 30" in long.reason
    strict = policy_with("trusted = []", f'trusted = ["{STRANGER.verifying}"]')
    strict = replace(strict, certificate=replace(strict.certificate, self_issued=False))
    assert "is self-issued, and the policy accepts only other signers" in decide(replace(facts, policy=strict)).reason
    unknown = decide(replace(facts, operator=None))
    assert unknown.rule == "certificate-signer"
    renamed = SigningKey("somebody/else", key.seed)  # the same key under another name is still the operator's
    assert decide(replace(facts, operator=renamed.verifying)).in_force.self_issued


def test_a_group_too_small_to_certify_is_named_in_the_refusal(facts, certificate, key):
    groups = {**certificate.said["groups"], "too_small": [{"group": "gender other", "why": "12 people"}]}
    weak = signed(certificate, key, groups=groups)
    demanding = policy_with('groups = ["gender"]', 'groups = ["gender=other"]')
    found = decide(replace(facts, certificate=weak, policy=demanding))
    assert "does not certify gender=other, which the policy demands (gender other: 12 people)" in found.reason
    assert "gender other" in decide(replace(facts, certificate=weak)).in_force.not_tested


def test_the_synthetic_certificate_serves_benches_and_says_so(facts, key):
    made = synthetic_certificate(key, PIPELINE, gallery=100_000, threshold=0.5, now=NOW)
    bench = shipped_policy("test")
    terms = terms_of({}, bench)
    found = decide(
        replace(facts, policy=bench, certificate=made, gallery=100_000, terms=terms, purposes=(), actor_class=None)
    )
    assert found.allowed, found.reason
    assert found.in_force.synthetic
    assert found.in_force.threshold == 0.5


def test_a_law_asks_whose_the_key_is(facts):
    lawful = policy_with("in_force = []", 'in_force = ["us-ma-boston"]')
    assert decide(replace(facts, policy=lawful)).allowed
    assert "whose it is" in decide(replace(facts, policy=lawful, actor_class=None)).reason
    assert decide(replace(facts, policy=lawful, actor_class="government")).rule == "law"


def test_enrolling_needs_consent_and_no_certificate(facts, consent):
    enrol = replace(facts, action="enrol", operation="IndexFaces", certificate=None, consent=consent)
    assert decide(enrol).allowed
    assert decide(enrol).permit is None
    wrong = {
        "no record of consent": None,
        "ended on 2026-11-23; ask the person again": replace(consent, until=NOW),
        "dated in the future": replace(consent, given=NOW + timedelta(days=1)),
        "longer than the policy's 1095 days": replace(consent, until=NOW + timedelta(days=1095)),
        "is for access, not for photo-archive": replace(consent, purpose="access"),
        "rests on contract, and the collection on consent": replace(consent, basis="contract"),
    }
    for says, record in wrong.items():
        found = decide(replace(enrol, consent=record))
        assert (found.allowed, found.rule) == (False, "consent")
        assert says in found.reason
    assert decide(replace(enrol, terms=Terms("schools", "consent", 3))).rule == "purpose-refused"
    relaxed = policy_with("required = true", "required = false")
    assert decide(replace(enrol, policy=relaxed, consent=None)).allowed


def test_a_collection_may_be_made_before_it_says_what_it_is_for(facts):
    made = replace(facts, action="collections", operation="CreateCollection", terms=Terms(), certificate=None)
    assert decide(made).allowed
    assert decide(replace(made, terms=Terms("photo-archive"))).allowed
    assert decide(replace(made, terms=Terms("schools"))).rule == "purpose-refused"
    assert decide(replace(made, terms=Terms("photo-archive", "contract"))).rule == "legal-basis"
    assert decide(replace(made, terms=Terms("photo-archive", "consent", 9999))).rule == "retention"
    search = replace(made, action="search")
    assert decide(search).rule == "purpose-undeclared"
    assert decide(replace(search, terms=None)).rule == "purpose-undeclared"


def test_a_person_may_find_and_erase_themselves_without_a_certificate(facts):
    asked = replace(facts, action="forget", operation="forget", certificate=None, terms=None, permissive=-0.7)
    found = decide(asked)
    assert found.allowed
    assert found.permit.threshold == -0.7
    assert found.permit.occasion.purpose is None
    assert found.permit.largest_gallery > 10**9
    assert "does not prove absence" in found.reason
    assert decide(replace(asked, role="reader")).rule == "role"
    assert decide(replace(asked, permissive=None)).rule == "forget"


def test_two_people_review_where_the_policy_says_so(facts):
    asked = policy_with("purposes = []", 'purposes = ["photo-archive"]')
    assert decide(replace(facts, policy=asked)).review


def test_defaults_of_the_test_policy_let_an_untagged_collection_be_searched(facts):
    policy = shipped_policy("test")
    terms = terms_of({"department": "x"}, policy)
    assert terms.by_default
    found = decide(replace(facts, policy=policy, terms=terms, purposes=(), actor_class=None))
    assert found.allowed, found.reason
    assert found.purpose == "evaluation"
    record = default_consent(policy, terms, "face-1", NOW)
    assert record.until == NOW + timedelta(days=30)
    enrol = replace(facts, action="enrol", policy=policy, terms=terms, purposes=(), consent=record)
    assert decide(enrol).allowed
    assert default_consent(shipped_policy(), terms, "face-1", NOW) is None
    assert default_consent(policy, Terms(), "face-1", NOW) is None
    half = terms_of({"countenance:purpose": "evaluation"}, policy)
    assert not half.by_default
    assert decide(replace(facts, policy=policy, terms=half, purposes=())).rule == "legal-basis"


def test_tags_are_read_strictly():
    policy = shipped_policy()
    tags = {"countenance:purpose": "access", "countenance:legal-basis": "consent", "countenance:retention-days": "30"}
    assert terms_of(tags, policy) == Terms("access", "consent", 30)
    assert terms_of({}, policy) == Terms()
    for days in ("0", "-1", "x", "1.5", "", "99999", "٣"):
        with pytest.raises(PolicyError, match="not a number of days"):
            terms_of({**tags, "countenance:retention-days": days}, policy)
    with pytest.raises(PolicyError, match="countenance:purpos: is unknown"):
        terms_of({"countenance:purpos": "access"}, policy)


def test_the_same_facts_give_the_same_decision(facts):
    assert decide(facts) == decide(facts)


POLICIES = [shipped_policy(), shipped_policy("test")]
ANYTHING = {
    "action": st.sampled_from(ACTIONS),
    "role": st.sampled_from([*ROLES, "root"]),
    "actor_class": st.sampled_from([*ACTORS, None]),
    "purposes": st.lists(st.sampled_from([*POLICIES[0].purposes, "evaluation", "x"]), max_size=3).map(tuple),
    "policy": st.sampled_from(POLICIES),
    "terms": st.none()
    | st.builds(
        Terms,
        st.sampled_from([*POLICIES[0].purposes, "x", None]),
        st.sampled_from(["consent", "contract", "x", None]),
        st.sampled_from([1, 30, 10_000, None]),
    ),
    "gallery": st.integers(0, 12),
    "similarity": st.floats(0, 100),
    "now": st.sampled_from([NOW - timedelta(days=1), NOW, NOW + timedelta(days=400)]),
    "pipeline": st.sampled_from([PIPELINE, "e" * 64]),
}


@settings(max_examples=400, deadline=None)
@given(st.fixed_dictionaries(ANYTHING))
def test_nothing_is_searched_or_compared_without_a_certificate(facts, changes):
    found = decide(replace(facts, certificate=None, **changes))
    assert found.in_force is None
    assert found.permit is None
    if found.allowed:
        assert changes["action"] not in {"search", "compare"}


@settings(max_examples=400, deadline=None)
@given(st.fixed_dictionaries(ANYTHING))
def test_whatever_is_allowed_has_every_condition_met(facts, certificate, changes):
    asked = replace(facts, **changes)
    found = decide(asked)
    if not found.allowed:
        assert found.rule in RULES
        assert found.permit is None
        return
    assert asked.policy.may(asked.role, asked.action)
    assert (found.permit is not None) == (asked.action == "search")
    if asked.action in {"search", "compare"}:
        purpose = asked.policy.purposes[found.purpose]
        assert purpose.allowed
        assert found.purpose in asked.key_purposes
        assert asked.now == NOW
        assert asked.pipeline == PIPELINE
        assert asked.gallery <= certificate.largest_gallery()
        threshold = certificate.threshold_for(asked.gallery)
        assert found.in_force.threshold >= max(threshold, certificate.curve.threshold(asked.similarity))
        assert found.in_force.worst.strangers <= found.in_force.target


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 8), st.integers(0, 8), st.floats(0, 100), st.floats(0, 100))
def test_more_faces_or_a_stricter_wish_never_lower_the_threshold(facts, n, m, a, b):
    (few, many), (loose, strict) = sorted((n, m)), sorted((a, b))
    low, high = (decide(replace(facts, gallery=g, similarity=s)) for g, s in ((few, loose), (many, strict)))
    if high.allowed:
        assert low.allowed
        assert low.in_force.threshold <= high.in_force.threshold


def test_facts_do_not_change_when_they_are_decided_on(facts):
    before = dataclasses.asdict(replace(facts, certificate=None, policy=None))
    decide(facts)
    assert dataclasses.asdict(replace(facts, certificate=None, policy=None)) == before


def test_a_certificate_of_men_alone_does_not_pass_for_gender(facts, tallies, key):
    men = certify(tallies, key, groups=(), now=NOW)
    found = decide(replace(facts, certificate=men))
    assert found.rule == "certificate-groups"
    assert "does not certify gender" in found.reason
