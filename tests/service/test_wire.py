"""The wire: every constraint of AWS's model holds, for requests and for answers, and nothing else gets through."""

import base64
import json
import re
import sys
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from botocore.validate import ParamValidator
from hypothesis import given, settings
from hypothesis import strategies as st

from countenance.service import constraints, wire
from countenance.service.failures import WireError

MODEL = boto3.client("rekognition", region_name="us-east-1", endpoint_url="http://nowhere").meta.service_model
FACE = "01234567-89ab-cdef-0123-456789abcdef"
ARN = "arn:aws:rekognition:us-east-1:000000000000:collection/family"
IMAGE = {"Bytes": b"photo"}
REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("DetectFaces", {"Image": IMAGE, "Attributes": ["DEFAULT", "ALL"]}),
    ("CompareFaces", {"SourceImage": IMAGE, "TargetImage": {"S3Object": {"Bucket": "b-1", "Name": "ü/[1],{2}.jpg"}}}),
    ("CreateCollection", {"CollectionId": "family", "Tags": {"purpose": "photo-archive", "Wörter": ""}}),
    ("DescribeCollection", {"CollectionId": "family"}),
    ("ListCollections", {"MaxResults": 0, "NextToken": "一" * 255}),
    ("DeleteCollection", {"CollectionId": "f" * 255}),
    ("IndexFaces", {"CollectionId": "family", "Image": IMAGE, "ExternalImageId": "a:1", "QualityFilter": "AUTO"}),
    ("ListFaces", {"CollectionId": "family", "FaceIds": [FACE] * 4096}),
    ("DeleteFaces", {"CollectionId": "family", "FaceIds": [FACE]}),
    ("SearchFaces", {"CollectionId": "family", "FaceId": FACE, "FaceMatchThreshold": 99.5, "MaxFaces": 4096}),
    ("SearchFacesByImage", {"CollectionId": "family", "Image": IMAGE, "FaceMatchThreshold": 80}),
    ("CreateUser", {"CollectionId": "family", "UserId": "u", "ClientRequestToken": "t" * 64}),
    ("DeleteUser", {"CollectionId": "family", "UserId": "u"}),
    ("ListUsers", {"CollectionId": "family", "MaxResults": 500}),
    ("AssociateFaces", {"CollectionId": "family", "UserId": "u", "FaceIds": [FACE] * 100, "UserMatchThreshold": 0.0}),
    ("DisassociateFaces", {"CollectionId": "family", "UserId": "u", "FaceIds": [FACE]}),
    ("SearchUsers", {"CollectionId": "family", "UserId": "u", "MaxUsers": 1}),
    ("SearchUsersByImage", {"CollectionId": "family", "Image": IMAGE}),
    ("TagResource", {"ResourceArn": ARN, "Tags": {"k": "v"}}),
    ("UntagResource", {"ResourceArn": ARN, "TagKeys": ["k"]}),
    ("ListTagsForResource", {"ResourceArn": ARN}),
]


def sent(operation: str, members: dict[str, Any]) -> bytes:
    """The body that botocore itself makes of these members."""
    body = create_serializer("json").serialize_to_request(members, MODEL.operation_model(operation))["body"]
    return bytes(body)


def read(operation: str, said: object) -> dict[str, Any]:
    return wire.read_request(operation, said if isinstance(said, bytes) else json.dumps(said).encode())


def wrong(operation: str, said: object, code: str = "InvalidParameterException") -> str:
    with pytest.raises(WireError) as caught:
        read(operation, said)
    assert caught.value.code == code
    assert caught.value.code in wire.error_codes(operation)
    return caught.value.message


# -- what gets through -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("operation", "members"), REQUESTS, ids=[name for name, _ in REQUESTS])
def test_what_botocore_serializes_is_read_as_it_was_meant(operation: str, members: dict[str, Any]) -> None:
    assert wire.read_request(operation, sent(operation, members)) == members


def test_all_the_operations_of_the_model_are_known_with_all_their_constraints() -> None:
    assert set(MODEL.operation_names) == wire.OPERATIONS
    assert len(wire.OPERATIONS) == 75
    for operation in wire.OPERATIONS:
        assert "AccessDeniedException" in wire.error_codes(operation)
        model = MODEL.operation_model(operation)
        if model.input_shape is not None and model.input_shape.required_members:
            assert f"'{model.input_shape.required_members[0]}'" in wrong(operation, {})


