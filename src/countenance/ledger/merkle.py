"""The Merkle tree of a log, and its two proofs: RFC 6962 section 2.1, RFC 9162 section 2.1.

Hashes are SHA-256: of 0x00 and the entry for a leaf, of 0x01 and both children for a node, so that no node can be
passed off as a leaf. A tree of n leaves splits at the largest power of two below n.

What is kept is every *complete* subtree, addressed as (level, position): level 0 are the leaves, and (l, p) spans the
2**l leaves from p * 2**l on. Such a node never changes once it is there, so a store only ever adds rows, two for each
leaf in the long run. Everything that does change (the right edge) is computed from them in O(log n) reads.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from countenance.errors import LedgerError

__all__ = [
    "EMPTY_ROOT",
    "Edge",
    "Node",
    "NodeReader",
    "consistency_proof",
    "consistent",
    "included",
    "inclusion_proof",
    "leaf_hash",
    "node_hash",
    "root_at",
]

EMPTY_ROOT = sha256(b"").digest()
Node = tuple[int, int, bytes]
"""Level, position and hash of one complete subtree."""
NodeReader = Callable[[int, int], bytes]
"""(level, position) -> the hash kept there."""


def leaf_hash(entry: bytes) -> bytes:
    """The 32-byte hash of one entry."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The 32-byte hash of a node, of its children's hashes."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True)
class Edge:
    """The right edge of a tree of ``size`` leaves: the roots of its complete subtrees, largest first.

    It is all that appending needs. ``peaks`` has one hash for each bit set in ``size``.
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    @classmethod
    def read(cls, size: int, node: NodeReader) -> "Edge":
        """The edge of the tree of ``size`` leaves, from the nodes kept."""
        peaks, start = [], 0
        for level in reversed(range(size.bit_length())):
            if size >> level & 1:
                peaks.append(node(level, start >> level))
                start += 1 << level
        return cls(size, tuple(peaks))

    def append(self, leaf: bytes) -> tuple["Edge", list[Node]]:
        """The edge after one more leaf hash, and the nodes to keep: the leaf, and each subtree that it completes."""
        peaks, level, position = list(self.peaks), 0, self.size
        nodes = [(0, position, leaf)]
        while position & 1:
            leaf = node_hash(peaks.pop(), leaf)
            level, position = level + 1, position >> 1
            nodes.append((level, position, leaf))
        return Edge(self.size + 1, (*peaks, leaf)), nodes

    @property
    def root(self) -> bytes:
        """The Merkle tree hash of all leaves."""
        if not self.peaks:
            return EMPTY_ROOT
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root


def root_at(size: int, node: NodeReader) -> bytes:
    """The root when the log had ``size`` leaves."""
    return Edge.read(size, node).root


def _split(size: int) -> int:
    """The largest power of two below ``size`` (at least 2)."""
    return 1 << ((size - 1).bit_length() - 1)


def _subtree(start: int, size: int, node: NodeReader) -> bytes:
    """The root over ``size`` leaves from ``start`` on, a place where the tree does split."""
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return node(level, start >> level)
    left = _split(size)
    return node_hash(_subtree(start, left, node), _subtree(start + left, size - left, node))


def inclusion_proof(index: int, size: int, node: NodeReader) -> list[bytes]:
    """The audit path of leaf ``index`` in the tree of ``size`` leaves, from the leaf up (RFC 6962, 2.1.1).

    Raises LedgerError unless 0 <= index < size.
    """
    if not 0 <= index < size:
        raise LedgerError(f"index: {index} is not in a log of {size} entries; give one from 0 to {size - 1}")
    path, start = [], 0
    while size > 1:
        left = _split(size)
        if index - start < left:
            path.append(_subtree(start + left, size - left, node))
            size = left
        else:
            path.append(_subtree(start, left, node))
            start, size = start + left, size - left
    return path[::-1]


def consistency_proof(first: int, second: int, node: NodeReader) -> list[bytes]:
    """The proof that the log of ``second`` leaves only adds to that of ``first`` (RFC 6962, 2.1.2).

    Empty for equal sizes. Raises LedgerError unless 0 < first <= second.
    """
    if not 0 < first <= second:
        raise LedgerError(f"sizes: no proof leads from {first} to {second} entries; give 0 < first <= second")
    path, start, whole = [], 0, True
    while first != second:
        left = _split(second)
        if first <= left:
            path.append(_subtree(start + left, second - left, node))
            second = left
        else:
            path.append(_subtree(start, left, node))
            start, first, second, whole = start + left, first - left, second - left, False
    if not whole:
        path.append(_subtree(start, second, node))
    return path[::-1]


def included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether ``path`` proves that ``leaf`` is number ``index`` under ``root`` (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    last, here = size - 1, leaf
    for step in path:
        if last == 0:
            return False
        if index & 1 or index == last:
            here = node_hash(step, here)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            here = node_hash(here, step)
        index, last = index >> 1, last >> 1
    return last == 0 and here == root


def consistent(first: int, second: int, first_root: bytes, second_root: bytes, path: Sequence[bytes]) -> bool:
    """Whether ``path`` proves that the tree under ``second_root`` only adds to the other (RFC 9162, 2.1.4.2)."""
    if not 0 < first <= second:
        return False
    if first == second:
        return not path and first_root == second_root
    steps = list(path) if first & (first - 1) else [first_root, *path]
    if not steps:
        return False
    a, b = first - 1, second - 1
    while a & 1:
        a, b = a >> 1, b >> 1
    old = new = steps[0]
    for step in steps[1:]:
        if b == 0:
            return False
        if a & 1 or a == b:
            old, new = node_hash(step, old), node_hash(step, new)
            while not a & 1 and a:
                a, b = a >> 1, b >> 1
        else:
            new = node_hash(new, step)
        a, b = a >> 1, b >> 1
    return b == 0 and old == first_root and new == second_root
