"""Which policy is in force stands in the ledger: every one with its text, its signed change, and the one before it.

A server calls `enact_file` when it starts, before it answers anything. The first policy is signed by the operator's key
on the way; every other one needs a change that was signed beforehand, by whom the policy in force names.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from countenance.errors import InputError, PolicyError
from countenance.gallery import Ledger, Occasion, entry_of
from countenance.ledger import Entry, Kind, Record, SigningKey, VerifyingKey, successor
from countenance.policy.change import PolicyChange, check_change, read_change, sign_change
from countenance.policy.file import Policy, load_policy, read_policy, shipped_policy

__all__ = ["Enacted", "change_file", "enact", "enact_file", "enacted", "in_force_now", "policy_of_server"]

_SIGN = "countenance policy sign"


@dataclass(frozen=True)
class Enacted:
    """A policy as the ledger has it: the number of its record, since when (aware), itself, and its signed change."""

    index: int
    since: datetime
    policy: Policy
    change: PolicyChange


def enact_file(ledger: Ledger, folder: Path, path: Path | None = None) -> Policy:
    """Put a server's policy in force, and answer with it: the file at ``path``, ``folder/policy.toml`` or the shipped.

    To be called when a server starts, once its gallery (whose keys lie in ``folder``) is open. Nothing is written when
    the policy is in force already. A changed one is accepted with the signed change that lies beside it (see
    `change_file`), which ``countenance policy sign`` writes. Raises PolicyError, with that command, where it is missing
    or does not hold; the server must not start then.
    """
    policy, beside = policy_of_server(folder, path), change_file(folder, path)
    change = read_change(beside.read_text(encoding="utf-8"), str(beside)) if beside.exists() else None
    command = f"{_SIGN} {path} --data {folder}" if path is not None else f"{_SIGN} --data {folder}"
    enact(ledger, policy, change, SigningKey.load(folder / "ledger.key"), command)
    return policy


def policy_of_server(folder: Path, path: Path | None = None) -> Policy:
    """The policy that a server with this data folder reads. Raises PolicyError."""
    own = folder / "policy.toml"
    if path is None and not own.exists():
        return shipped_policy()
    return load_policy(path or own)


def change_file(folder: Path, path: Path | None = None) -> Path:
    """Where the signed change of that policy lies: beside it, ``.change`` added to its name."""
    there = path or folder / "policy.toml"
    return there.with_name(f"{there.name}.change")


def enact(
    ledger: Ledger, new: Policy, change: PolicyChange | None, key: SigningKey, command: str = f"{_SIGN} NEW --data DATA"
) -> int | None:
    """Put ``new`` in force by a record of the ledger; its number, or None when it is in force already.

    ``key`` is the operator's, which signs a first policy by itself; ``change`` is not looked at then. ``command`` is
    named as the mend. In one transaction with what it rests on, so that two servers that start at once agree. Raises
    PolicyError for a change that is missing or does not hold against the policy in force.
    """
    if read_policy(new.text, new.name).digest != new.digest:
        raise PolicyError(f"policy {new.name}: is not what its text says; read it from a file")

    def make(last: Record | None) -> Entry | None:
        if last is None:
            return _entry(new, sign_change(None, new, key))
        old = _policy(last)
        if old.digest == new.digest:
            return None
        if change is None or change.digest != new.digest:
            raise PolicyError(_unsigned(old, new, change, command))
        check_change(old, new, change, ledger.key)
        return _entry(new, change)

    return ledger.follow(Kind.POLICY, make)


def _unsigned(old: Policy, new: Policy, change: PolicyChange | None, command: str) -> str:
    counted = "" if new.version > old.version else f"write version = {old.version + 1} in it, then "
    what = "nobody has signed the change" if change is None else "the change that lies there is of another policy"
    return (
        f"policy {new.name}, version {new.version}: is not the one in force ({old.name}, version {old.version}), and "
        f"{what}; {counted}sign it: {command}"
    )


def _entry(policy: Policy, change: PolicyChange) -> Entry:
    detail = {
        "name": policy.name,
        "version": str(policy.version),
        "text": policy.text,
        "change": change.to_json(),
    }
    occasion = Occasion(actor="countenance", operation="policy", policy=policy.digest, rule="policy")
    return entry_of(Kind.POLICY, occasion, detail=detail)


def _policy(record: Record) -> Policy:
    """The policy that a record put in force. Raises PolicyError for a record that does not hold together."""
    text = record.entry.detail.get("text")
    if text is None:
        raise PolicyError(f"record {record.index}: a policy without its text; the ledger was altered")
    policy = read_policy(text, f"record {record.index}")
    if policy.digest != record.entry.policy:
        raise PolicyError(f"record {record.index}: the text is not of the policy named; the ledger was altered")
    return policy


def in_force_now(ledger: Ledger) -> Policy:
    """The policy that the ledger says is in force. Raises InputError when no server has put one in force yet."""
    found: Policy | None = None
    for record in ledger.records(kinds=[Kind.POLICY]):
        found = _policy(record)
    if found is None:
        raise InputError(
            "policy: none is in force here yet; the first is recorded when a server starts, and needs no signature"
        )
    return found


def enacted(records: Iterable[Record], first: VerifyingKey) -> tuple[Enacted, ...]:
    """All policies that were ever in force, oldest first, each checked against the one before it.

    ``records`` are a ledger's, from the first on (only kinds ``policy`` and ``key`` are looked at), ``first`` its first
    key: the operator's key is the ledger's, so it changes where that does. Raises PolicyError for a chain that is
    broken.
    """
    found: list[Enacted] = []
    operator = first
    for record in records:
        if record.entry.kind is Kind.KEY:
            replaced = successor(record)
            operator = replaced[1] if replaced else operator
        elif record.entry.kind is Kind.POLICY:
            policy = _policy(record)
            change = read_change(record.entry.detail.get("change", ""), f"record {record.index}")
            check_change(found[-1].policy if found else None, policy, change, operator)
            found.append(Enacted(record.index, record.entry.ended, policy, change))
    return tuple(found)
