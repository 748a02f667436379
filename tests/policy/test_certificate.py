"""Certificates: computed from tallies alone, signed, read back, checked again; and what cannot be certified."""

import json
import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import NOW, PIPELINE, people

from countenance.audit import load_tallies, save_tallies, tally
from countenance.audit.adjudicate import Verdict as SamePerson
from countenance.audit.adjudicate import adjudicate
from countenance.audit.rates import false_match
from countenance.audit.subjecttail import SubjectTail
from countenance.audit.thresholds import certify as certified_threshold
from countenance.errors import CertificateError, NotEnoughDataError
from countenance.policy import (
    SimilarityCurve,
    certify,
    check,
    data_digest,
    load_certificate,
    read_certificate,
    synthetic_certificate,
)
from countenance.policy.certificate import from_said
from countenance.policy.signing import canonical, sign


def test_it_says_what_the_tallies_hold(certificate, tallies):
    assert certificate.pipeline == PIPELINE
    assert certificate.signature_holds
    assert certificate.data_digest == data_digest(tallies)
    assert [str(g) for g in certificate.groups] == ["everyone", "gender female", "gender male"]
    assert [g.subjects for g in certificate.groups] == [400, 160, 240]
    assert certificate.groups[1].pairs == 160 * 159 // 2
    assert certificate.ends - certificate.starts == timedelta(days=365)
    assert certificate.starts == NOW
    assert not certificate.too_small
    assert not certificate.synthetic
    assert certificate.certifies("gender")
    assert certificate.certifies("gender=female")
    assert not certificate.certifies("gender=other")
    assert not certificate.certifies("ethnicity")


def test_its_rates_are_those_of_the_audit(certificate, tallies):
    sweep = tallies.verification
    for record, group in zip(certificate.groups, [tallies.everyone, *tallies.groups(["gender"])], strict=True):
        for rate in record.rates:
            found = false_match(tallies, sweep, group, rate.threshold)
            expected = found.value, found.interval.low, found.guaranteed
            assert (rate.fmr, rate.low, rate.high) == pytest.approx(expected, rel=1e-12)
        between = (record.rates[3].threshold + record.rates[4].threshold) / 2
        assert record.rate_at(between) == record.rates[3]
        assert record.rate_at(-math.inf) == record.rates[0]


def test_every_level_is_one_that_the_audit_certifies_and_none_is_chosen_twice(certificate, tallies):
    groups = [tallies.everyone, *tallies.groups(["gender"])]
    seed = certificate.said["certified"]["seed"]
    for level in certificate.levels:
        found = certified_threshold(tallies, groups, level.fmr, seed)
        assert found.threshold is not None
        assert found.threshold <= level.threshold
        assert all(g.held_out.value <= level.fmr for g in found.groups)
        assert not found.too_small


def test_the_halves_follow_from_the_data_so_nobody_can_draw_again(certificate, tallies, key):
    again = certify(tallies, key, now=NOW)
    assert again == certificate
    assert again.said["certified"]["seed"] == int(data_digest(tallies)[:8], 16)


def test_the_union_bound_and_the_largest_gallery(certificate):
    largest = certificate.largest_gallery()
    assert largest == certificate.said["certified"]["largest_gallery"] >= 5
    assert certificate.threshold_for(largest) == certificate.levels[-1].threshold
    assert certificate.threshold_for(largest + 1) is None
    for gallery in range(1, largest + 1):
        threshold = certificate.threshold_for(gallery)
        assert any(x.threshold == threshold and gallery * x.fmr <= 0.01 * (1 + 1e-9) for x in certificate.levels)
    stricter = certificate.largest_gallery(0.002)
    assert 0 < stricter < largest
    allowed = [x.threshold for x in certificate.levels if stricter * x.fmr <= 0.002]
    assert certificate.threshold_for(stricter, 0.002) == min(allowed)
    assert certificate.threshold_for(largest, 0.002) is None


