"""Audit results made by hand, with numbers of a plausible size: what the report is tested and looked at with."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import replace

from countenance.audit.intervals import Interval, clopper_pearson
from countenance.audit.result import (
    AuditResult,
    Counts,
    Curve,
    Differential,
    Differentials,
    Estimate,
    GallerySize,
    GroupRates,
    MatchedPair,
    Operating,
    Power,
    Search,
    SearchGroup,
    SearchPoint,
    Suspect,
    TailFit,
    Untested,
    Verification,
)

ETHNICITY = {"asian": (17, 1.9), "black": (57, 2.4), "hispanic": (46, 1.2), "white": (389, 0.55)}
GENDER = {"female": (128, 1.4), "male": (381, 0.85)}
TARGETS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
STRANGERS = 5749
NAMES = ("Ana Sánchez", "Bo Li", "Chidi Okafor", "Dagny Holm", "Emeka Obi", "Farah Aziz")


def estimate(errors: int, trials: int, value: float | None = None) -> Estimate:
    """A rate with an interval that is wide enough to look true."""
    interval = clopper_pearson(errors, trials)
    bound = min(1.0, 3.69 / max(1, trials // 40)) if errors == 0 else None
    return Estimate(errors / trials if value is None else value, interval, None, errors, trials, bound)


def unknown(reason: str) -> Estimate:
    return Estimate(None, reason=reason)


def _tail(t: float, centre: float = -0.86, sd: float = 0.075) -> float:
    """Share of a normal distribution above t."""
    return 0.5 * math.erfc((t - centre) / sd / math.sqrt(2))


def curve(group: Mapping[str, str], people: int, shift: float, mated: bool = True) -> Curve:
    thresholds = tuple(round(-0.9 + 0.01 * k, 4) for k in range(65))
    pairs = people * (people - 1) // 2
    fmr, low, high = [], [], []
    for t in thresholds:
        expected = _tail(t, -0.86 + 0.012 * math.log2(1 + shift)) * pairs
        errors = round(expected)
        inside = clopper_pearson(min(errors, 10**6), max(pairs, 1)) if errors < 3000 else None
        fmr.append(errors / pairs)
        low.append(inside.low if inside else errors / pairs * 0.94)
        high.append(inside.high if inside else min(1.0, errors / pairs * 1.06))
    edges = tuple(-1.2 + 0.0125 * k for k in range(81))

    def density(centre: float, sd: float) -> tuple[float, ...]:
        return tuple(_tail(a, centre, sd) - _tail(b, centre, sd) for a, b in itertools.pairwise(edges))

    return Curve(
        group=group,
        thresholds=thresholds,
        fmr=tuple(fmr),
        fnmr=tuple(1 - _tail(t, -0.46, 0.075) for t in thresholds) if mated else None,
        fmr_low=tuple(low),
        fmr_high=tuple(high),
        fmr_band_low=tuple(x * 0.8 for x in low),
        fmr_band_high=tuple(min(1.0, x * 1.25) for x in high),
        bin_edges=edges,
        mated_density=density(-0.46, 0.075) if mated else None,
        nonmated_density=density(-0.86 + 0.012 * math.log2(1 + shift), 0.075),
    )


def _operating() -> tuple[Operating, ...]:
    pairs = STRANGERS * (STRANGERS - 1) // 2
    rows = [Operating("documented", None, -0.6, estimate(31_000, pairs, 31_000 / pairs), estimate(52, 1680))]
    for target, threshold in zip(TARGETS, (-0.64, -0.56, -0.5, -0.45, -0.41), strict=True):
        fmr = estimate(round(target * pairs * 0.97), pairs)
        rows.append(
            Operating(
                "target",
                target,
                threshold,
                fmr,
                estimate(20 + int(-90 / threshold), 1680),
                (threshold - 0.004, threshold + 0.003),
            )
        )
    rows[-1] = Operating(
        "target",
        1e-6,
        None,
        unknown("too few pairs"),
        unknown("too few pairs"),
        reason="5,749 people cannot show a false match rate of 1 in 1,000,000",
    )
    return tuple(rows)


def _group_rates() -> tuple[GroupRates, ...]:
    found = []
    for threshold, base in ((-0.6, 1.6e-3), (-0.56, 1e-3), (-0.5, 1e-4), (-0.45, 9e-6)):
        for column, labels in (("gender", GENDER), ("ethnicity", ETHNICITY)):
            for label, (people, shift) in labels.items():
                pairs = people * (people - 1) // 2
                fnmr = estimate(max(0, int(people * -threshold / 40)), people)
                small = "17 people: too few to speak of a group (at least 20)" if people < 20 else None
                found.append(
                    GroupRates(
                        {column: label},
                        people,
                        pairs,
                        people,
                        threshold,
                        estimate(round(base * shift * pairs), pairs),
                        fnmr,
                        small,
                    )
                )
    return tuple(found)


def _matrix() -> tuple[dict[str, object], ...]:
    rows = []
    for column, labels in (("gender", GENDER), ("ethnicity", ETHNICITY)):
        names = list(labels)
        for k, one in enumerate(names):
            for two in names[k:]:
                (n, a), (m, b) = labels[one], labels[two]
                pairs = n * (n - 1) // 2 if one == two else n * m
                rate = 1.6e-3 * math.sqrt(a * b) * (1 if one == two else 0.12)
                found = estimate(round(rate * pairs), pairs)
                rows.append(
                    {"group": {column: one}, "other": {column: two}, "threshold": -0.6, "nonmated": pairs}
                    | found.to_json("fmr")
                )
    return tuple(rows)


def _search_point(threshold: float, origin: str = "sweep", target: float | None = None) -> SearchPoint:
    def group(label: Mapping[str, str], probes: int, shift: float) -> SearchGroup:
        share = 1 - (1 - min(1.0, _tail(threshold, -0.84, 0.08) * 0.12 * shift)) ** (STRANGERS / 16)
        errors = round(share * probes)
        small = "17 people: too few to speak of a group (at least 20)" if probes < 20 else None
        return SearchGroup(
            label, probes, errors, estimate(errors, probes), 0, unknown("no probe has a reference of their own"), small
        )

    groups = [
        group({c: k}, n, s)
        for c, labels in (("gender", GENDER), ("ethnicity", ETHNICITY))
        for k, (n, s) in labels.items()
    ]
    whole = group({}, 509, 1.0)
    errors = sum(g.falsely_matched for g in groups[:2])
    return SearchPoint(
        threshold, replace(whole, falsely_matched=errors, fpir=estimate(errors, 509)), tuple(groups), origin, target
    )


def _search() -> Search:
    sweep = [
        _search_point(round(-0.70 + 0.02 * k, 2))
        for k in range(18)
        if round(-0.70 + 0.02 * k, 2) not in (-0.6, -0.56, -0.5)
    ]
    chosen = [_search_point(-0.6, "documented")] + [
        _search_point(t, "target", g) for t, g in ((-0.56, 1e-3), (-0.5, 1e-4), (-0.45, 1e-5))
    ]
    pairs = tuple(
        MatchedPair(
            -0.41 - 0.004 * k,
            f"person {17 * k + 3}",
            f"person {601 + 31 * k}",
            {"gender": ("male", "female")[k % 3 == 0], "ethnicity": ("black", "white", None)[k % 3]},
            {"gender": "male", "ethnicity": None},
        )
        for k in range(60)
    )
    return Search(509, STRANGERS, tuple(sorted([*sweep, *chosen], key=lambda p: p.threshold)), pairs)


def _differentials() -> tuple[Differentials, ...]:
    def one(value: float | None, low: float, high: float, null: tuple[float, float], p: float | None) -> Differential:
        if value is None:
            return Differential(None, None, (1.6, 4.0), "no error was seen in asian; it is at least 1.4", 0.2, 1.4)
        return Differential(value, _loose(low, high), null, None, p)

    both = (
        Differentials(
            ("gender",),
            -0.6,
            one(1.65, 1.2, 2.3, (1.08, 1.3), 0.002),
            one(1.28, 1.1, 1.5, (1.04, 1.14), 0.002),
            one(0.12, 0.05, 0.2, (0.02, 0.06), 0.002),
            one(0.99, 0.98, 0.995, (0.998, 0.9995), 0.004),
            "Women are falsely matched more often than men: 1.65 times (1.2 to 2.3). "
            "Chance alone would seldom give more than 1.3.",
        ),
        Differentials(
            ("ethnicity",),
            -0.6,
            one(None, 0, 0, (0, 0), None),
            one(2.2, 0.9, 4.9, (1.6, 3.1), 0.21),
            one(0.3, 0.1, 0.5, (0.2, 0.45), 0.21),
            one(0.97, 0.9, 0.99, (0.98, 0.995), 0.2),
            "This test could not tell whether the groups differ.",
            left_out=("asian: 17 people, too few",),
            contrasts=(
                {"name": "black", "ratio": 2.4, "p_adjusted": 0.08},
                {"name": "white", "ratio": None, "p_adjusted": None},
            ),
        ),
    )
    return (*both, replace(both[0], threshold=-0.56), replace(both[1], threshold=-0.56))


def _loose(low: float, high: float) -> Interval:
    return Interval(low, high)


def _gallery() -> tuple[GallerySize, ...]:
    found = []
    for threshold, fmr in ((-0.6, 1.9e-3), (-0.56, 2e-4), (-0.5, 1.9e-5)):
        for n in (100, 300, 1000, 3000, 5749, 25_000, 1_000_000, 100_000_000):
            predicted = 1 - (1 - fmr) ** n
            beyond = n > STRANGERS
            ahead = Estimate(predicted, Interval(predicted * 0.6, min(1.0, predicted * 1.7)))
            measured = ahead if beyond else estimate(round(predicted * 509), 509)
            found.append(GallerySize(n, threshold, measured, predicted, beyond))
    return tuple(found)


def embedded() -> AuditResult:
    """The embedded audit: numbers for names, documented 1:1 threshold used to search."""
    return AuditResult(
        headline="Set to dlib’s threshold for comparing one face with one other (distance 0.60), used here to search, "
        "the default engine matched 28 of 509 members of Congress to somebody else among 5,749 strangers.",
        inputs={
            "system": "CenterFace + dlib ResNet, mirrored",
            "pipeline": "sha256:5f0c3e1f7a9e88dd0b12",
            "metric": "euclidean",
            "documented_threshold": -0.6,
            "documented_meaning": "dlib’s threshold for comparing one face with one other",
            "models": {"detector": "sha256:77e3", "embedder": "sha256:abcd"},
            "files": [{"path": "congress-lfw.tallies", "sha256": "ab" * 32}],
            "versions": {"countenance": "0.1.0", "numpy": "2.1.0"},
            "seed": 0,
        },
        counts=Counts(
            6258,
            13_742,
            242_257,
            87_300_000,
            {"gender": 14, "ethnicity": 5749},
            3,
            1,
            (
                {
                    "group": {"gender": "female"},
                    "photos": 3000,
                    "photos_failed": 2,
                    "subjects": 1500,
                    "subjects_failed": 1,
                },
                {
                    "group": {"gender": "male"},
                    "photos": 10_742,
                    "photos_failed": 1,
                    "subjects": 4758,
                    "subjects_failed": 0,
                },
            ),
        ),
        verification=Verification(
            thresholds=_operating(),
            groups=_group_rates(),
            curves=(
                curve({}, 5749, 1.0),
                *(
                    curve({c: k}, n * 4, s)
                    for c, labels in (("gender", GENDER), ("ethnicity", ETHNICITY))
                    for k, (n, s) in labels.items()
                ),
            ),
            matrix=_matrix(),
        ),
        search=_search(),
        differentials=_differentials(),
        gallery_sizes=_gallery(),
        vouches_for={
            "fpir": 0.01,
            "references": 312,
            "threshold": -0.5,
            "groups": [
                {"group": {"ethnicity": "black"}, "references": 312, "at_best": 900, "fmr_upper": 3.2e-5},
                {"group": {"ethnicity": "white"}, "references": 2900, "at_best": 8000, "fmr_upper": 3.4e-6},
            ],
        },
        tail=TailFit(
            -0.52,
            2400,
            -0.18,
            (-0.25, -0.1),
            0.021,
            6e-9,
            (
                {
                    "target_fmr": 1e-8,
                    "threshold": -0.36,
                    "threshold_interval": [-0.38, -0.33],
                    "fmr": 1e-8,
                    "fmr_interval": [2e-9, 6e-8],
                },
            ),
            tuple((-0.52 + 0.005 * k, -0.52 + 0.005 * k + 0.003 * math.sin(k)) for k in range(28)),
            "The three highest scores lie off the line.",
        ),
        power=Power(
            2.2e-7,
            1.8e-6,
            (
                "509 people searched for can show a share of wrong searches down to 0.73 %.",
                "57 black members cannot show whether their rate is below 6.3 %.",
            ),
            ({"target_fmr": 1e-6, "subjects": 10_000, "more": 4251},),
        ),
        comparison={
            "first": "dlib ResNet",
            "second": "MobileFaceNet",
            "people": 5749,
            "contrasts": [
                {
                    "what": "FNMR",
                    "target": 1e-4,
                    "group": {},
                    "first": 0.27,
                    "second": 0.02,
                    "change": 0.074,
                    "interval": [0.05, 0.1],
                    "lower": "second",
                    "reason": None,
                },
                {
                    "what": "FMR",
                    "target": 0.05,
                    "group": {"gender": "female"},
                    "first": 3e-3,
                    "second": 2.8e-3,
                    "change": 0.93,
                    "interval": [0.5, 1.9],
                    "lower": None,
                    "reason": None,
                },
                {
                    "what": "FMR",
                    "target": 0.05,
                    "group": {"gender": "male"},
                    "first": None,
                    "second": None,
                    "change": None,
                    "interval": None,
                    "lower": None,
                    "reason": "too few people",
                },
            ],
            "sentences": ["At FMR 1 in 10,000, MobileFaceNet misses fewer people than dlib ResNet."],
            "notes": [],
        },
        suspects=(
            Suspect(
                "nonmated_alike",
                -0.21,
                "person 88",
                "person 4120",
                None,
                None,
                "far above all other pairs of two people",
                "same",
            ),
            Suspect(
                "nonmated_alike",
                -0.3,
                "person 12",
                "person 2120",
                None,
                None,
                "far above all other pairs of two people",
                None,
            ),
            Suspect(
                "mated_unlike",
                -1.02,
                "person 500",
                "person 500",
                None,
                None,
                "less alike than the median of strangers",
                "different",
            ),
        ),
        not_tested=(
            Untested("ethnicity: asian", "17 people: too few to speak of a group (at least 20)"),
            Untested("people and photos unlike these", "children, other cameras, other years of ageing"),
        ),
        notes=("Ethnicity is known for the members of Congress only.",),
        reproduce="countenance audit --by gender,ethnicity",
        made="2026-11-23T01:00:00Z",
    )


def photos() -> AuditResult:
    """A person's own photos: names, paths, cosine scores, hostile text in every free field."""
    hostile = '<script>alert("x")</script>'
    whole = replace(embedded(), headline=f"At score 0.36, nobody was confused in {hostile}.")
    pairs = tuple(
        MatchedPair(
            0.41 - 0.01 * k,
            hostile if k == 0 else NAMES[k],
            NAMES[-k],
            {"team": '"><img src=x onerror=1>'},
            {"team": "b"},
            f"photos/{k}.jpg",
            f"photos/{k}b.jpg",
        )
        for k in range(5)
    )
    search = replace(embedded().search, pairs=pairs) if embedded().search else None
    inputs = {"system": hostile, "metric": "cosine", "command": hostile, "versions": {hostile: hostile}}
    return replace(
        whole,
        inputs=inputs,
        search=search,
        notes=(hostile,),
        reproduce=f"countenance audit '{hostile}'",
        not_tested=(Untested(hostile, hostile),),
    )


