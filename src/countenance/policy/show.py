"""Certificates and policies in plain sentences, for whoever has to rely on one."""

from collections.abc import Sequence
from datetime import UTC, datetime

from countenance.audit.tallies import Tallies
from countenance.errors import CertificateError
from countenance.ledger import VerifyingKey
from countenance.policy.certificate import Certificate
from countenance.policy.file import Policy
from countenance.policy.issue import check

__all__ = ["describe", "describe_policy", "verify"]

_SIZES = (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000)


def describe(certificate: Certificate) -> str:
    """What a certificate says, as lines of text. Its signature is not looked at: see `verify`."""
    c = certificate
    lines = ["SYNTHETIC: made up for a bench, nothing was measured"] if c.synthetic else []
    lines += [
        f"certificate  {c.id}, by {c.issuer.name}",
        f"pipeline     {c.system} ({c.pipeline})",
        f"valid        {c.starts:%Y-%m-%d} to {c.ends:%Y-%m-%d}",
        f"measured on  {_number(c.said['data']['subjects'])} people, {_number(c.said['data']['templates'])} photos, "
        f"{_number(c.said['data']['pairs'])} pairs of people (data {c.data_digest[:12]})",
        f"vouches for  galleries of up to {_number(c.largest_gallery())} faces, with at most {c.target:.2%} strangers "
        "expected",
        "             for each search, were all of them of the worst certified group",
        "",
        f"{'faces':>10}  {'threshold':>10}  {'Similarity':>11}  FMR at most",
    ]
    sizes = sorted({n for n in _SIZES if n < c.largest_gallery()} | {c.largest_gallery()})
    for size in sizes:
        threshold = c.threshold_for(size)
        if threshold is not None:
            similarity = c.curve.similarity(threshold)
            lines.append(f"{_number(size):>10}  {threshold:>10.4f}  {similarity:>11.5f}  {c.target / size:.2g}")
    lines += [
        "",
        f"measured FMR at {c.levels[-1].threshold:.4f}, the threshold for {_number(c.largest_gallery())} faces",
    ]
    for group in c.groups:
        rate = group.rate_at(c.levels[-1].threshold)
        lines.append(f"  {group!s:<24} {_rate(rate.fmr, rate.high):<14} [{rate.low:.2g}, {rate.high:.2g}]")
    lines += [f"  {name:<24} too small to certify: {why}" for name, why in c.too_small]
    lines += ["", "not tested", *(f"  {name}: {why}" for name, why in c.not_tested)]
    return "\n".join(lines)


def verify(
    certificate: Certificate,
    tallies: Tallies | None = None,
    trusted: Sequence[VerifyingKey] = (),
    now: datetime | None = None,
) -> str:
    """Check a certificate, and say in one line what was found to hold and what was not looked at.

    With ``tallies`` everything is computed again; with ``trusted`` its signer must be among them. Raises
    CertificateError for whatever does not hold.
    """
    c, moment = certificate, now or datetime.now(UTC)
    if not c.signature_holds:
        raise CertificateError(f"certificate {c.id}: its signature does not hold; take it as it was issued")
    if trusted and c.issuer not in trusted:
        raise CertificateError(
            f"certificate {c.id}: {c.issuer.name} signed it, who is not trusted here; ask who that is"
        )
    if moment >= c.ends:
        raise CertificateError(f"certificate {c.id}: expired on {c.ends:%Y-%m-%d}; audit again and certify")
    if moment < c.starts:
        raise CertificateError(f"certificate {c.id}: holds only from {c.starts:%Y-%m-%d %H:%M} UTC on; wait for it")
    if tallies is not None and not c.synthetic:
        check(c, tallies)
    whose = "whom you trust" if trusted else "whose key you have to know"
    again = "everything in it follows from the tallies" if tallies is not None else "not recomputed: give --tallies"
    if c.synthetic:
        again = "SYNTHETIC: nothing was measured"
    return f"certificate {c.id}: signed by {c.issuer.name}, {whose}; {again}"


def describe_policy(policy: Policy) -> str:
    """What a policy allows and refuses, as lines of text."""
    rules = policy.certificate
    signers = [key.name for key in rules.trusted] + (["the operator (self-issued)"] if rules.self_issued else [])
    lines = [
        f"policy {policy.name}, version {policy.version} ({policy.digest[:16]})",
        *(f"allowed  {p.name}: {p.says}" for p in policy.purposes.values() if p.allowed),
        *(f"refused  {p.name}: {p.why}" for p in policy.purposes.values() if not p.allowed),
        "refused  any other purpose" + ("" if policy.collection_defaults else ", and collections that name none"),
        f"measured {', '.join(rules.groups) or 'no group demanded'}; at most {rules.strangers_per_probe:.2%} strangers "
        f"expected for each search; signed by {' or '.join(signers)}",
        f"consent  {'for every reference' if policy.consent_required else 'NOT DEMANDED'}",
        *(f"law      {entry.place}: {entry.covers}" for entry in policy.law),
        *(f"review   two people, for {name}" for name in sorted(policy.review_purposes)),
    ]
    if policy.collection_defaults is not None:
        lines.append(f"default  a collection without tags is for {policy.collection_defaults.purpose}")
    if rules.synthetic:
        lines.append("WARNING  accepts certificates that were made up for benches")
    return "\n".join(lines)


def _number(value: int) -> str:
    return f"{value:,}"


def _rate(fmr: float, high: float) -> str:
    return f"{fmr:.2g}" if fmr > 0 else f"below {high:.2g}"
