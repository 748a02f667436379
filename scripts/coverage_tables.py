"""Write the tables of tested coverage on the pages of the estimators, from what `make bench` measured.

    python scripts/coverage_tables.py bench.json

The figures of ``coverage``, ``differentials`` and ``estimators``, at full size, or those of them that are there. Each
table stands between marks, ``<!-- coverage -->``, on its page. Ranges are over the wolf ratios 0, 0.4, 0.58 and 1.
"""

import itertools
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

PAGES = Path(__file__).parent.parent / "docs" / "estimators"
START, END = "<!-- coverage -->", "<!-- /coverage -->"
MEASURES = {"max_min": "max/min", "max_geomean": "max/geometric mean", "garbe": "GARBE", "fdr": "FDR"}
ESTIMATORS = {
    "threshold": "`choose`: the interval of a threshold",
    "certified": "`certify`: FMR at most the target, of those issued",
    "band": "band of the whole FMR curve, 30 thresholds",
}

Row = dict


def main() -> None:
    """Read the figures, write the pages of those that are there."""
    found = json.loads(Path(sys.argv[1]).read_text())
    if "coverage" in found:
        write("intervals.md", rates(found["coverage"]))
    if "coverage_differentials" in found:
        write("differentials.md", differentials(found["coverage_differentials"]))
    if "coverage_estimators" in found:
        rows = found["coverage_estimators"]
        write("thresholds.md", thresholds([r for r in rows if r["estimator"] != "pareto"]))
        write("tail.md", tails([r for r in rows if r["estimator"] == "pareto"]))


def write(name: str, lines: Iterable[str]) -> None:
    """Put a table between the marks of a page."""
    page = PAGES / name
    before, rest = page.read_text().split(START)
    _, after = rest.split(END)
    page.write_text("\n".join([before + START, *lines, END + after]))


def spread(rows: list[Row], key: str = "coverage") -> str:
    """Least to most, in percent."""
    values = [100.0 * r[key] for r in rows if r[key] is not None]
    if not values:
        return ""
    low, high = f"{min(values):.1f}", f"{max(values):.1f}"
    return low if low == high else f"{low} to {high}"


def most(rows: list[Row], key: str = "miss_above") -> str:
    """The most, in percent."""
    return f"{max((100.0 * r[key] for r in rows if r[key] is not None), default=0.0):.1f}"


def cells(rows: list[Row], key: Callable[[Row], tuple]) -> Iterable[tuple[tuple, list[Row]]]:
    """Rows that differ in the wolf ratio only, in the order of their first."""
    order = {k: n for n, k in enumerate(dict.fromkeys(map(key, rows)))}
    for one, group in itertools.groupby(sorted(rows, key=lambda r: order[key(r)]), key):
        yield one, list(group)


def inside(rows: list[Row]) -> str:
    """How many cells cover 93 to 97 %."""
    return f"{sum(0.93 <= r['coverage'] <= 0.97 for r in rows)} of {len(rows)}"


def runs(rows: list[Row]) -> str:
    """Runs a cell, least to most."""
    made = sorted({int(r["runs"]) for r in rows})
    return " to ".join(f"{n:,}" for n in made[:: max(len(made) - 1, 1)])


def table(*head: str) -> list[str]:
    """Its first two lines."""
    return [line(*head), "|" + "---|" * len(head)]


def line(*texts: str) -> str:
    """One line of a table."""
    return "| " + " | ".join(texts) + " |"


