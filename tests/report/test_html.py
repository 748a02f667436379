"""report.html: self-contained, escaped, complete, and honest about what is not known."""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from report_examples import ALL, NAMES, adjudicated, embedded, nothing, photos, scores_only, zero_errors

from countenance.audit.result import Untested
from countenance.report import render_html
from countenance.report.figures import det_figures, false_match_figures

JPEG = b"\xff\xd8\xff\xe0" + b"x" * 500
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """Tags with their attributes, the text, and whether every element is closed in order."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self.open = [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).replace("\u00a0", " ").split())


@pytest.mark.parametrize("name", ALL)
def test_every_page_is_well_formed_and_asks_the_network_for_nothing(name):
    html = render_html(ALL[name](), lambda path: JPEG)
    page = Page(html)
    assert page.open == []
    assert not [t for t, _ in page.tags if t in {"script", "link", "iframe", "object", "base", "form", "use"}]
    for _tag, found in page.tags:
        for attribute, value in found.items():
            assert not attribute.startswith("on")
            assert attribute != "style"
            if attribute in {"src", "href", "xlink:href", "srcset"}:
                assert value.startswith(("data:image/jpeg;base64,", "#")), value
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL).group(1)
    assert "url(" not in style
    assert "@import" not in style
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = next(a["content"] for t, a in page.tags if t == "meta" and "http-equiv" in a)
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:")
    assert len(html.encode()) < 3_000_000


@pytest.mark.parametrize("name", ALL)
def test_the_headline_stands_first_and_forbidden_words_nowhere(name):
    result = ALL[name]()
    page = Page(render_html(result))
    assert page.tags[[t for t, _ in page.tags].index("h1")]
    words = page.words
    assert " ".join(result.headline.split()) in words
    assert not re.search(r"\b(unbiased|accurate|accuracy|safe|impostor|genuine|nan|None|inf)\b", words)
    assert not re.search(r"\bfair\b", words, re.IGNORECASE)
    assert not re.search(r"(?<![\d.,])0 ?%", words.replace("0 5 %", ""))
    assert "a comparison is a match when score >= threshold" in words


def test_names_in_the_data_are_only_ever_text():
    page = Page(render_html(photos(), lambda path: JPEG))
    assert 'alert("x")' in page.words
    assert '"><img src=x onerror=1>' in page.words
    assert not [a for t, a in page.tags if t == "img" and not a["src"].startswith("data:")]


def test_links_lead_somewhere_and_ids_are_unique():
    page = Page(render_html(adjudicated()))
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    links = [a["href"] for t, a in page.tags if t == "a"]
    assert len(links) >= 9
    assert {link[1:] for link in links} <= set(ids)


def test_drawings_and_tables_speak_to_those_who_do_not_see_them():
    page = Page(render_html(embedded()))
    for tag, found in page.tags:
        if tag == "svg":
            assert found.get("aria-hidden") == "true" or (found["role"] == "img" and found["aria-label"])
        if tag == "th":
            assert found["scope"] in {"row", "col", "rowgroup"}
    tables = [k for k, (t, _) in enumerate(page.tags) if t == "table"]
    assert len(tables) > 10
    assert all(page.tags[k + 1][0] == "caption" for k in tables)


def test_thumbnails_are_asked_for_once_and_stay_within_the_budget():
    asked = []

    def thumbnail(path):
        asked.append(path)
        return None if path.endswith("1.jpg") else JPEG

    page = Page(render_html(photos(), thumbnail))
    images = [a for t, a in page.tags if t == "img"]
    assert len(asked) == len(set(asked)) == 10
    assert len(images) == 9
    assert {a["alt"] for a in images} >= {f"Photo of {NAMES[-2]}"}
    large = render_html(photos(), lambda path: JPEG + bytes(700_000))
    assert large.count("<img") == 2
    assert len(large.encode()) < 3_000_000


@pytest.mark.parametrize("data", [b"", b"<svg onload=alert(1)>", b"GIF89a", None])
def test_a_thumbnail_that_is_no_photo_is_left_out(data):
    assert "<img" not in render_html(photos(), lambda path: data)


def test_no_photo_without_photos_in_the_input():
    asked = []
    assert "<img" not in render_html(embedded(), asked.append)
    assert asked == []


def test_zero_errors_are_bounds():
    words = Page(render_html(zero_errors())).words
    assert "none in 4,321 at most 0.086 %" in words
    assert "none in 4,321 (at most 0.086 %)" in words


def test_scores_without_people_say_so():
    words = Page(render_html(scores_only())).words
    assert "uncertainty not known" in words
    assert "it is not known who was compared" in words
    assert "not known scores only" in words
    assert "Every comparison counts once" in words


def test_both_results_stand_side_by_side():
    words = Page(render_html(adjudicated())).words
    assert "Both results" in words
    assert "28 of 509: 5.5 %" in words
    assert "26 of 509: 5.1 %" in words
    assert "Both results" not in Page(render_html(embedded())).words


def test_groups_too_small_are_named_without_figures():
    result = embedded()
    small = [g for p in result.search.points for g in p.groups if g.too_small]
    words = Page(render_html(result)).words
    assert small
    assert "asian 17 people: too few to speak of a group (at least 20)" in words
    assert " of 17" not in words


def test_what_was_not_tested_failures_and_extrapolation_are_said():
    words = Page(render_html(embedded())).words
    for said in (
        "people and photos unlike these",
        "5,749 people have no label for ethnicity",
        "3 photos gave no face to compare",
        "1 of 1,500",
        "All figures here are extrapolation",
        "at most 312 faces",
        "countenance audit --by gender,ethnicity",
        "could not tell",
        "no error was seen in asian",
    ):
        assert said in words, said


def test_an_empty_audit_still_makes_a_page():
    words = Page(render_html(nothing())).words
    assert "no two people" in words
    assert "Every test is of some people" in words


def test_the_page_is_the_same_for_the_same_result():
    assert render_html(photos(), lambda p: JPEG) == render_html(photos(), lambda p: JPEG)


def test_many_rows_keep_the_page_small():
    base = embedded()
    pairs = base.search.pairs * 200
    many = replace(
        base,
        search=replace(base.search, pairs=pairs),
        suspects=base.suspects * 3000,
        not_tested=tuple(Untested(f"group {k}", "too few") for k in range(200)),
    )
    html = render_html(many)
    assert len(html.encode()) < 3_000_000
    assert "the 40 most alike of 12,000" in Page(html).words
    assert "The first 40 of 9,000" in Page(html).words


def test_the_rounding_of_a_sum_is_not_drawn_as_a_rate():
    base = embedded()
    curves = tuple(
        replace(c, fmr=tuple(1e-17 if v < 1e-3 else v for v in c.fmr), fnmr=(1e-16,) * len(c.fmr))
        for c in base.verification.curves
    )
    changed = replace(base, search=None, tail=None, verification=replace(base.verification, curves=curves))
    words = Page(render_html(changed)).words
    assert "1 in 1,000" in words
    assert "1 in 100 million" not in words
    assert "DET curve, normal-deviate axes" not in words
    assert "DET curve, normal-deviate axes" in Page(render_html(base)).words


def test_bands_say_whether_they_hold_the_whole_curve():
    result = photos()
    for figures in (false_match_figures, det_figures):
        drawn = figures(result)[0]
        assert "Each band holds its whole curve at once with 95 % confidence." in drawn.caption
        bare = tuple(replace(c, fmr_band_low=None, fmr_band_high=None) for c in result.verification.curves)
        points = figures(replace(result, verification=replace(result.verification, curves=bare)))[0]
        assert "Bands are 95 % intervals at each point, not of the whole curve at once." in points.caption
        groups = [c for c in result.verification.curves if len(c.group) == 1]
        edges, narrower = (re.findall(r'<path class="band s\d" d="([^"]*)"', str(d.drawing)) for d in (drawn, points))
        assert len(edges) == len(narrower) >= 2  # wide and narrow page
        assert len(edges) <= 2 * len(groups)
        assert edges != narrower
        none = tuple(replace(c, fmr_low=None, fmr_high=None) for c in bare)
        plain = figures(replace(result, verification=replace(result.verification, curves=none)))[0]
        assert 'class="band' not in str(plain.drawing)
        assert "95 %" not in plain.caption
