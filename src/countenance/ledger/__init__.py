"""The ledger: a log to which entries are only ever added, shaped as RFC 6962 and RFC 9162 describe.

Pure data and proofs: no file but keys, no database, no clock. The gallery's transaction writes it (``gallery``).

    record = entry.recorded(edge.size)            an Entry in its place, with a salt
    edge, nodes = edge.append(record.leaf)        keep record.encode() and the nodes, in one transaction
    note = key.sign(TreeHead(key.name, edge.size, edge.root, now))
    inclusion_proof, consistency_proof            from the nodes kept; checked by included, consistent
    export_lines, check_export                    the file that anyone can check offline
    inclusion_text, consistency_text, check_proof proofs as files of their own
    replacement, successor                        how one signing key hands over to the next
"""

from countenance.ledger.chain import replacement, successor
from countenance.ledger.entries import Entry, Kind, Record, timestamp
from countenance.ledger.export import EXPORT_FORMAT, Checked, check_export, export_lines
from countenance.ledger.heads import SigningKey, TreeHead, VerifyingKey, head_of
from countenance.ledger.merkle import (
    EMPTY_ROOT,
    Edge,
    Node,
    NodeReader,
    consistency_proof,
    consistent,
    included,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_at,
)
from countenance.ledger.proofs import (
    PROOF_FORMAT,
    CheckedProof,
    Included,
    check_proof,
    consistency_text,
    inclusion_text,
)

__all__ = [
    "EMPTY_ROOT",
    "EXPORT_FORMAT",
    "PROOF_FORMAT",
    "Checked",
    "CheckedProof",
    "Edge",
    "Entry",
    "Included",
    "Kind",
    "Node",
    "NodeReader",
    "Record",
    "SigningKey",
    "TreeHead",
    "VerifyingKey",
    "check_export",
    "check_proof",
    "consistency_proof",
    "consistency_text",
    "consistent",
    "export_lines",
    "head_of",
    "included",
    "inclusion_proof",
    "inclusion_text",
    "leaf_hash",
    "node_hash",
    "replacement",
    "root_at",
    "successor",
    "timestamp",
]
