"""Changes of policy: signed by whom the old policy names, counted, and tied to the one before."""

from dataclasses import replace

import pytest
from made_up import NOW

from countenance.errors import PolicyError
from countenance.ledger import SigningKey
from countenance.policy import check_change, read_change, shipped_policy, sign_change

OPERATOR = SigningKey("operator/a", b"1" * 32)
BOARD = SigningKey("board/b", b"2" * 32)


def versions():
    first = shipped_policy()
    second = replace(first, version=2, values={**first.values, "version": 2})
    return first, second


def test_a_change_that_holds():
    first, second = versions()
    begun = sign_change(None, first, OPERATOR, NOW)
    check_change(None, first, begun, OPERATOR.verifying)
    change = sign_change(first, second, OPERATOR, NOW)
    check_change(first, second, read_change(change.to_json()), OPERATOR.verifying)
    assert (change.previous, change.digest, change.version) == (first.digest, second.digest, 2)


def test_the_old_policy_says_who_may_change_it():
    first, second = versions()
    held = replace(first, change_signers=(BOARD.verifying,))
    check_change(held, second, sign_change(held, second, BOARD, NOW), OPERATOR.verifying)
    with pytest.raises(PolicyError, match="operator/a may not change it; have it signed by board/b"):
        check_change(held, second, sign_change(held, second, OPERATOR, NOW), OPERATOR.verifying)
    usurped = replace(second, change_signers=(BOARD.verifying,))
    with pytest.raises(PolicyError, match="board/b may not change it"):
        check_change(first, usurped, sign_change(first, usurped, BOARD, NOW), OPERATOR.verifying)


def test_numbers_may_be_left_out():
    """A newer Countenance may ship version 7 after version 2, and somebody may begin with it."""
    first, second = versions()
    seventh = replace(first, version=7, values={**first.values, "version": 7})
    check_change(None, second, sign_change(None, second, OPERATOR, NOW), OPERATOR.verifying)
    check_change(second, seventh, sign_change(second, seventh, OPERATOR, NOW), OPERATOR.verifying)


def test_what_does_not_follow_is_refused():
    first, second = versions()
    with pytest.raises(PolicyError, match="version 1 does not follow 1; write version = 2"):
        sign_change(first, first, OPERATOR, NOW)
    with pytest.raises(PolicyError, match="version 1 does not follow 2; write version = 3"):
        sign_change(second, first, OPERATOR, NOW)
    change = sign_change(first, second, OPERATOR, NOW)
    other = replace(second, values={**second.values, "name": "other"})
    with pytest.raises(PolicyError, match="what was signed is another policy"):
        check_change(first, other, change, OPERATOR.verifying)
    before = replace(first, values={**first.values, "name": "before"})
    with pytest.raises(PolicyError, match="follow another policy than the one in force"):
        check_change(before, second, change, OPERATOR.verifying)


def test_every_altered_member_is_noticed():
    first, second = versions()
    change = sign_change(first, second, OPERATOR, NOW)
    for altered in (
        replace(change, at=change.at.replace("2026", "2025")),
        replace(change, signature=change.signature[:-4] + "AAA="),
        replace(change, signature=""),
        replace(change, digest="0" * 64),
        replace(change, previous=None),
        replace(change, name="x"),
        replace(change, version=3),
        replace(change, signer=SigningKey("operator/b", OPERATOR.seed).verifying),
    ):
        with pytest.raises(PolicyError):
            check_change(first, second, altered, OPERATOR.verifying)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "x"}', '{"format": "countenance-policy-change/1"}'])
def test_what_is_no_change_is_refused(text):
    with pytest.raises(PolicyError, match="not a signed change"):
        read_change(text)
