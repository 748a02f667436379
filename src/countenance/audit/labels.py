"""Groups and people as an audit names them: which groupings there are, who is who, which group is too small."""

import numpy as np

from countenance.audit.tallies import Group, Sides, Tallies

__all__ = ["SMALLEST_GROUP", "groupings", "label_of", "name_of", "one_in", "too_small"]

SMALLEST_GROUP = 10


def groupings(tallies: Tallies, by: tuple[str, ...] | None) -> list[tuple[str, ...]]:
    """Which columns form groups: each by itself, and all of them crossed when there are several."""
    columns = tallies.columns if by is None else by
    single: list[tuple[str, ...]] = [(c,) for c in columns]
    return [*single, tuple(columns)] if len(columns) > 1 else single


def name_of(tallies: Tallies, subject: int) -> str:
    """A subject's name, or the number by which verdicts can name them where names were not kept."""
    return tallies.names[subject] if tallies.names else str(subject)


def label_of(tallies: Tallies, subject: int) -> dict[str, str | None]:
    """A subject's group labels by column; None where there is none."""
    return dict(zip(tallies.columns, tallies.cells[int(tallies.cell[subject])], strict=True))


def too_small(tallies: Tallies, group: Group, side: Sides | None = None) -> str | None:
    """Why a group's figures should not be read; None where they may be, or where people are not known.

    With a ``side`` only the people on it count, such as the probes of a search.
    """
    sweep = tallies.verification or tallies.search
    if sweep is None or not sweep.has_subjects or not group.label:
        return None
    member = tallies.subjects_in(group)
    people = int(member.sum()) if side is None else int(np.unique(side.subject[member[side.subject]]).size)
    if people >= SMALLEST_GROUP:
        return None
    who = "1 person" if people == 1 else f"{people} people"
    return f"{who}: too few to speak of a group (at least {SMALLEST_GROUP})"


def one_in(rate: float) -> str:
    """A rate above 0 as a reader pictures it, to two digits: ``12 %`` from one in a hundred on, else ``1 in 2,300``."""
    if rate >= 0.01:
        return f"{100 * rate:.2g} %"
    whole = 1.0 / rate
    digits = len(str(int(whole))) - 2
    return f"1 in {round(round(whole, -digits) if digits > 0 else whole):,}"
