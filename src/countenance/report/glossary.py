"""The words of a report in plain language."""

__all__ = ["TERMS", "WEIGHTING"]

WEIGHTING = {
    "subject": "Every pair of people counts once, however many photos each has.",
    "comparison": "Every comparison counts once, so people with many photos weigh more.",
}

TERMS = (
    (
        "Comparison score",
        "A number for how alike two faces look to the system; larger means more alike. A distance is turned "
        "round: the smaller the distance, the larger the score.",
    ),
    (
        "Threshold",
        "The score from which the system says “match”. A stricter threshold confuses fewer people and misses more.",
    ),
    (
        "Mated, non-mated",
        "The truth about a comparison: two photos of one person, or of two different people.",
    ),
    (
        "Match, non-match",
        "What the system decides, rightly or wrongly.",
    ),
    (
        "False match rate (FMR)",
        "Of all comparisons of two different people, the share that the system takes for one person.",
    ),
    (
        "False non-match rate (FNMR)",
        "Of all comparisons of one person with the same person, the share that the system does not recognise.",
    ),
    (
        "Probe, reference, gallery",
        "The photo searched for, a photo it is compared with, and all the photos searched.",
    ),
    (
        "False positive identification rate (FPIR)",
        "Of all searches, the share that return somebody else. It grows with the gallery, so it is always given "
        "with the gallery’s size.",
    ),
    (
        "False negative identification rate (FNIR)",
        "Of all searches for somebody who is in the gallery, the share that do not return that person.",
    ),
    (
        "Failure to enrol",
        "A person of whom no photo gave a face to compare. The system cannot recognise them at all.",
    ),
    (
        "95 % interval",
        "Where the true rate lies, for people like these, if the test were repeated with other people: in 95 of "
        "100 tests. It rests on the number of people, not of comparisons, because one person is in many "
        "comparisons.",
    ),
    (
        "“none in 4,321 (at most 0.086 %)”",
        "No error was seen. The rate may still be as high as the bound; it is not zero.",
    ),
    (
        "Under no difference",
        "What the same number would be by chance alone if all groups had one and the same rate. A ratio of the "
        "highest to the lowest is above 1 by chance.",
    ),
    (
        "DET curve",
        "Detection error trade-off: the two kinds of error against each other, one point for each threshold.",
    ),
    (
        "Extrapolation",
        "A figure beyond the data, from a model fitted to the data. It may be wrong in ways that its interval "
        "does not show.",
    ),
)