def test_null_stands_for_a_member_that_is_not_there() -> None:
    assert read("ListFaces", {"CollectionId": "a", "MaxResults": None}) == {"CollectionId": "a"}
    assert "'CollectionId'" in wrong("ListFaces", {"CollectionId": None})


def test_whole_numbers_are_percentages_too() -> None:
    found = read("SearchFaces", {"CollectionId": "a", "FaceId": FACE, "FaceMatchThreshold": 80})
    assert isinstance(found["FaceMatchThreshold"], float)


def test_the_largest_photo_gets_through_and_one_byte_more_does_not() -> None:
    photo = {"Image": {"Bytes": base64.b64encode(bytes(5 * 2**20)).decode()}}
    assert len(read("DetectFaces", photo)["Image"]["Bytes"]) == 5 * 2**20
    for more in (1, 2, 3, 10**6):
        photo["Image"]["Bytes"] = base64.b64encode(bytes(5 * 2**20 + more)).decode()
        message = wrong("DetectFaces", photo, "ImageTooLargeException")
        assert "'Image.Bytes'" in message
        assert "less than or equal to 5242880" in message


# -- each kind of constraint, broken once ----------------------------------------------------------------------------

BROKEN: list[tuple[str, str, dict[str, Any], str, str]] = [
    ("required", "ListFaces", {}, "CollectionId", "must not be null"),
    ("string type", "ListFaces", {"CollectionId": 7}, "CollectionId", "a string"),
    ("string least", "ListFaces", {"CollectionId": ""}, "CollectionId", "length greater than or equal to 1"),
    ("string most", "ListFaces", {"CollectionId": "a" * 256}, "CollectionId", "length less than or equal to 255"),
    ("pattern", "ListFaces", {"CollectionId": "a b"}, "CollectionId", "regular expression pattern: [a-zA-Z0-9_.\\-]+"),
    ("pattern, line end", "ListFaces", {"CollectionId": "a\n"}, "CollectionId", "regular expression"),
    ("pattern, $", "CreateUser", {"CollectionId": "a", "UserId": "u", "ClientRequestToken": "t\n"}, "", "regular"),
    ("pattern, ASCII", "ListFaces", {"CollectionId": "٣"}, "CollectionId", "regular expression"),
    ("enum", "DetectFaces", {"Attributes": ["EMOTION"]}, "Attributes[0]", "enum value set: [DEFAULT, ALL,"),
    ("list type", "DetectFaces", {"Attributes": "ALL"}, "Attributes", "a list"),
    ("list least", "DeleteFaces", {"CollectionId": "a", "FaceIds": []}, "FaceIds", "length greater than or equal to 1"),
    ("list most", "ListFaces", {"CollectionId": "a", "FaceIds": [FACE] * 4097}, "FaceIds", "or equal to 4096"),
    ("list null", "ListFaces", {"CollectionId": "a", "FaceIds": [FACE, None]}, "FaceIds[1]", "a string"),
    ("integer type", "ListFaces", {"CollectionId": "a", "MaxResults": "7"}, "MaxResults", "an integer"),
    ("integer bool", "ListFaces", {"CollectionId": "a", "MaxResults": True}, "MaxResults", "an integer"),
    ("integer float", "ListFaces", {"CollectionId": "a", "MaxResults": 7.0}, "MaxResults", "an integer"),
    ("integer least", "ListFaces", {"CollectionId": "a", "MaxResults": -1}, "MaxResults", "greater than or equal to 0"),
    (
        "integer most",
        "ListFaces",
        {"CollectionId": "a", "MaxResults": 4097},
        "MaxResults",
        "less than or equal to 4096",
    ),
    ("integer size", "IndexFaces", {"CollectionId": "a", "Image": {}, "MaxFaces": 2**31}, "MaxFaces", "an integer"),
    ("float type", "SearchUsers", {"CollectionId": "a", "UserMatchThreshold": "9"}, "UserMatchThreshold", "number"),
    ("float bool", "SearchUsers", {"CollectionId": "a", "UserMatchThreshold": False}, "UserMatchThreshold", "number"),
    ("float least", "SearchUsers", {"CollectionId": "a", "UserMatchThreshold": -0.01}, "UserMatchThreshold", "to 0"),
    ("float most", "SearchUsers", {"CollectionId": "a", "UserMatchThreshold": 100.01}, "UserMatchThreshold", "to 100"),
    ("structure type", "DetectFaces", {"Image": []}, "Image", "a structure"),
    ("unknown", "DetectFaces", {"Image": {"Byte": ""}}, "Image.Byte", "not known"),
    ("map type", "TagResource", {"ResourceArn": ARN, "Tags": []}, "Tags", "a map"),
    ("map most", "TagResource", {"ResourceArn": ARN, "Tags": {str(n): "" for n in range(201)}}, "Tags", "to 200"),
    ("map key", "TagResource", {"ResourceArn": ARN, "Tags": {"a": "", "aws:b": ""}}, "Tags[1]", "regular expression"),
    ("map value", "TagResource", {"ResourceArn": ARN, "Tags": {"a": "b;"}}, "Tags[0]", "regular expression"),
    ("map null", "TagResource", {"ResourceArn": ARN, "Tags": {"a": None}}, "Tags[0]", "a string"),
    ("blob type", "DetectFaces", {"Image": {"Bytes": [1]}}, "Image.Bytes", "base64"),
    ("blob least", "DetectFaces", {"Image": {"Bytes": ""}}, "Image.Bytes", "length greater than or equal to 1"),
    ("blob letters", "DetectFaces", {"Image": {"Bytes": "YWJj*"}}, "Image.Bytes", "base64"),
    ("blob blanks", "DetectFaces", {"Image": {"Bytes": "YW Jj"}}, "Image.Bytes", "base64"),
    ("blob padding", "DetectFaces", {"Image": {"Bytes": "YWJjZA"}}, "Image.Bytes", "base64"),
    ("blob tail", "DetectFaces", {"Image": {"Bytes": "YWI=YWI="}}, "Image.Bytes", "base64"),
    ("blob Unicode", "DetectFaces", {"Image": {"Bytes": "YWJé"}}, "Image.Bytes", "base64"),
    ("surrogate", "DetectFaces", {"Image": {"S3Object": {"Name": "\ud800"}}}, "Image.S3Object.Name", "Unicode"),
]


