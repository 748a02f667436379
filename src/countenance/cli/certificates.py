"""Commands of the gate: certificates and policies."""

from pathlib import Path

import click

from countenance.cli.common import AS_JSON, FILE, print_json


@click.command()
@click.argument("tallies", type=FILE, required=False)
@click.option("--key", type=FILE, required=True, help="Your signing key; made, readable by you alone, if not there.")
@click.option("--out", type=FILE, default=Path("certificate.json"), show_default=True, help="The certificate to write.")
@click.option("--groups", default="gender", show_default=True, metavar="COLUMNS", help="Group columns to certify.")
@click.option("--target", type=float, default=0.01, show_default=True, help="Strangers returned for a probe, at most.")
@click.option("--gallery", type=int, default=1, show_default=True, help="The smallest gallery it must vouch for.")
@click.option("--days", type=int, default=365, show_default=True, help="How long it is valid.")
def certify(tallies: Path | None, key: Path, out: Path, groups: str, target: float, gallery: int, days: int) -> None:
    """Compute a certificate from TALLIES and sign it; without TALLIES, from the embedded ones of the default engine."""
    from countenance import policy, trials
    from countenance.audit import load_tallies
    from countenance.ledger import SigningKey

    signing = SigningKey.load(key) if key.exists() else None
    measured = load_tallies(tallies) if tallies else trials.embedded_tallies()
    if signing is None:
        signing = SigningKey.generate()
        signing.save(key)
        click.echo(f"made a signing key: {key}", err=True)
    columns = [name.strip() for name in groups.split(",") if name.strip()]
    found = policy.certify(measured, signing, groups=columns, strangers_per_probe=target, gallery=gallery, days=days)
    out.write_text(found.to_json(), encoding="utf-8")
    click.echo(policy.describe(found))
    click.echo(f"written to {out}")


@click.group()
def certificate() -> None:
    """Certificates: show one, or verify what it says."""


@certificate.command("show")
@click.argument("file", type=FILE)
@AS_JSON
def certificate_show(file: Path, as_json: bool) -> None:
    """Say what the certificate in FILE says. Its signature is not looked at: see verify."""
    from countenance import policy

    found = policy.load_certificate(file)
    if as_json:
        print_json(found.said)
    else:
        click.echo(policy.describe(found))


@certificate.command("verify")
@click.argument("file", type=FILE)
@click.option("--tallies", type=FILE, help="Compute everything again from these.")
def certificate_verify(file: Path, tallies: Path | None) -> None:
    """Check the signature and the dates of the certificate in FILE, and with --tallies everything it says."""
    from countenance import policy
    from countenance.audit import load_tallies

    click.echo(policy.verify(policy.load_certificate(file), load_tallies(tallies) if tallies else None))


@click.group()
def policy() -> None:
    """Policies: what may be done, for which purposes, on whom."""


@policy.command("check")
@click.argument("file", type=FILE)
def policy_check(file: Path) -> None:
    """Read a policy FILE; say what it allows, or what is wrong with it, with the line and the mend."""
    from countenance.policy import describe_policy, load_policy

    click.echo(describe_policy(load_policy(file)))
