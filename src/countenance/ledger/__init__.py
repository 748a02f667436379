"""The ledger: a log to which entries are only ever added, shaped as RFC 6962 and RFC 9162 describe.

Pure data and proofs: no file but keys, no database, no clock. The gallery's transaction writes it (``gallery``).

    record = entry.recorded(edge.size)            an Entry in its place, with a salt
    edge, nodes = edge.append(record.leaf)        keep record.encode() and the nodes, in one transaction
    note = key.sign(TreeHead(key.name, edge.size, edge.root, now))
    inclusion_proof, consistency_proof            from the nodes kept; checked by included, consistent
    export_lines, check_export                    the file that anyone can check offline
"""

from countenance.ledger.entries import Entry, Kind, Record, timestamp
from countenance.ledger.export import EXPORT_FORMAT, Checked, check_export, export_lines
from countenance.ledger.heads import SigningKey, TreeHead, VerifyingKey
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

__all__ = [
    "EMPTY_ROOT",
    "EXPORT_FORMAT",
    "Checked",
    "Edge",
    "Entry",
    "Kind",
    "Node",
    "NodeReader",
    "Record",
    "SigningKey",
    "TreeHead",
    "VerifyingKey",
    "check_export",
    "consistency_proof",
    "consistent",
    "export_lines",
    "included",
    "inclusion_proof",
    "leaf_hash",
    "node_hash",
    "root_at",
    "timestamp",
]