@pytest.mark.parametrize(
    ("operation", "said", "where", "why"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN]
)
def test_each_kind_of_constraint_is_held(operation: str, said: dict[str, Any], where: str, why: str) -> None:
    message = wrong(operation, said)
    assert message.startswith(f"1 validation error detected: Value at '{where}" if where else "1 validation")
    assert why in message


def test_the_value_itself_is_never_told() -> None:
    assert "Jane" not in wrong("IndexFaces", {"CollectionId": "a", "Image": {}, "ExternalImageId": "Jane Doe"})
    assert "Jane" not in wrong("TagResource", {"ResourceArn": ARN, "Tags": {"Jane;": "x"}})
    assert "Jane" not in wrong("ListFaces", {"Jane Doe": 1})


def test_timestamps_are_seconds() -> None:
    assert constraints._seconds(1700000000) == 1.7e9
    for given_ in (True, "2026", float("nan"), 1e12, None):
        with pytest.raises(constraints.BrokenError, match="timestamp"):
            constraints._seconds(given_)


# -- JSON ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{}{}",
        b"[]",
        b'"a"',
        b"null",
        b"7",
        b'{"CollectionId":"a",}',
        b"{'CollectionId':'a'}",
        b'{"CollectionId":"a"} //',
        b'\xef\xbb\xbf{"CollectionId":"a"}',
        '{"CollectionId":"a"}'.encode("utf-16"),
        b'{"CollectionId":"\xff"}',
        b'{"CollectionId":"a\x00"}',
        b'{"CollectionId":"a","CollectionId":"a"}',
        b'{"CollectionId":"a","MaxResults":NaN}',
        b'{"CollectionId":"a","MaxResults":-Infinity}',
        b'{"CollectionId":"a","MaxResults":01}',
        b'{"CollectionId":"a","MaxResults":1' + b"0" * 5000 + b"}",
        b'{"CollectionId":"a","MaxResults":1.' + b"0" * 5000 + b"}",
        b'{"CollectionId":"a","MaxResults":1e999}',
        b"[" * 100_000,
        b'{"a":' * 1500 + b"1" + b"}" * 1500,
        b"[" * 2000 + b"]" * 2000,
        b'{"CollectionId":[' + b"1," * 10**6 + b"1]}",
    ],
    ids=range(25),
)
def test_only_strict_json_is_read(body: bytes) -> None:
    assert wrong("ListFaces", body)