def rates(rows: list[Row]) -> Iterable[str]:
    """FMR within and across groups, and the others in one sentence each."""
    pairs = [r for r in rows if r["estimator"].startswith("fmr") and r["wolves"] != "few"]
    many = [r for r in pairs if r["expected_errors"] >= 30]
    yield f"In {inside(many)} cells that expect 30 errors or more 93 to 97 % were covered ({spread(many)} %), the truth"
    yield f"above the bound in at most {most(many)} %; refused in at most {most(many, 'refused')} %."
    yield "*Plain dyadic Wilson*: n_eff = p (1 - p) / V, never above M. *Guarded*: `guaranteed_bound`."
    yield ""
    yield from table(
        *("people", "photos", "FMR", "errors expected (pairs)", "covered", "above the bound, at most"),
        *("guarded, above at most", "without a lower threshold", "plain dyadic Wilson", "naive", "runs"),
    )
    for (people, photos, fmr), group in cells(pairs, lambda r: (str(r["subjects"]), r["photos"], r["fmr"])):
        across = isinstance(group[0]["subjects"], list)
        who = " x ".join(f"{n:,}" for n in group[0]["subjects"]) if across else f"{int(people):,}"
        yield line(
            *(who, str(photos), f"{fmr:.0e}", f"{group[0]['expected_errors']:,.0f}", spread(group), most(group)),
            *(most(group, "guarded_miss_above"), spread(group, "alone_coverage")),
            *(spread(group, "plain_dyadic_coverage"), spread(group, "naive_coverage"), runs(group)),
        )
    yield ""
    for name, key in (("FPIR", "fpir"), ("FNMR", "fnmr")):
        found = [r for r in rows if r["estimator"] == key]
        enough = [r for r in found if r["expected_errors"] >= 30]
        few = [r for r in found if r["expected_errors"] < 30]
        naive = min(100.0 * r["naive_coverage"] for r in found)
        yield f"{name}: in {inside(enough)} cells that expect 30 errors or more 93 to 97 % were covered"
        yield f"({spread(enough)} %), the truth above in at most {most(enough)} %; with fewer errors {spread(few)} %"
        yield f"and {most(few)} %. The naive interval covered as little as {naive:.0f} %."
        yield ""


def differentials(rows: list[Row]) -> Iterable[str]:
    """Every measure, by pattern and size; patterns apart on which no constant was found."""
    tuned, untuned = ([r for r in rows if r.get("untuned", False) is which] for which in (False, True))
    yield from by_pattern(tuned)
    if untuned:
        yield ""
        yield "Patterns on which no constant was looked for, wolf ratios 0 and 1:"
        yield ""
        yield from by_pattern(untuned)


def by_pattern(rows: list[Row]) -> Iterable[str]:
    """A line for each measure, and a table."""
    for name, title in MEASURES.items():
        mine = [r for r in rows if r["measure"] == name]
        yield f"- {title}: {inside(mine)} cells within 93 to 97 % ({spread(mine)} %); the truth more unequal than"
        yield f"  said in at most {most(mine)} %."
    yield ""
    yield from table(
        "rates", "people a group", "photos", *(f"{t}: covered" for t in MEASURES.values()), "beyond, at most", "runs"
    )
    for (pattern, people, photos), group in cells(rows, lambda r: (tuple(r["pattern"]), r["subjects"], r["photos"])):
        each = [spread([r for r in group if r["measure"] == name]) for name in MEASURES]
        shape = " : ".join(map(str, pattern))
        yield line(shape, f"{people:,}", str(photos), *each, most(group), runs(group))


def thresholds(rows: list[Row]) -> Iterable[str]:
    """What is built on the rates."""
    yield from table("", "people", "photos", "FMR", "held", "true threshold above, at most", "refused", "runs")
    for (name, people, photos, fmr), group in cells(
        rows, lambda r: (r["estimator"], r["subjects"], r["photos"], r["fmr"])
    ):
        yield line(
            *(ESTIMATORS[name], f"{people:,}", str(photos), "" if name == "band" else f"{fmr:.1e}"),
            *(spread(group), most(group), spread(group, "refused"), runs(group)),
        )


def tails(rows: list[Row]) -> Iterable[str]:
    """One decade beyond the data."""
    yield from table("people", "photos", "FMR", "covered", "above the bound, at most", "refused", "runs")
    for (people, photos, fmr), group in cells(rows, lambda r: (r["subjects"], r["photos"], r["fmr"])):
        numbers = f"{people:,}", str(photos), f"{fmr:.1e}"
        yield line(*numbers, spread(group), most(group), spread(group, "refused"), runs(group))


if __name__ == "__main__":
    main()
