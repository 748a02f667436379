"""The candidate sheet: one description, two layouts that say the same; odds as by hand; no identity before review."""

import html
import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

import pypdf
import pytest

from countenance.audit import tally
from countenance.ledger import SigningKey, TreeHead, timestamp
from countenance.policy import Certificate, certify, shipped_policy
from countenance.policy.inforce import in_force
from countenance.report.sheet import (
    BANNER,
    CHECKS,
    NOBODY,
    Basis,
    Identity,
    Reviewed,
    Sheet,
    Shown,
    basis_of,
    odds_of,
    probe_said,
    similarity,
)
from countenance.report.sheet_html import sheet_html
from countenance.report.sheet_pdf import sheet_pdf
from policy.made_up import NOW, people

KEY = SigningKey("operator/test", bytes(range(32)))
PROBE = {
    "eye_distance": 60.0,
    "sharpness": 4.0,
    "brightness": 0.5,
    "contrast": 0.2,
    "yaw": 3.0,
    "pitch": 2.0,
    "roll": 1.0,
    "score": 0.93,
    "faces": 1.0,
}
WHO = (
    Identity("0b1c4a7e-3f5d-4f62-9d3e-8a6a7b1c2d3e", "IMG_4211.jpg", None, "2026-11-02"),
    Identity("5d2c4a7e-3f5d-4f62-9d3e-8a6a7b1c2d3e", "IMG_0007.jpg", "u-18", "2026-10-30"),
)


@cache
def certificate() -> Certificate:
    return certify(tally(people(), search=False), KEY, now=NOW)


@cache
def basis(candidates: int = 2) -> Basis:
    found = certificate()
    said = in_force(found, shipped_policy(), 3, 80.0, KEY.verifying)
    scores = [said.threshold + 0.05, said.threshold][:candidates]
    return basis_of(
        found,
        said,
        scores,
        at=datetime(2026, 11, 23, 12, 30, tzinfo=UTC),
        collection="friends",
        searched=3,
        entry=48,
        purpose="photo-archive",
        probe=PROBE,
    )


def sheet(**more: object) -> Sheet:
    made = basis()
    shown = tuple(Shown(k, 0.5, odds, who) for k, (odds, who) in enumerate(zip(made.odds, WHO, strict=True), 1))
    head = KEY.sign(TreeHead(KEY.name, 49, bytes(32), NOW))
    found = Sheet(basis=made, candidates=shown, made=timestamp(NOW), head=head, key=str(KEY.verifying))
    return replace(found, **more)


def waiting() -> Sheet:
    return sheet(
        candidates=tuple(replace(one, identity=None, hidden="not shown before") for one in sheet().candidates),
        reviewed=Reviewed("r-1"),
    )


def in_pdf(found: Sheet) -> str:
    reader = pypdf.PdfReader(io.BytesIO(sheet_pdf(found)))
    assert len(reader.pages) <= 2
    return words_of("\n".join(page.extract_text() for page in reader.pages))


def in_html(found: Sheet) -> str:
    page = sheet_html(found)
    body = page[page.index("<body>") :]
    return words_of(html.unescape(re.sub(r"<[^>]+>", " ", body)))


def words_of(text: str) -> str:
    return " ".join(text.replace("\u00a0", " ").replace("−", "–").split())


@pytest.mark.parametrize("read", [in_html, in_pdf])
def test_both_layouts_say_all_that_the_sheet_says(read):
    found = sheet(reviewed=Reviewed("r-1", (("AKIAONE", 1), ("AKIATWO", 1))))
    text = read(found)
    told = [found.title, BANNER, *CHECKS, *found.quality, *found.reviewed.said, found.proof, str(KEY.verifying)]
    told += [part for row in (*found.facts, *found.system) for part in row]
    for one in found.candidates:
        told += [*one.lines, one.odds.said, one.odds.said_of_everyone, one.odds.group, one.similarity]
    joined = text.replace(" ", "")
    for part in told:  # a long line may be broken anywhere
        assert words_of(part).replace(" ", "") in joined, part
    assert "self-issued" in text
    assert certificate().id in text