def test_an_operation_that_is_none_is_refused() -> None:
    with pytest.raises(WireError, match="no operation"):
        wire.read_request("OpenPodBayDoors", b"{}")


# -- the model's patterns --------------------------------------------------------------------------------------------


def patterns() -> Iterator[str]:
    for name in MODEL.shape_names:
        pattern = MODEL.shape_for(name).metadata.get("pattern")
        if pattern:
            yield pattern


def test_every_pattern_of_the_model_can_be_used() -> None:
    found = set(patterns())
    assert len(found) >= 25
    for pattern in found:
        assert callable(constraints.matcher(pattern))
        assert set(re.findall(r"\\[a-zA-Z]", pattern)) <= {"\\p", "\\d", "\\w", "\\S", "\\u"}
        assert set(re.findall(r"\\p\{\w+\}", pattern)) <= {"\\p{L}", "\\p{N}", "\\p{Z}"}


def test_digits_and_words_are_ascii_as_in_java() -> None:
    (arn,) = {pattern for pattern in patterns() if "streamprocessor" in pattern}
    fits = constraints.matcher(arn)
    assert fits("arn:aws:rekognition:us-east-1:000000000000:streamprocessor/x")
    assert not fits("arn:aws:rekognition:us-east-1:٠٠٠٠٠٠٠٠٠٠٠٠:streamprocessor/x")


@pytest.mark.parametrize("pattern", [p for p in sorted(set(patterns())) if "\\p{" in p])
def test_categories_of_unicode_are_java_s(pattern: str) -> None:
    fits = constraints.matcher(pattern)
    for code in range(sys.maxunicode + 1):
        if not 0xD800 <= code < 0xE000:
            char = chr(code)
            assert bool(fits(char)) == (unicodedata.category(char)[0] in "LNZ" or char in "_.:/=+-@"), hex(code)
    assert fits("Ünïcode mit 七 Wörtern")
    assert bool(fits("aws:ü")) == (not pattern.startswith("^(?!aws:)"))


@pytest.mark.parametrize("pattern", sorted(set(patterns())))
def test_no_pattern_can_be_made_slow(pattern: str) -> None:
    fits = constraints.matcher(pattern)
    for text in ("a" * 4095 + "!", "-" * 4095 + "!", "a-" * 2047 + "!", "0." * 2047 + "!", "\x00" * 4096):
        fits(text)  # one that backtracks without end would never come back
        fits("arn:aws:sns:" + text)


# -- answers ---------------------------------------------------------------------------------------------------------

MATCH = {"Similarity": 99.9, "Face": {"FaceId": FACE, "BoundingBox": {"Left": 0.1}, "Confidence": 99}}
SEARCHED = {"SearchedFaceId": FACE, "FaceMatches": [MATCH], "FaceModelVersion": "7.0"}


def parsed(operation: str, body: bytes, status: int = 200) -> dict[str, Any]:
    """The answer as botocore's own parser hands it to a program."""
    model = MODEL.operation_model(operation)
    found: dict[str, Any] = create_parser("json").parse(
        {"body": body, "status_code": status, "headers": {}}, model.output_shape
    )
    return found


def test_botocore_reads_what_is_written() -> None:
    found = parsed("SearchFaces", wire.write_answer("SearchFaces", SEARCHED))
    del found["ResponseMetadata"]
    assert found == SEARCHED
    when = datetime(2026, 11, 23, 1, 2, 3, 456_000, tzinfo=UTC)
    found = parsed("DescribeCollection", wire.write_answer("DescribeCollection", {"CreationTimestamp": when}))
    assert found["CreationTimestamp"] == when
    assert json.loads(wire.write_answer("DescribeCollection", {"CreationTimestamp": when})) == {
        "CreationTimestamp": 1795395723.456
    }


