from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ledger.independent as rfc
from countenance.errors import LedgerError
from countenance.ledger import (
    EMPTY_ROOT,
    Edge,
    consistency_proof,
    consistent,
    included,
    inclusion_proof,
    leaf_hash,
    root_at,
)

# Leaves and roots that Certificate Transparency's own implementations test with (transparency-dev/merkle).
LEAVES = [
    bytes.fromhex(text)
    for text in ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def grown(leaves: list[bytes]) -> tuple[Edge, Callable[[int, int], bytes]]:
    edge, kept = Edge(), {}
    for leaf in leaves:
        edge, nodes = edge.append(leaf)
        for level, position, value in nodes:
            assert (level, position) not in kept
            kept[level, position] = value
    return edge, lambda level, position: kept[level, position]


def hashes(count: int) -> list[bytes]:
    return [leaf_hash(str(i).encode()) for i in range(count)]


def test_roots_published_with_certificate_transparency() -> None:
    edge = Edge()
    for data, root in zip(LEAVES, ROOTS, strict=True):
        edge, _ = edge.append(leaf_hash(data))
        assert edge.root.hex() == root


def test_the_empty_log() -> None:
    assert Edge().root == EMPTY_ROOT == rfc.mth([])


@pytest.mark.parametrize("size", range(1, 40))
def test_every_proof_of_small_logs_is_the_one_of_the_rfc(size: int) -> None:
    leaves = hashes(size)
    edge, node = grown(leaves)
    assert edge.root == rfc.mth(leaves) == root_at(size, node)
    assert Edge.read(size, node) == edge
    for index in range(size):
        proof = inclusion_proof(index, size, node)
        assert proof == rfc.path(index, leaves)
        assert included(leaves[index], index, size, proof, edge.root)
    for first in range(1, size + 1):
        proof = consistency_proof(first, size, node)
        assert proof == rfc.proof(first, leaves)
        assert consistent(first, size, rfc.mth(leaves[:first]), edge.root, proof)


@given(st.data())
def test_no_other_proof_passes(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 70))
    leaves = hashes(size)
    edge, node = grown(leaves)
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, node)
    assert not included(leaf_hash(b"other"), index, size, proof, edge.root)
    assert not included(leaves[index], index, size, proof, leaf_hash(b"other"))
    assert not included(leaves[index], index, size, [*proof, proof[-1]], edge.root)
    assert not included(leaves[index], index, size, proof[:-1], edge.root)
    other = data.draw(st.integers(0, size - 1).filter(lambda i: i != index))
    assert not included(leaves[index], other, size, proof, edge.root)
    place = data.draw(st.integers(0, len(proof) - 1))
    bent = [*proof[:place], leaf_hash(proof[place]), *proof[place + 1 :]]
    assert not included(leaves[index], index, size, bent, edge.root)


@given(st.data())
def test_no_other_consistency_proof_passes(data: st.DataObject) -> None:
    second = data.draw(st.integers(2, 70))
    first = data.draw(st.integers(1, second - 1))
    leaves = hashes(second)
    edge, node = grown(leaves)
    root = rfc.mth(leaves[:first])
    proof = consistency_proof(first, second, node)
    assert not consistent(first, second, leaf_hash(root), edge.root, proof)
    assert not consistent(first, second, root, leaf_hash(root), proof)
    assert not consistent(first, second, root, edge.root, proof[:-1])
    assert not consistent(first, second, root, edge.root, [*proof, proof[-1]])
    place = data.draw(st.integers(0, len(proof) - 1))
    bent = [*proof[:place], leaf_hash(proof[place]), *proof[place + 1 :]]
    assert not consistent(first, second, root, edge.root, bent)


def test_what_has_no_proof() -> None:
    _, node = grown(hashes(3))
    with pytest.raises(LedgerError, match="not in a log of 3"):
        inclusion_proof(3, 3, node)
    with pytest.raises(LedgerError, match="0 < first"):
        consistency_proof(0, 3, node)
    assert not consistent(0, 3, EMPTY_ROOT, root_at(3, node), [])
    assert not included(b"", 0, 0, [], EMPTY_ROOT)
    assert not consistent(3, 3, root_at(3, node), root_at(2, node), [])


def test_two_nodes_are_kept_for_a_leaf_in_the_long_run() -> None:
    edge, kept = Edge(), 0
    for leaf in hashes(4096):
        edge, nodes = edge.append(leaf)
        kept += len(nodes)
    assert kept == 2 * 4096 - 1
    assert len(edge.peaks) == 1
