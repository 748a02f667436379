"""The operations that are not here: all of them, and nothing else, each with a code that AWS models for it."""

import re
from pathlib import Path

import pytest

from countenance.service import wire
from countenance.service.refused import NEVER_BUILT, OUT_OF_SCOPE, REFUSED, refusal

PAGE = Path(__file__).parents[2] / "docs" / "differences-from-aws.md"
SERVED = {
    *("DetectFaces", "CompareFaces"),
    *("CreateCollection", "DescribeCollection", "ListCollections", "DeleteCollection"),
    *("IndexFaces", "ListFaces", "DeleteFaces", "SearchFaces", "SearchFacesByImage"),
    *("CreateUser", "DeleteUser", "ListUsers", "AssociateFaces", "DisassociateFaces"),
    *("SearchUsers", "SearchUsersByImage"),
    *("TagResource", "UntagResource", "ListTagsForResource"),
}


def test_every_operation_of_the_model_is_served_or_refused_and_none_is_both() -> None:
    assert len(SERVED) == 21
    assert len(REFUSED) == 54
    assert set(REFUSED).isdisjoint(SERVED)
    assert set(REFUSED) | SERVED == wire.OPERATIONS


@pytest.mark.parametrize("operation", sorted(REFUSED))
def test_a_refusal_is_one_sentence_with_a_modelled_code(operation: str) -> None:
    error = refusal(operation)
    assert error.code in wire.error_codes(operation)
    assert error.message.startswith(f"{operation} is ")
    assert error.message.endswith(".")
    assert error.message.count(".") == 1


@pytest.mark.parametrize("word", ["StreamProcessor", "FaceSearch", "PersonTracking", "Celebrit"])
def test_video_tracking_and_celebrities_are_never_built(word: str) -> None:
    named = {operation for operation in wire.OPERATIONS if word in operation}
    assert named
    assert named <= NEVER_BUILT.keys()
    assert {refusal(operation).code for operation in named} == {"AccessDeniedException"}


def test_what_is_out_of_scope_is_told_apart_from_what_is_never_built() -> None:
    assert OUT_OF_SCOPE.keys().isdisjoint(NEVER_BUILT)
    assert {refusal(operation).code for operation in OUT_OF_SCOPE} == {"InvalidParameterException"}


def test_no_other_operation_is_refused_here() -> None:
    with pytest.raises(KeyError):
        refusal("SearchFaces")


def test_the_page_of_differences_has_every_operation_with_its_reason() -> None:
    text = PAGE.read_text()
    assert set(re.findall(r"^### (\w+)$", text, re.MULTILINE)) == SERVED
    rows = re.findall(r"^\| ([A-Z]\w+(?:, [A-Z]\w+)*) \| (.*) \|$", text, re.MULTILINE)
    told = {name: why for names, why in rows for name in names.split(", ")}
    assert told == NEVER_BUILT | OUT_OF_SCOPE
