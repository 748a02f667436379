"""A change of policy: signed, counted, and tied to the policy before it, so that the ledger shows the whole chain."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from countenance.errors import LedgerError, PolicyError
from countenance.ledger import SigningKey, VerifyingKey, timestamp
from countenance.policy.file import Policy
from countenance.policy.signing import sign, signed_by

__all__ = ["PolicyChange", "check_change", "read_change", "sign_change"]

FORMAT = "countenance-policy-change/1"


@dataclass(frozen=True)
class PolicyChange:
    """What a signer said: this policy follows that one. ``previous`` is None for a server's first policy."""

    name: str
    version: int
    digest: str
    previous: str | None
    at: str
    signer: VerifyingKey
    signature: str

    @property
    def said(self) -> dict[str, Any]:
        """The signed part."""
        return {
            "format": FORMAT,
            "name": self.name,
            "version": self.version,
            "digest": self.digest,
            "previous": self.previous,
            "at": self.at,
            "signer": str(self.signer),
        }

    def to_json(self) -> str:
        """The file that lies beside the policy, and the text that the ledger keeps."""
        return json.dumps(self.said | {"signature": self.signature}, indent=1) + "\n"


def sign_change(old: Policy | None, new: Policy, key: SigningKey, now: datetime | None = None) -> PolicyChange:
    """Sign that ``new`` follows ``old`` (None: it is the first). Raises PolicyError unless the version rises."""
    _counts_up(old, new)
    at = timestamp(now or datetime.now(UTC))
    bare = PolicyChange(new.name, new.version, new.digest, old.digest if old else None, at, key.verifying, "")
    return PolicyChange(**{**vars(bare), "signature": sign(key, bare.said)})


def read_change(text: str, name: str = "change") -> PolicyChange:
    """Read what `PolicyChange.to_json` wrote. Raises PolicyError."""
    try:
        said = json.loads(text)
        if said.pop("format") != FORMAT:
            raise ValueError("another format")
        found = PolicyChange(**{**said, "signer": VerifyingKey.parse(said["signer"])})
        if set(found.said) | {"signature"} != set(said) | {"format"}:
            raise ValueError("other members")
    except (ValueError, TypeError, KeyError, AttributeError, LedgerError) as error:
        raise PolicyError(f"{name}: not a signed change of a policy ({error}); take it as it was signed") from None
    return found


def check_change(old: Policy | None, new: Policy, change: PolicyChange, operator: VerifyingKey) -> None:
    """Check that ``change`` leads from ``old`` to ``new``, and that somebody may say so.

    Those whom the *old* policy names (``changes.signers``) may, or the operator where it names none. Raises
    PolicyError.
    """
    _counts_up(old, new)
    if (change.name, change.version, change.digest) != (new.name, new.version, new.digest):
        raise PolicyError(
            f"policy {new.name}: what was signed is another policy; sign this one: countenance policy sign"
        )
    if change.previous != (old.digest if old else None):
        raise PolicyError(
            f"policy {new.name}: was signed to follow another policy than the one in force; sign it again"
        )
    able = (old.change_signers if old else ()) or (operator,)
    if all(change.signer.public != key.public for key in able):
        names = ", ".join(key.name for key in able)
        raise PolicyError(f"policy {new.name}: {change.signer.name} may not change it; have it signed by {names}")
    if not signed_by(change.signer, change.said, change.signature):
        raise PolicyError(f"policy {new.name}: the signature of its change does not hold; sign it again")


def _counts_up(old: Policy | None, new: Policy) -> None:
    """Numbers may be left out: a shipped policy comes as it is, and whoever skips a release skips its number."""
    if old is not None and new.version <= old.version:
        raise PolicyError(
            f"policy {new.name}: version {new.version} does not follow {old.version}; write version = {old.version + 1}"
        )
