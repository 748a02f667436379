"""Commands of the gate: certificates and policies."""

from pathlib import Path

import click

from countenance.cli.common import AS_JSON, DATA, DATABASE, FILE, print_json


@click.command()
@click.argument("tallies", type=FILE, required=False)
@click.option("--key", type=FILE, required=True, help="Your signing key; made, readable by you alone, if not there.")
@click.option("--out", type=FILE, default=Path("certificate.json"), show_default=True, help="The certificate to write.")
@click.option("--groups", default="gender", show_default=True, metavar="COLUMNS", help="Group columns to certify.")
@click.option("--target", type=float, default=0.01, show_default=True, help="Strangers returned for a probe, at most.")
@click.option("--gallery", type=int, default=1, show_default=True, help="The smallest gallery it must vouch for.")
@click.option("--days", type=int, default=365, show_default=True, help="How long it is valid.")
@click.option("--pipeline", "shown", metavar="NAME", help="Whose embedded measurements; by default what runs here.")
def certify(
    tallies: Path | None,
    key: Path,
    out: Path,
    groups: str,
    target: float,
    gallery: int,
    days: int,
    shown: str | None,
) -> None:
    """Compute a certificate from TALLIES and sign it; without TALLIES, from the measurements that come with this."""
    from countenance import policy, trials
    from countenance.audit import load_tallies
    from countenance.files import write_whole
    from countenance.ledger import SigningKey

    if tallies and shown:
        raise click.UsageError("--pipeline: names embedded measurements; give it, or TALLIES")
    signing = SigningKey.load(key) if key.exists() else None
    measured = load_tallies(tallies) if tallies else trials.embedded_tallies(shown or trials.running_here())
    if signing is None:
        key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        signing = SigningKey.generate()
        signing.save(key)
        click.echo(f"made a signing key: {key}", err=True)
    columns = [name.strip() for name in groups.split(",") if name.strip()]
    found = policy.certify(measured, signing, groups=columns, strangers_per_probe=target, gallery=gallery, days=days)
    out.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(out, found.to_json())
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


@policy.command("sign")
@click.argument("new", type=FILE, required=False)
@click.option("--key", type=FILE, help="Who signs; by default the operator: ledger.key in the data folder.")
@DATA
@DATABASE
@click.option("--old", type=FILE, help="The policy before, from a file, where the data folder is not at hand.")
def policy_sign(new: Path | None, key: Path | None, data: Path, database: str | None, old: Path | None) -> None:
    """Sign that the policy NEW follows the one in force; a server accepts it at its next start.

    Without NEW: policy.toml in the data folder, else the policy that came with this version of Countenance. The
    signature is written beside NEW, with .change added to its name.
    """
    from countenance import policy as rules
    from countenance.gallery import open_ledger
    from countenance.ledger import SigningKey

    if old is not None and (new is None or key is None):
        raise click.UsageError("--old needs NEW and --key")
    following = rules.policy_of_server(data, new)
    if old is not None:
        before = rules.load_policy(old)
    else:
        with open_ledger(data, database) as ledger:
            before = rules.in_force_now(ledger)
    if following.digest == before.digest:
        click.echo(f"policy {before.name}, version {before.version}, is in force already: nothing to sign")
        return
    signing = SigningKey.load(key or data / "ledger.key")
    change = rules.sign_change(before, following, signing)
    rules.check_change(before, following, change, signing.verifying)
    out = rules.change_file(data, new)
    out.write_text(change.to_json(), encoding="utf-8")
    click.echo(rules.describe_policy(following))
    click.echo(f"signed by {signing.name}: follows {before.name}, version {before.version}; written to {out}")


@policy.command("show")
@DATA
@DATABASE
@click.option("--toml", is_flag=True, help="Print the policy itself.")
def policy_show(data: Path, database: str | None, toml: bool) -> None:
    """Say which policy is in force, by the ledger of a server."""
    from countenance.gallery import open_ledger
    from countenance.policy import describe_policy, in_force_now

    with open_ledger(data, database) as ledger:
        found = in_force_now(ledger)
    click.echo(found.text if toml else describe_policy(found), nl=not toml)


@policy.command("history")
@DATA
@DATABASE
@AS_JSON
def policy_history(data: Path, database: str | None, as_json: bool) -> None:
    """List the policies that were ever in force, each checked against its signature and the one before it."""
    from countenance.gallery import open_ledger
    from countenance.ledger import Kind, timestamp
    from countenance.policy import enacted

    with open_ledger(data, database) as ledger:
        found = enacted(ledger.records(kinds=[Kind.POLICY, Kind.KEY]), ledger.first_key())
    if as_json:
        print_json([{"record": one.index, "since": timestamp(one.since), **one.change.said} for one in found])
        return
    for one in found:
        click.echo(
            f"record {one.index:>6}  since {one.since:%Y-%m-%d %H:%M} UTC  {one.policy.name}, version "
            f"{one.policy.version} ({one.policy.digest[:16]}), signed by {one.change.signer.name}"
        )
    click.echo(f"{len(found)} in all; each signature holds, and each follows the one before" if found else "none yet")