def test_one_member_more_goes_through_and_boto3_does_not_mind() -> None:
    body = wire.write_answer("SearchFaces", SEARCHED | {"Countenance": {"LedgerEntry": 7}})
    assert json.loads(body)["Countenance"] == {"LedgerEntry": 7}
    assert parsed("SearchFaces", body)["SearchedFaceId"] == FACE


def test_members_that_are_none_are_left_out() -> None:
    assert json.loads(wire.write_answer("ListFaces", {"Faces": [], "NextToken": None})) == {"Faces": []}


@pytest.mark.parametrize(
    "members",
    [
        {"Matches": []},
        {"FaceMatches": None, "SearchedFaceId": "x"},
        {"FaceMatches": [MATCH | {"Similarity": 100.1}]},
        {"FaceMatches": [MATCH | {"Similarity": float("nan")}]},
        {"FaceMatches": [MATCH | {"Similarity": "99"}]},
        {"FaceMatches": [{"Face": {"Name": "x"}}]},
        {"FaceMatches": {}},
        {"FaceModelVersion": 7},
        {"Countenance": {"x": float("nan")}},
        {"Countenance": {"x": b""}},
    ],
)
def test_a_wrong_answer_is_our_fault_and_is_not_sent(members: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        wire.write_answer("SearchFaces", members)


def test_a_wrong_time_or_enum_in_an_answer_is_not_sent() -> None:
    with pytest.raises(ValueError, match="CreationTimestamp"):
        wire.write_answer("DescribeCollection", {"CreationTimestamp": datetime(2026, 1, 1)})
    with pytest.raises(ValueError, match=r"UnindexedFaces\[0\]\.Reasons\[0\]"):
        wire.write_answer("IndexFaces", {"UnindexedFaces": [{"Reasons": ["UGLY"]}]})


def test_errors_read_as_botocore_s_errors() -> None:
    body = wire.error_body(WireError("ResourceNotFoundException", "no such collection: ü"), "id-1")
    found = parsed("ListFaces", body, 400)
    assert found["Error"] == {"Code": "ResourceNotFoundException", "Message": "no such collection: ü"}
    assert json.loads(body)["Logref"] == "id-1"
    assert b"Logref" not in wire.error_body(WireError("ResourceNotFoundException", ""))


# -- whatever comes --------------------------------------------------------------------------------------------------

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([FACE, ARN, "family", "AUTO", "ALL", base64.b64encode(b"x").decode(), "\ud800", "\0"])
)
MEMBERS = sorted(
    {name for op in wire.OPERATIONS for name in getattr(MODEL.operation_model(op).input_shape, "members", {})}
    | {"Bytes", "S3Object", "Bucket", "Name", "Version", "x"}
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=5),
    max_leaves=12,
)


def read_or_refused(operation: str, body: bytes) -> dict[str, Any] | None:
    """The members, or None for a refusal with a code that the model gives this operation."""
    try:
        return wire.read_request(operation, body)
    except WireError as error:
        refusal = error
    assert refusal.code in wire.error_codes(operation)
    assert json.loads(wire.error_body(refusal))["message"] == refusal.message
    return None


@settings(max_examples=800, deadline=None)
@given(operation=st.sampled_from(sorted(wire.OPERATIONS)), said=JSON)
def test_any_json_is_read_or_refused_with_a_modelled_code(operation: str, said: Any) -> None:
    found = read_or_refused(operation, json.dumps(said).encode())
    if found is not None:
        report = ParamValidator().validate(found, MODEL.operation_model(operation).input_shape)
        assert not report.has_errors(), report.generate_report()


@settings(max_examples=300, deadline=None)
@given(operation=st.sampled_from(sorted(wire.OPERATIONS)), body=st.binary(max_size=200))
def test_any_bytes_are_refused_with_a_modelled_code(operation: str, body: bytes) -> None:
    assert read_or_refused(operation, body) in (None, {})


@settings(max_examples=500, deadline=None)
@given(case=st.sampled_from(REQUESTS), data=st.data())
def test_a_sound_request_with_bytes_changed_is_read_or_refused(case: tuple[str, dict[str, Any]], data: Any) -> None:
    operation, members = case
    body = bytearray(sent(operation, members))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(0, len(body) - 1)))
        body[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    read_or_refused(operation, bytes(body))