@given(st.integers(0, 60), st.integers(0, 60), st.sampled_from([0.001, 0.005, 0.01, 0.1]))
def test_more_faces_never_lower_the_threshold(certificate, a, b, target):
    small, large = (certificate.threshold_for(n, target) for n in sorted((a, b)))
    assert large is None or (small is not None and small <= large)


@given(st.floats(-1.5, 1.5), st.floats(-1.5, 1.5))
def test_similarity_rises_with_the_score_and_is_never_100(certificate, a, b):
    low, high = (certificate.curve.similarity(x) for x in sorted((a, b)))
    assert 0 <= low <= high < 100


@given(st.floats(0.0, 100.0), st.floats(-1.5, 1.5))
def test_a_threshold_on_one_scale_is_the_same_on_the_other(certificate, asked, score):
    assert (score >= certificate.curve.threshold(asked)) == (certificate.curve.similarity(score) >= asked)


def test_similarity_is_the_share_of_strangers_below(certificate, tallies):
    curve, sweep = certificate.curve, tallies.verification
    assert curve.floor == pytest.approx(-math.log(0.025) / (400 * 399 / 2))
    for score in sweep.grid[:: len(sweep.grid) // 50]:
        found = false_match(tallies, sweep, tallies.everyone, float(score)).value
        assert curve.fmr_at(float(score)) == pytest.approx(max(found, curve.floor), rel=0.031)
    assert curve.threshold(100) == math.inf
    assert curve.threshold(0) == -math.inf
    assert curve.similarity(2.0) == curve.ceiling == 100 * (1 - curve.floor)
    assert curve.threshold(curve.ceiling) < 2.0


def test_a_curve_that_makes_no_sense_is_refused():
    for scores, fmr, floor in [
        ((0.0,), (0.5,), 0.1),
        ((0.0, 0.0), (0.5, 0.4), 0.1),
        ((0.0, 1.0), (0.4, 0.5), 0.1),
        ((0.0, 1.0), (0.4, 0.1), 0.2),
        ((0.0, 1.0), (0.4, 0.1), 0.0),
        ((0.0, 1.0), (1.4, 0.1), 0.1),
        ((0.0, 1.0), (0.4,), 0.1),
    ]:
        with pytest.raises(ValueError, match="curve"):
            SimilarityCurve(scores, fmr, floor)


def test_file_and_back(certificate, tallies, tmp_path):
    (tmp_path / "c.json").write_text(certificate.to_json(), encoding="utf-8")
    again = load_certificate(tmp_path / "c.json")
    assert again == certificate
    assert again.id == certificate.id
    assert len(again.id) == 16
    check(again, tallies)


def _leaves(value, path=()):
    if isinstance(value, dict):
        for k, v in value.items():
            yield from _leaves(v, (*path, k))
    elif isinstance(value, list):
        for k, v in enumerate(value[:3]):
            yield from _leaves(v, (*path, k))
    else:
        yield path


def _changed(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return (value or "") + "x"


def test_every_member_that_is_changed_is_noticed(certificate):
    plain = json.loads(certificate.to_json())
    for path in list(_leaves(plain)):
        altered = json.loads(certificate.to_json())
        at = altered
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = _changed(at[path[-1]])
        try:
            read = read_certificate(json.dumps(altered))
        except CertificateError:
            continue
        assert not read.signature_holds, path


def test_a_result_that_was_edited_and_signed_again_is_found_out(certificate, tallies, key):
    said = json.loads(certificate.to_json())["certificate"]
    said["certified"]["levels"][-1]["fmr"] /= 10
    forged = from_said(said, sign(key, said))
    assert forged.signature_holds
    assert forged.largest_gallery() > certificate.largest_gallery()
    with pytest.raises(CertificateError, match="its certified is not what these tallies give"):
        check(forged, tallies)
    other = tally(people(seed=5), search=False)
    with pytest.raises(CertificateError, match="other tallies"):
        check(certificate, other)
    with pytest.raises(CertificateError, match="signature"):
        check(replace(certificate, signature="AAAA"), tallies)


@pytest.mark.parametrize("text", ["", "{}", "[]", "3", '{"certificate": {}, "signature": ""}', '{"certificate": NaN}'])
def test_what_is_no_certificate_is_refused_in_one_line(text):
    with pytest.raises(CertificateError, match=r"^x\.json: not a certificate"):
        read_certificate(text, "x.json")


def test_files_that_cannot_be_read(tmp_path, certificate):
    with pytest.raises(CertificateError, match="no certificate to read"):
        load_certificate(tmp_path / "none.json")
    newer = certificate.to_json().replace("countenance-certificate/1", "countenance-certificate/2")
    with pytest.raises(CertificateError, match="certify again with this version"):
        read_certificate(newer)


def test_what_the_audit_cannot_carry_is_refused_with_what_is_missing(tallies, key):
    with pytest.raises(NotEnoughDataError, match=r"no group column 'ethnicity'.*it has gender"):
        certify(tallies, key, groups=("ethnicity",))
    with pytest.raises(NotEnoughDataError, match="which pipeline"):
        certify(replace(tallies, system=replace(tallies.system, pipeline=None)), key)
    with pytest.raises(NotEnoughDataError, match="no verification"):
        certify(replace(tallies, verification=None), key)
    nobody = replace(tallies.verification, dependence=None)
    with pytest.raises(NotEnoughDataError, match="who was compared"):
        certify(replace(tallies, verification=nobody), key)
    with pytest.raises(NotEnoughDataError, match=r"too few people for a gallery of 500: .*pairs of people"):
        certify(tallies, key, gallery=500)
    with pytest.raises(NotEnoughDataError, match="too few people for a gallery of 1"):
        certify(tally(people(20, 300), search=False), key)
    for wrong in ({"strangers_per_probe": 0.0}, {"gallery": 0}, {"days": 0}):
        with pytest.raises(NotEnoughDataError, match="--target"):
            certify(tallies, key, **wrong)


def test_a_group_too_small_is_named_and_a_group_left_out_too(key):
    found = certify(tally(people(others=12), search=False), key, now=NOW)
    assert [name for name, _ in found.too_small] == ["gender other"]
    assert "pairs of people" in found.too_small[0][1]
    assert not found.certifies("gender=other")
    assert found.certifies("gender")
    everyone = certify(tally(people(), search=False), key, groups=(), now=NOW)
    assert [str(g) for g in everyone.groups] == ["everyone"]
    assert ("gender", "in the data, and not asked to be certified") in everyone.not_tested
    assert everyone.largest_gallery() > found.largest_gallery()


def test_people_without_a_label_are_counted(key):
    templates = people()
    labels = (None, None, *templates.groups["gender"][2:])
    found = certify(tally(replace(templates, groups={"gender": labels}), search=False), key, now=NOW)
    assert ("gender not known", "no label for 2 of the people compared") in found.not_tested


def test_names_do_not_enter_the_digest_and_scores_do(tallies):
    digest = data_digest(tallies)
    assert data_digest(replace(tallies, names=None, notes=("x",))) == digest
    sweep = tallies.verification
    counts = sweep.nonmated.copy()
    counts[0, np.argmax(counts[0])] += 1
    assert data_digest(replace(tallies, verification=replace(sweep, nonmated=counts))) != digest
    turned = replace(tallies, system=replace(tallies.system, pipeline="other"))
    assert data_digest(turned) != digest


def test_tallies_from_a_file_give_the_same_certificate(tallies, certificate, key, tmp_path, monkeypatch):
    """New numbers decide who is held out, and chance may refuse a certificate there: the same numbers each time."""
    monkeypatch.setattr("countenance.audit.anonymise.secrets.token_bytes", np.random.default_rng(0).bytes)
    save_tallies(tallies, tmp_path / "named", names=True)
    check(certificate, load_tallies(tmp_path / "named"))
    save_tallies(tallies, tmp_path / "nameless")  # numbers people anew: certify from the file that is published
    published = load_tallies(tmp_path / "nameless")
    with pytest.raises(CertificateError, match="other tallies"):
        check(certificate, published)
    check(certify(published, key), published)


def test_verdicts_on_label_errors_lower_the_rates_that_galleries_come_from(key):
    templates = people(seed=3)
    twice = templates.vectors.copy()
    for k in range(0, 40, 2):  # person 1 is person 0 under another name, person 3 is person 2, ...
        twice[2 * k + 2 : 2 * k + 4] = twice[2 * k : 2 * k + 2]
    wrong = tally(replace(templates, vectors=twice), search=False)
    same = [SamePerson(f"person {k}", f"person {k + 1}", "same", subjects=True) for k in range(0, 40, 2)]
    mended = adjudicate(wrong, same)
    found, better = certify(wrong, key, now=NOW), certify(mended, key, now=NOW)
    check(better, mended)
    tail = SubjectTail.of(mended.verification)
    assert tail.missing == 20
    assert tail.only(mended.subjects_in(mended.groups(["gender"])[0])).pairs == 160 * 159 // 2 - 20
    for before, after in zip(found.groups[:2], better.groups[:2], strict=True):  # everyone, and the women they are
        for threshold in (0.6, 0.7, 0.8):
            assert after.rate_at(threshold).high < before.rate_at(threshold).high
    assert better.said["data"]["pairs"] == found.said["data"]["pairs"] - 20
    assert better.data_digest != found.data_digest


def test_a_synthetic_certificate_says_so_everywhere(key):
    found = synthetic_certificate(key, PIPELINE, gallery=100_000, threshold=0.4, now=NOW)
    assert found.synthetic
    assert found.signature_holds
    assert found.system.startswith("SYNTHETIC")
    assert found.largest_gallery() == 100_000
    assert found.threshold_for(100_000) == 0.4
    assert found.threshold_for(100_001) is None
    assert read_certificate(found.to_json()) == found
    assert "synthetic" in found.not_tested[0][1]


def test_canonical_json_is_that_of_rfc_8785():
    # The examples of RFC 8785, section 3.2.3 and appendix B.
    numbers = [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001]
    assert canonical(numbers) == b"[333333333.3333333,1e+30,4.5,0.002,1e-27]"
    assert canonical([-0.0, 5e-324, 1.7976931348623157e308, 9007199254740992, 295147905179352830000.0]) == (
        b"[0,5e-324,1.7976931348623157e+308,9007199254740992,295147905179352830000]"
    )
    assert canonical([999999999999999700000.0, 1e21, 1e-6, 1e-7, 9.999999999999997e22]) == (
        b"[999999999999999700000,1e+21,0.000001,1e-7,9.999999999999997e+22]"
    )
    names = {"\u20ac": "Euro", "\r": "CR", "1": "One", "\U0001f600": "Smile", "\u00f6": 0, "\ufb33": "Dalet"}
    order = ["\\r", "1", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    text = canonical(names).decode()
    assert [text.index(f'"{name}"') for name in order] == sorted(text.index(f'"{name}"') for name in order)
    assert canonical({"b": [None, True, "\u20ac\n"], "a": ()}) == '{"a":[],"b":[null,true,"€\\n"]}'.encode()
    for wrong in (math.nan, math.inf, 2**53 + 1):
        with pytest.raises(ValueError, match="not"):
            canonical(wrong)
    with pytest.raises(TypeError):
        canonical({1, 2})


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_read_back_as_they_were(value):
    assert float(canonical(value)) == value
    assert math.copysign(1, float(canonical(value))) == math.copysign(1, value) or value == 0
