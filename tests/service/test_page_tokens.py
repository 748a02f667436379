"""Pagination tokens: what they carry, what they are good for, and that none can be made up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countenance.service.failures import WireError
from countenance.service.pages import PageTokens

PAGES = PageTokens(b"s" * 32)
DAY = 24 * 3600.0
NAME = st.text("abcXYZ019_.-:", max_size=255)


@given(scope=st.text(max_size=300), after=NAME)
def test_what_is_sealed_comes_out_again_and_fits_into_aws_tokens(scope: str, after: str) -> None:
    token = PAGES.seal("ListCollections", scope, after)
    assert len(token) <= 255
    assert PAGES.open(token, "ListCollections", scope) == after


def test_short_tokens_are_plain_letters() -> None:
    assert PAGES.seal("ListFaces", "family", "0" * 36).replace("-", "").replace("_", "").rstrip("=").isalnum()


def test_what_cannot_fit_is_our_fault() -> None:
    with pytest.raises(ValueError, match="characters"):
        PAGES.seal("ListFaces", "family", "x" * 400)


@pytest.mark.parametrize(
    ("operation", "scope"), [("ListUsers", "family"), ("ListFaces", "friends"), ("ListFaces", "family\0")]
)
def test_a_token_is_for_one_operation_and_scope(operation: str, scope: str) -> None:
    token = PAGES.seal("ListFaces", "family", "a")
    with pytest.raises(WireError, match="for this request") as caught:
        PAGES.open(token, operation, scope)
    assert caught.value.code == "InvalidPaginationTokenException"


def test_a_token_expires_after_a_day() -> None:
    token = PAGES.seal("ListFaces", "family", "a", now=1000.0)
    assert PAGES.open(token, "ListFaces", "family", now=1000.0 + DAY - 1) == "a"
    with pytest.raises(WireError, match="expired"):
        PAGES.open(token, "ListFaces", "family", now=1000.0 + DAY)


def test_another_server_s_token_is_refused() -> None:
    token = PageTokens(b"t" * 32).seal("ListFaces", "family", "a")
    with pytest.raises(WireError, match="not made by this server"):
        PAGES.open(token, "ListFaces", "family")


@pytest.mark.parametrize("after", ["b", "n" * 255])
def test_no_changed_letter_gets_through(after: str) -> None:
    token = PAGES.seal("ListFaces", "family", after)  # of a length at which every bit of the last letter counts
    for at in range(len(token)):
        changed = token[:at] + chr(ord(token[at]) ^ 1) + token[at + 1 :]
        with pytest.raises(WireError) as caught:
            PAGES.open(changed, "ListFaces", "family")
        assert caught.value.code == "InvalidPaginationTokenException"


@given(token=st.text(max_size=300) | st.text("一二三abc=-_", max_size=300))
def test_whatever_is_sent_is_refused_in_one_way(token: str) -> None:
    with pytest.raises(WireError) as caught:
        PAGES.open(token, "ListFaces", "family")
    assert caught.value.code == "InvalidPaginationTokenException"