def scores_only() -> AuditResult:
    """A table of scores: no people known, so no intervals; some groups without mated pairs."""
    why = "scores without subjects: it is not known who was compared, so the uncertainty cannot be stated"
    bare = Estimate(0.012, None, why, 72, 6000)
    groups = tuple(
        GroupRates({"group": g}, 0, 6000, 6000, 0.42, bare, Estimate(0.03, None, why, 180, 6000)) for g in "ABCD"
    )
    point = Operating("asked", None, 0.42, bare, unknown("no mated pairs"))
    return AuditResult(
        headline="At the threshold asked for (score 0.42), the system took 1.2 % of pairs of different people "
        "for the same person.",
        inputs={"scores": "scores.csv", "sha256": "cd" * 32, "seed": None},
        counts=Counts(0, 0, 24_000, 24_000),
        verification=Verification((point,), groups, reason=why),
        search=None,
        not_tested=(Untested("searches", "a table of scores does not say who was searched for in which gallery"),),
        reasons={"search": "a table of scores does not say who was searched for in which gallery", "power": why},
        weighting="comparison",
    )


def zero_errors() -> AuditResult:
    """Nobody confused: bounds only."""
    none = estimate(0, 4321)
    search = Search(
        4321,
        900,
        (
            SearchPoint(
                0.7,
                SearchGroup({}, 4321, 0, none, 12, estimate(0, 12)),
                (
                    SearchGroup({"gender": "female"}, 2000, 0, estimate(0, 2000), 5, unknown("too few")),
                    SearchGroup({"gender": "male"}, 2321, 0, estimate(0, 2321), 7, estimate(1, 7)),
                ),
                "asked",
            ),
        ),
    )
    verification = Verification(
        (Operating("asked", None, 0.7, none, estimate(0, 90)),),
        (GroupRates({"gender": "female"}, 80, 3160, 40, 0.7, estimate(0, 3160), estimate(0, 40)),),
        (
            replace(
                curve({}, 90, 1),
                fmr=(0.0,) * 65,
                fmr_low=(0.0,) * 65,
                fmr_high=(8.5e-4,) * 65,
                fmr_band_low=None,
                fmr_band_high=None,
            ),
        ),
        (
            {"group": {"gender": "female"}, "other": {"gender": "female"}, "nonmated": 3160, "threshold": 0.7}
            | estimate(0, 3160).to_json("fmr"),
        ),
    )
    return AuditResult(
        headline="At score 0.70, none of 4,321 people was matched to somebody else among 900 others (at most 0.086 %).",
        inputs={"system": "any", "metric": "cosine"},
        counts=Counts(4321, 5000, 90, 9_000_000),
        verification=verification,
        search=search,
        weighting="subject",
    )


