"""What a collection declares, by the API's own tags, and the consent that a reference needs.

countenance:purpose            one purpose of the policy
countenance:legal-basis        one that the policy accepts for it
countenance:retention-days     references are erased after so many days
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from countenance.errors import PolicyError
from countenance.gallery import Consent
from countenance.policy.file import Policy

__all__ = ["BASIS_TAG", "PURPOSE_TAG", "RETENTION_TAG", "Terms", "default_consent", "terms_of"]

PURPOSE_TAG = "countenance:purpose"
BASIS_TAG = "countenance:legal-basis"
RETENTION_TAG = "countenance:retention-days"


@dataclass(frozen=True)
class Terms:
    """What a collection is for; None where it does not say. ``by_default``: the policy said it in its place."""

    purpose: str | None = None
    legal_basis: str | None = None
    retention_days: int | None = None
    by_default: bool = False


def terms_of(tags: Mapping[str, str], policy: Policy) -> Terms:
    """What these tags declare; with none of our tags, the policy's defaults, if it has any.

    A collection that has some of our tags gets no defaults for the others. Raises PolicyError for an unknown tag of
    ours, or a retention that is not a number of days.
    """
    ours = {key: value for key, value in tags.items() if key.startswith("countenance:")}
    unknown = sorted(ours.keys() - {PURPOSE_TAG, BASIS_TAG, RETENTION_TAG})
    if unknown:
        raise PolicyError(f"tag {unknown[0]}: is unknown; there are {PURPOSE_TAG}, {BASIS_TAG} and {RETENTION_TAG}")
    default = policy.collection_defaults
    if not ours and default is not None:
        return Terms(default.purpose, default.legal_basis, default.retention_days, by_default=True)
    days = ours.get(RETENTION_TAG)
    if days is not None and not (days.isascii() and days.isdecimal() and 0 < int(days) <= 36_500):
        raise PolicyError(f"tag {RETENTION_TAG}: {days!r} is not a number of days; write one from 1 to 36500")
    return Terms(ours.get(PURPOSE_TAG), ours.get(BASIS_TAG), int(days) if days is not None else None)


def default_consent(policy: Policy, terms: Terms, subject: str, now: datetime) -> Consent | None:
    """The record for a reference that comes without one, where the policy has such a default; else None.

    It ends with the default's days or the collection's retention, whichever comes first.
    """
    given = policy.consent_defaults
    if given is None or terms.purpose is None or terms.legal_basis is None:
        return None
    days = given.days if terms.retention_days is None else min(given.days, terms.retention_days)
    return Consent(
        subject=subject,
        purpose=terms.purpose,
        basis=terms.legal_basis,
        notice=given.notice,
        given=now,
        until=now + timedelta(days=days),
        withdraw=given.withdraw,
    )
