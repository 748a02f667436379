"""The terminal summary: 80 columns, no colour where none is wanted, and the right words first."""

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from report_examples import ALL, adjudicated, embedded, no_search, photos, zero_errors
from rich.console import Console

from countenance.report import print_summary


def shown(result, width=80, terminal=False, path="countenance-audit/report.html"):
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=terminal, color_system="truecolor" if terminal else None)
    print_summary(result, Path(path), console)
    return file.getvalue()


def flat(text):
    return " ".join(text.split())


@pytest.mark.parametrize("name", ALL)
def test_it_fits_eighty_columns_and_says_the_headline_first(name):
    result = ALL[name]()
    text = shown(result)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert flat(text).startswith(flat(result.headline))
    assert flat(text).endswith("Report: countenance-audit/report.html")
    assert len(text.splitlines()) <= 55
    assert not re.search(r"\b(fair|unbiased|accurate|accuracy|safe|nan|None)\b", text.replace("None in", ""))
    assert not re.search(r"(?<![\d.,])0 %", text)


def test_groups_stand_with_their_counts_and_intervals():
    text = flat(shown(embedded()))
    assert "at distance 0.60 documented everyone 28 of 509 5.5 % (3.7 to 7.9 %)" in text
    assert "black 7 of 57 12.3 % (5.1 to 23.7 %)" in text
    assert "asian too few to say 17 tested" in text
    assert "from distance 0.52 on everyone none in 509 (at most 0.73 %)" in text
    assert "0.98 % (0.32 to 2.3 %), 1 in 100" in text
    assert "Not tested: too few people to speak of: ethnicity: asian" in text


def test_zero_errors_are_a_bound():
    assert "none in 4,321 (at most 0.086 %)" in shown(zero_errors())


def test_without_a_search_the_pairs_are_told():
    text = flat(shown(no_search()))
    assert "pairs taken for one" in text
    assert "18 of 8,128" in text


def test_both_results_are_told():
    text = flat(shown(adjudicated()))
    assert "matched 26 of 509" in text
    assert "matched 28 of 509" in text


def test_markup_in_the_data_is_text():
    hostile = "[bold red]x[/] [link=http://x]y[/link] \x1b[31mred \u202etxet"
    text = shown(replace(photos(), headline=hostile, inputs={"system": hostile}), terminal=True)
    assert "[bold red]x[/]" in text
    assert "\x1b[31m" not in text
    assert "\u202e" not in text


def test_a_path_with_brackets_is_not_lost():
    assert "out[1]/report.html" in shown(embedded(), path="out[1]/report.html")


def test_colour_only_on_a_terminal_and_never_with_no_color(capsys, monkeypatch):
    print_summary(embedded())
    assert "\x1b" not in capsys.readouterr().out
    assert "\x1b[" in shown(embedded(), terminal=True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "")
    print_summary(embedded())
    assert "\x1b[3" not in capsys.readouterr().out
