"""Certificates are made here: from tallies, by recomputing everything; and checked against the tallies again.

The certified thresholds are those of `countenance.audit.thresholds.certify`: chosen on a random half of the people,
checked on the other. Whoever issues cannot choose the halves: their seed is a digest of the measurements.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any

import numpy as np

from countenance import __version__
from countenance.audit.pairrates import PairRates
from countenance.audit.tallies import Group, IntArray, Sweep, Tallies
from countenance.audit.thresholds import certify_each
from countenance.errors import CertificateError, NotEnoughDataError
from countenance.ledger import SigningKey, timestamp
from countenance.policy.certificate import FORMAT, Certificate, from_said
from countenance.policy.curve import SimilarityCurve
from countenance.policy.signing import sign

__all__ = ["certify", "check", "data_digest", "synthetic_certificate"]

LEVELS_PER_DECADE = 8
DECADES = 6
_RATE_POINTS = 40
_UNNAMED = {"names", "paths", "inputs", "notes"}


def certify(
    tallies: Tallies,
    key: SigningKey,
    *,
    groups: Sequence[str] = ("gender",),
    strangers_per_probe: float = 0.01,
    gallery: int = 1,
    days: int = 365,
    now: datetime | None = None,
) -> Certificate:
    """Compute and sign a certificate from a verification of all pairs.

    ``groups``: the columns whose groups are certified, beside everyone (the part before ``=`` of a policy's
    ``column=value``). ``gallery``: the smallest gallery it must vouch for; a group that is too small for that is named
    as too small, and all others limit how large a gallery may be. ``strangers_per_probe``: the target of the policy.

    Raises NotEnoughDataError, saying what is missing, when the tallies cannot carry a certificate; UnavailableError
    without the extra ``serve``.
    """
    if not 0 < strangers_per_probe <= 1 or gallery < 1 or days < 1:
        raise NotEnoughDataError("--target lies in (0, 1], --gallery and --days are 1 or more")
    start = (now or datetime.now(UTC)).astimezone(UTC)
    said = {
        "issuer": str(key.verifying),
        "validity": {"from": timestamp(start), "until": timestamp(start + timedelta(days=days))},
        **_measured(tallies, tuple(dict.fromkeys(g.partition("=")[0] for g in groups)), strangers_per_probe, gallery),
    }
    return from_said(said, sign(key, said))


def check(certificate: Certificate, tallies: Tallies) -> None:
    """Compute everything again from the tallies it names. Raises CertificateError where it says something else."""
    if not certificate.signature_holds:
        raise CertificateError(f"certificate {certificate.id}: its signature does not hold; take it as it was issued")
    if data_digest(tallies) != certificate.data_digest:
        raise CertificateError(f"certificate {certificate.id}: is about other tallies; give those it was computed from")
    said = certificate.said
    found = _measured(
        tallies, tuple(said["groups"]["columns"]), certificate.target, int(said["certified"]["smallest_gallery"])
    )
    for part, value in found.items():
        if part != "code" and not _same(value, said.get(part)):
            raise CertificateError(
                f"certificate {certificate.id}: its {part} is not what these tallies give; do not trust its issuer"
            )


def data_digest(tallies: Tallies) -> str:
    """sha256 over all that was counted; names and paths, which a published file may lack, do not enter."""
    digest = hashlib.sha256()
    _feed(digest, tallies)
    return digest.hexdigest()


def synthetic_certificate(
    key: SigningKey,
    pipeline: str,
    *,
    gallery: int,
    threshold: float,
    days: int = 30,
    now: datetime | None = None,
) -> Certificate:
    """A certificate for benches of which nothing was measured: one threshold for any gallery up to ``gallery``.

    It says ``synthetic`` in every place where a reader could look, and only a policy that says so accepts it.
    """
    start = (now or datetime.now(UTC)).astimezone(UTC)
    fmr, floor = 0.01 / gallery, 0.001 / gallery
    rates = {"threshold": [threshold], "fmr": [fmr], "low": [floor], "high": [fmr]}
    groups = [{}, {"gender": "synthetic 1"}, {"gender": "synthetic 2"}]
    said = {
        "format": FORMAT,
        "synthetic": True,
        "code": __version__,
        "issuer": str(key.verifying),
        "validity": {"from": timestamp(start), "until": timestamp(start + timedelta(days=days))},
        "system": {"name": "SYNTHETIC: nothing was measured", "pipeline": pipeline, "models": {}},
        "data": {"digest": "synthetic", "subjects": 0, "templates": 0, "pairs": 0, "inputs": {}},
        "groups": {
            "columns": ["gender"],
            "certified": [{"group": g, "subjects": 0, "pairs": 0, "rates": rates} for g in groups],
            "too_small": [],
            "not_tested": [{"what": "anybody", "why": "this certificate is synthetic"}],
        },
        "curve": {
            "scores": [threshold - 1.0, threshold, threshold + 1.0],
            "fmr": [1.0, fmr, floor],
            "floor": floor,
        },
        "certified": {
            "strangers_per_probe": 0.01,
            "smallest_gallery": 1,
            "largest_gallery": gallery,
            "seed": 0,
            "levels": [{"fmr": fmr, "threshold": threshold}],
        },
    }
    return from_said(said, sign(key, said))


@dataclass(frozen=True)
class _Certified:
    """Levels that held, in falling order of FMR; who was certified at each; and who was too small."""

    levels: tuple[tuple[float, float], ...]
    groups: tuple[Group, ...]
    too_small: tuple[tuple[Group, str], ...]


def _measured(tallies: Tallies, columns: tuple[str, ...], target: float, gallery: int) -> dict[str, Any]:
    """All that follows from the tallies."""
    sweep, subject = _fit(tallies, columns)
    digest = data_digest(tallies)
    seed = int(digest[:8], 16)
    found = _levels(tallies, columns, target, gallery, seed)
    curve = SimilarityCurve.of(tallies)
    at = _rate_thresholds(sweep, curve, [threshold for _, threshold in found.levels])
    small = [{"group": _spelt(g), "why": why} for g, why in found.too_small]
    return {
        "format": FORMAT,
        "synthetic": False,
        "code": __version__,
        "system": {
            "name": tallies.system.name,
            "pipeline": tallies.system.pipeline,
            "models": dict(tallies.system.models),
        },
        "data": {
            "digest": digest,
            "subjects": int(np.unique(subject).size),
            "templates": int(subject.size),
            "pairs": int(sweep.pairs.sum()),
            "inputs": _plain(tallies.inputs),
        },
        "groups": {
            "columns": list(columns),
            "certified": [_record(tallies, sweep, subject, g, at) for g in found.groups],
            "too_small": small,
            "not_tested": [{"what": what, "why": why} for what, why in _not_tested(tallies, subject, columns)],
        },
        "curve": {"scores": list(curve.scores), "fmr": list(curve.fmr), "floor": curve.floor},
        "certified": {
            "strangers_per_probe": target,
            "smallest_gallery": gallery,
            "largest_gallery": math.floor(target / found.levels[-1][0] * (1 + 1e-12)),
            "seed": seed,
            "levels": [{"fmr": fmr, "threshold": threshold} for fmr, threshold in found.levels],
        },
    }


def _fit(tallies: Tallies, columns: Sequence[str]) -> tuple[Sweep, IntArray]:
    """The verification sweep and the subject of each template. Raises NotEnoughDataError naming what lacks."""
    sweep = tallies.verification
    if sweep is None:
        raise NotEnoughDataError("certificate: these tallies hold no verification; audit photos or templates of people")
    if not sweep.has_subjects or sweep.left is None:
        raise NotEnoughDataError("certificate: who was compared is not known; audit templates with their subjects")
    if tallies.system.pipeline is None:
        raise NotEnoughDataError(
            "certificate: these tallies do not say which pipeline made the templates; make them with countenance embed"
        )
    for column in columns:
        if column not in tallies.columns:
            has = ", ".join(tallies.columns) or "none"
            raise NotEnoughDataError(
                f"certificate: no group column {column!r} in these tallies (it has {has}); add it to the manifest and "
                f"audit again"
            )
    return sweep, sweep.left.subject


def _levels(tallies: Tallies, columns: Sequence[str], target: float, gallery: int, seed: int) -> _Certified:
    """Certify one FMR after the other, ever rarer, until the data carry no more.

    A level whose threshold would lie below what the tail lists, or which the people held out contradict, is left out: a
    gallery of that size is given the next stricter level that held, so nothing is ever chosen again.
    """
    asked = [tallies.everyone, *(group for column in columns for group in tallies.groups([column]))]
    coarsest = target / gallery
    first = certify_each(tallies, asked, [coarsest], seed)[0]
    small = {_spelt(group) for group, _ in first.too_small}
    fit = [group for group in asked if _spelt(group) not in small]
    lacking = [c for c in columns if sum(set(g.label) == {c} for g in fit) < 2]
    if not fit or "everyone" in small or lacking:
        told = "; ".join(why for _, why in first.too_small) or f"{', '.join(lacking)}: fewer than two groups"
        raise NotEnoughDataError(f"certificate: too few people for a gallery of {gallery}: {told}")
    kept: list[tuple[float, float]] = []
    refused = ""
    steps = range(LEVELS_PER_DECADE * DECADES)
    rates = [float(f"{coarsest * 10.0 ** (-step / LEVELS_PER_DECADE):.4g}") for step in steps]
    for found in takewhile(lambda one: not one.too_small, certify_each(tallies, fit, rates, seed)):
        refused = found.reason or refused
        if found.threshold is not None:
            # thresholds rise as the FMR falls; where a level left out lay between, they may only stay
            kept.append((found.target_fmr, max(found.threshold, kept[-1][1] if kept else -math.inf)))
    if not kept:
        raise NotEnoughDataError(
            f"certificate: no rate held, from {coarsest:g} down; {refused or 'no group is large enough'}"
        )
    return _Certified(tuple(kept), tuple(fit), first.too_small)


def _rate_thresholds(sweep: Sweep, curve: SimilarityCurve, certified: Sequence[float]) -> list[float]:
    """Thresholds at which rates are listed, all on the grid: those certified, and others from the lowest of them up."""
    grid = sweep.grid[(sweep.grid >= certified[0]) & (sweep.grid <= max(curve.scores[-1], certified[0]))]
    others = grid[np.linspace(0, grid.size - 1, _RATE_POINTS).round().astype(int)]
    return [float(x) for x in np.union1d(others, certified)]


def _record(
    tallies: Tallies, sweep: Sweep, subject: IntArray, group: Group, thresholds: Sequence[float]
) -> dict[str, Any]:
    rates = PairRates(tallies, sweep, group)
    people = int(np.unique(subject[tallies.subjects_in(group)[subject]]).size)
    return {
        "group": dict(group.label),
        "subjects": people,
        "pairs": people * (people - 1) // 2,
        "rates": {
            "threshold": list(thresholds),
            "fmr": [float(rates.sums(at).rate) for at in thresholds],
            "low": [float(rates.interval(at).low) for at in thresholds],
            "high": [float(rates.bound(at)) for at in thresholds],
        },
    }


def _not_tested(tallies: Tallies, subject: IntArray, columns: Sequence[str]) -> list[tuple[str, str]]:
    told = [(c, "in the data, and not asked to be certified") for c in tallies.columns if c not in columns]
    for column in columns:
        at = tallies.columns.index(column)
        without = sum(tallies.cells[int(c)][at] is None for c in tallies.cell[np.unique(subject)])
        if without:
            told.append((f"{column} not known", f"no label for {without} of the people compared"))
    told.append(("people and photos unlike these", "children, other groups, other cameras, other years of ageing"))
    return told


def _spelt(group: Group) -> str:
    return ", ".join(f"{k} {v}" for k, v in group.label.items()) or "everyone"


def _same(a: Any, b: Any) -> bool:
    """Equal, numbers within 1e-9: another machine's last bits are no fraud."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, int | float) and isinstance(b, int | float) and not isinstance(a, bool):
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-15)
    return bool(a == b)


def _plain(value: Any) -> Any:
    """JSON values: tuples become lists, NumPy's numbers Python's."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value.item() if isinstance(value, np.generic) else value


def _feed(digest: Any, value: Any) -> None:
    """Feed a value into the digest, each part led by its type and size, so that no two values run together."""
    if is_dataclass(value):
        digest.update(f"<{type(value).__name__}>".encode())
        for field in fields(value):
            if field.name not in _UNNAMED:
                digest.update(field.name.encode() + b"=")
                _feed(digest, getattr(value, field.name))
    elif isinstance(value, np.ndarray):
        little = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
        digest.update(f"{little.dtype.str}{little.shape}".encode())
        digest.update(little.tobytes())
    elif isinstance(value, Mapping):
        _feed(digest, sorted(value.items()))
    elif isinstance(value, list | tuple):
        digest.update(f"[{len(value)}]".encode())
        for one in value:
            _feed(digest, one)
    else:
        text = repr(value).encode()
        digest.update(f"({len(text)})".encode() + text)
