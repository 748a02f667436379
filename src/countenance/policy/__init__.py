"""Whether something may be done: certificate, purpose, consent, law; and the two people who look before a name is told.

policy = load_policy(path)                      a file; or shipped_policy()
certificate = certify(tallies, key)             what was measured, signed; check(certificate, tallies) recomputes it
decision = decide(Facts(...))                   allowed, reason, rule; the only maker of a Permit
enact_file(ledger, folder, path)                which policy is in force stands in the ledger, each change of it signed
decision.in_force, certificate.curve            what an answer says: threshold, expected strangers, Similarity
"""

from countenance.policy.certificate import Certificate, GroupRecord, Level, Rate, load_certificate, read_certificate
from countenance.policy.change import PolicyChange, check_change, read_change, sign_change
from countenance.policy.curve import SimilarityCurve
from countenance.policy.decide import RULES, Decision, Facts, decide
from countenance.policy.enact import (
    Enacted,
    change_file,
    enact,
    enact_file,
    enacted,
    in_force_now,
    policy_of_server,
)
from countenance.policy.file import (
    ACTIONS,
    LEGAL_BASES,
    ROLES,
    Policy,
    Purpose,
    load_policy,
    read_policy,
    shipped_policy,
)
from countenance.policy.inforce import Expected, InForce
from countenance.policy.issue import certify, check, data_digest, synthetic_certificate
from countenance.policy.law import ACTORS, LawEntry, law_table
from countenance.policy.review import Outcome, Review, State, Verdict, open_review
from countenance.policy.show import describe, describe_policy, verify
from countenance.policy.terms import Terms, default_consent, terms_of

__all__ = [
    "ACTIONS",
    "ACTORS",
    "LEGAL_BASES",
    "ROLES",
    "RULES",
    "Certificate",
    "Decision",
    "Enacted",
    "Expected",
    "Facts",
    "GroupRecord",
    "InForce",
    "LawEntry",
    "Level",
    "Outcome",
    "Policy",
    "PolicyChange",
    "Purpose",
    "Rate",
    "Review",
    "SimilarityCurve",
    "State",
    "Terms",
    "Verdict",
    "certify",
    "change_file",
    "check",
    "check_change",
    "data_digest",
    "decide",
    "default_consent",
    "describe",
    "describe_policy",
    "enact",
    "enact_file",
    "enacted",
    "in_force_now",
    "law_table",
    "load_certificate",
    "load_policy",
    "open_review",
    "policy_of_server",
    "read_certificate",
    "read_change",
    "read_policy",
    "shipped_policy",
    "sign_change",
    "synthetic_certificate",
    "terms_of",
    "verify",
]