def nothing() -> AuditResult:
    """As little as an audit can hold."""
    return AuditResult(
        "This data is too small to say anything.",
        {},
        Counts(2, 2, 0, 1),
        None,
        None,
        reasons={"verification": "no two people", "search": "no gallery"},
    )


def no_verification() -> AuditResult:
    return replace(
        embedded(),
        verification=None,
        differentials=(),
        tail=None,
        power=None,
        gallery_sizes=(),
        vouches_for=None,
        reasons={"verification": "only a search was made"},
    )


def no_search() -> AuditResult:
    return replace(embedded(), search=None, suspects=(), reasons={"search": "no gallery was given"})


def adjudicated() -> AuditResult:
    """Two verdicts changed the figures."""
    whole = embedded()
    assert whole.search is not None
    points = tuple(
        replace(
            p,
            everyone=replace(
                p.everyone,
                falsely_matched=max(0, p.everyone.falsely_matched - 2),
                fpir=estimate(max(0, p.everyone.falsely_matched - 2), 509),
            ),
        )
        for p in whole.search.points
    )
    after = replace(whole, headline=whole.headline.replace("28", "26"), search=replace(whole.search, points=points))
    return replace(whole, adjudicated=after)


ALL = {
    "embedded": embedded,
    "photos": photos,
    "scores-only": scores_only,
    "zero-errors": zero_errors,
    "nothing": nothing,
    "no-verification": no_verification,
    "no-search": no_search,
    "adjudicated": adjudicated,
}
