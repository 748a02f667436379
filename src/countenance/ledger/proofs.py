"""Proofs as files: JSON that carries all it takes to check it, offline, but the key that the checker trusts.

    {"format": "countenance-ledger-proof/1", "kind": "inclusion", "key": "NAME+ID+BASE64", "keys": [...],
     "head": "...", "index": 3, "record": "{...}", "leaf": "9f86...", "path": ["...", ...]}
    {..., "kind": "consistency", ..., "first": {"size": 3, "root": "..."}, "path": [...]}

Hashes are hex. ``key`` is the log's first key; ``keys`` are the records that replaced it, up to the head, each as an
inclusion proof under the head that both keys signed. ``record`` is null where retention erased it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from countenance.errors import LedgerError
from countenance.ledger.chain import KeyChain, opened_by_any
from countenance.ledger.entries import Record
from countenance.ledger.heads import TreeHead, VerifyingKey, head_of
from countenance.ledger.merkle import consistent, included, leaf_hash

__all__ = ["PROOF_FORMAT", "CheckedProof", "Included", "check_proof", "consistency_text", "inclusion_text"]

PROOF_FORMAT = "countenance-ledger-proof/1"


@dataclass(frozen=True)
class Included:
    """A record (canonical bytes, or None where erased) with its leaf hash, and its path under the head of a note."""

    index: int
    record: bytes | None
    leaf: bytes
    path: Sequence[bytes]
    note: str

    def members(self) -> dict[str, Any]:
        """As the file has it."""
        return {
            "head": self.note,
            "index": self.index,
            "record": None if self.record is None else self.record.decode(),
            "leaf": self.leaf.hex(),
            "path": [step.hex() for step in self.path],
        }


def inclusion_text(key: VerifyingKey, replaced: Sequence[Included], found: Included) -> str:
    """The file that proves that a record is in the log. ``key`` is the log's first."""
    return _text("inclusion", key, replaced, found.members())


def consistency_text(
    key: VerifyingKey, replaced: Sequence[Included], first: tuple[int, bytes], note: str, path: Sequence[bytes]
) -> str:
    """The file that proves that the log under ``note`` only adds to that of ``first`` (size, root)."""
    members = {
        "head": note,
        "first": {"size": first[0], "root": first[1].hex()},
        "path": [step.hex() for step in path],
    }
    return _text("consistency", key, replaced, members)


def _text(kind: str, key: VerifyingKey, replaced: Sequence[Included], members: Mapping[str, Any]) -> str:
    top = {"format": PROOF_FORMAT, "kind": kind, "key": str(key), "keys": [one.members() for one in replaced]}
    return json.dumps(top | dict(members), indent=1, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class CheckedProof:
    """What a proof was found to show, under ``head``.

    ``record`` and ``index`` of an inclusion (the record is None where its body was erased), ``first`` size of a
    consistency. ``kept`` of the heads kept elsewhere are of a size that the proof speaks of, and agree with it;
    ``others`` are of another size and show nothing here. ``trusted``: the caller vouched for one of ``keys``.
    """

    kind: str
    head: TreeHead
    keys: tuple[VerifyingKey, ...]
    trusted: bool
    kept: int
    others: int
    index: int | None = None
    record: Record | None = None
    first: int | None = None


def check_proof(text: str, key: VerifyingKey | None = None, kept: Sequence[str] = ()) -> CheckedProof:
    """Check a proof file. Raises LedgerError for what does not hold, and for what is not such a file."""
    said = _read(text)
    try:
        chain = KeyChain(VerifyingKey.parse(said["key"]))
        turn = 0  # the size at which the last key took over
        for one in said["keys"]:
            turn = _follow(chain, one, turn)
        found = _shown(said, chain, turn)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LedgerError(f"proof: a member is missing or wrong ({error}); take it as it was written") from None
    if key is not None and key not in chain.keys:
        raise LedgerError(f"proof: is of the log {chain.keys[-1]}, not of {key}; check it against its own key")
    roots = {found.head.size: found.head.root}
    if found.first is not None:
        roots.setdefault(found.first, bytes.fromhex(said["first"]["root"]))
    agreed = 0
    for note in kept:
        head = opened_by_any(chain.keys, note)
        if head.size in roots:
            if roots[head.size] != head.root:
                raise LedgerError(f"proof: the head kept elsewhere, over {head.size} records, has another root")
            agreed += 1
    keys = tuple(chain.keys)
    return replace(found, keys=keys, trusted=key is not None, kept=agreed, others=len(kept) - agreed)


def _read(text: str) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except ValueError:
        said = None
    if not isinstance(said, dict) or said.get("format") != PROOF_FORMAT:
        raise LedgerError(f"proof: not a {PROOF_FORMAT}; give the file that prove wrote")
    return said


def _follow(chain: KeyChain, said: Mapping[str, Any], turn: int) -> int:
    """Take in one replacement of the key; the size from which the new one signs."""
    record = Record.decode(said["record"].encode())
    chain.see(record)
    head = chain.open(said["head"])
    if head.size != record.index + 1 or head.size <= turn:
        raise LedgerError(f"proof: the head that replaces a key at record {record.index} does not stand right after it")
    _inside(said, head)
    return head.size


def _shown(said: Mapping[str, Any], chain: KeyChain, turn: int) -> CheckedProof:
    size = head_of(said["head"]).size
    if size < turn:
        raise LedgerError("proof: names a key that came after its head; take it as it was written")
    head = opened_by_any(chain.keys[-2:] if size == turn else chain.keys[-1:], said["head"])
    if said["kind"] == "inclusion":
        record = _inside(said, head)
        return CheckedProof("inclusion", head, (), False, 0, 0, index=said["index"], record=record)
    if said["kind"] != "consistency":
        raise LedgerError(f"proof: of an unknown kind, {said['kind']!r}; read it with a newer Countenance")
    first, root = said["first"]["size"], bytes.fromhex(said["first"]["root"])
    if not consistent(first, head.size, root, head.root, _path(said)):
        raise LedgerError(f"proof: the log of {head.size} records is not shown to continue that of {first}")
    return CheckedProof("consistency", head, (), False, 0, 0, first=first)


def _inside(said: Mapping[str, Any], head: TreeHead) -> Record | None:
    """The record of an inclusion; None where only its leaf is left."""
    index, leaf, record = said["index"], bytes.fromhex(said["leaf"]), None
    if said["record"] is not None:
        record = Record.decode(said["record"].encode())
        if record.index != index or leaf_hash(said["record"].encode()) != leaf:
            raise LedgerError(f"proof: the record is not number {index}, or not the one proved; it was altered")
    if not included(leaf, index, head.size, _path(said), head.root):
        raise LedgerError(f"proof: record {index} is not shown to be under the head; it was altered")
    return record


def _path(said: Mapping[str, Any]) -> list[bytes]:
    return [bytes.fromhex(step) for step in said["path"]]