def test_odds_are_those_of_the_certificate():
    found, score = certificate(), basis().in_force["threshold"]
    odds = odds_of(found, score, 20)
    rates = {str(g): g.rate_at(score) for g in found.groups}
    worst = max((g for g in rates if g != "everyone"), key=lambda g: (rates[g].fmr, rates[g].high))
    assert odds.group == worst
    assert odds.worst == pytest.approx(1 - (1 - rates[worst].fmr) ** 20, abs=1e-12)
    assert odds.worst_at_most == pytest.approx(1 - (1 - rates[worst].high) ** 20, rel=1e-9)
    assert odds.everyone_at_most == pytest.approx(1 - (1 - rates["everyone"].high) ** 20, rel=1e-9)
    assert odds.worst_at_most <= 20 * rates[worst].high
    assert odds.similarity == found.curve.similarity(score)
    larger = odds_of(found, score, 200)
    assert larger.worst_at_most > odds.worst_at_most


def test_odds_in_words_never_flatter():
    odds = replace(basis().odds[0], worst=0.0, worst_at_most=1 / 336)
    assert odds.said == "none seen; at most 1 in 330"
    assert replace(odds, worst=1 / 3400, worst_at_most=1 / 859).said == "1 in 3,400; at most 1 in 850"
    assert replace(odds, worst=0.3, worst_at_most=0.456).said == "30.0 %; at most 45.6 %"
    assert similarity(99.99999) == "99.999990 %"
    assert similarity(99.9999999999) == "99.99999999 %"
    assert similarity(80.119) == "80.11 %"


@pytest.mark.parametrize("read", [in_html, in_pdf])
def test_before_the_review_is_done_nobody_has_an_identity(read):
    text = read(waiting())
    assert "without identity until two people have looked" in text
    assert "not shown before" in text
    for who in WHO:
        for name in (who.face_id, who.external_image_id, who.user_id):
            assert name is None or name not in text.replace(" ", "")


def test_a_review_in_words():
    apart = Reviewed("r-1", (("AKIAONE", 1), ("AKIATWO", None)))
    assert apart.match is None
    assert "no match" in apart.said[-1]
    assert sheet(reviewed=apart).title == "No match after review by two people"
    nobody = Reviewed("r-1", (("AKIAONE", None), ("AKIATWO", None)))
    assert nobody.match is None
    assert "Both found nobody" in nobody.said[-1]
    both = Reviewed("r-1", (("AKIAONE", 2), ("AKIATWO", 2)))
    assert both.match == 2
    assert "erased since" in replace(both, gone=True).said[-1]


@pytest.mark.parametrize("read", [in_html, in_pdf])
def test_zero_candidates_say_so_and_that_it_proves_nothing(read):
    text = read(sheet(candidates=(), basis=basis(0)))
    assert "No candidate" in text
    assert NOBODY in text


def test_what_was_poor_about_a_probe():
    assert "Nothing that was measured" in probe_said(PROBE)[0]
    poor = probe_said(PROBE | {"eye_distance": 18.0, "brightness": 0.1, "yaw": -60.0, "faces": 3.0})
    assert "few pixels between the eyes (18)" in poor[0]
    assert "dark (brightness 0.10 of 1)" in poor[0]
    assert "turned to the side (-60°)" in poor[0]
    assert "holds 3 faces" in poor[1]
    assert probe_said(None) == ("The quality of the probe was not measured.",)


def test_a_basis_is_kept_as_json_and_holds_no_identity():
    text = json.dumps(basis().to_json())
    assert Basis.from_json(json.loads(text)) == basis()
    assert "IMG_" not in text


def test_hostile_text_is_text():
    evil = '<script>alert(1)</script><img src="http://x.test/a.png"> </para> &amp;'
    found = sheet(basis=replace(basis(), collection=evil, purpose=evil))
    page = sheet_html(found)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "default-src 'none'" in page
    assert "alert(1)" in in_pdf(found)


def test_the_same_sheet_gives_the_same_bytes():
    assert sheet_pdf(sheet()) == sheet_pdf(sheet())
    assert sheet_html(sheet()) == sheet_html(sheet())
