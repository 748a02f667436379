"""Commands for API keys: who may call the server."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from countenance.cli.common import AS_JSON, FILE, OneLine, print_json

if TYPE_CHECKING:
    from countenance.policy import Policy
    from countenance.service.keyring import ApiKey

DATA = click.option(
    "--data",
    type=FILE,
    default=Path("countenance-data"),
    show_default=True,
    envvar="COUNTENANCE_DATA",
    help="The server's data folder.",
)
DATABASE = click.option(
    "--database",
    metavar="URL",
    envvar="COUNTENANCE_DATABASE",
    help="The server's PostgreSQL database; by default SQLite in the data folder.",
)


@click.group(cls=OneLine)
def keys() -> None:
    """API keys: make, list and revoke them. A running server knows at once; the ledger keeps that it happened."""


@keys.command("create")
@click.option("--role", required=True, metavar="ROLE", help="reader, operator, auditor or admin.")
@click.option("--purpose", "purposes", multiple=True, metavar="NAME", help="A purpose of the policy; may be repeated.")
@click.option("--actor", metavar="CLASS", help="Whose it is: police, government, school, company or private.")
@click.option("--label", default="", metavar="TEXT", help="What it is for, in a few words; not a person's name.")
@click.option(
    "--policy", type=FILE, help="The policy; by default policy.toml in the data folder, else the shipped one."
)
@click.option("--endpoint", default="http://127.0.0.1:8370", show_default=True, help="Where the server listens.")
@DATA
@DATABASE
@AS_JSON
def keys_create(
    role: str,
    purposes: tuple[str, ...],
    actor: str | None,
    label: str,
    policy: Path | None,
    endpoint: str,
    data: Path,
    database: str | None,
    as_json: bool,
) -> None:
    """Make a key and print what sets a client up with it. The secret is shown this once."""
    from countenance.gallery import open_gallery
    from countenance.service.keyring import KeyRing

    rules = _policy(data, policy)
    with open_gallery(data, database) as gallery:
        key = KeyRing(data).issue(role, purposes, actor, label, policy=rules, ledger=gallery.ledger)
    for note in _notes(key, rules):
        click.echo(f"note: {note}", err=True)
    if as_json:
        print_json(key.to_json() | {"secret": key.secret, "endpoint": endpoint})
        return
    click.echo(f"key {key.key_id}, {_says(key)}; the secret is shown this once", err=True)
    click.echo(f"export AWS_ACCESS_KEY_ID={key.key_id}")
    click.echo(f"export AWS_SECRET_ACCESS_KEY={key.secret}")
    click.echo(f"export AWS_ENDPOINT_URL_REKOGNITION={endpoint}")
    click.echo("export AWS_DEFAULT_REGION=us-east-1")


@keys.command("list")
@DATA
@AS_JSON
def keys_list(data: Path, as_json: bool) -> None:
    """List all keys, without their secrets."""
    from countenance.service.keyring import KeyRing

    found = KeyRing(data).keys()
    if as_json:
        print_json([key.to_json() for key in found])
    elif not found:
        click.echo(f"no keys in {data}; `countenance keys create` makes one")
    for key in () if as_json else found:
        click.echo(f"{key.key_id}  {_says(key)}")


@keys.command("revoke")
@click.argument("key_id")
@DATA
@DATABASE
def keys_revoke(key_id: str, data: Path, database: str | None) -> None:
    """End the key KEY_ID, at once and for good."""
    from countenance.gallery import open_gallery
    from countenance.service.keyring import KeyRing

    with open_gallery(data, database) as gallery:
        KeyRing(data).revoke(key_id, ledger=gallery.ledger)
    click.echo(f"revoked {key_id}")


@keys.command("signer")
@DATA
def keys_signer(data: Path) -> None:
    """Print the public key of this server's operator: what others trust in their policies and check the ledger with."""
    from countenance.ledger import SigningKey

    click.echo(str(SigningKey.load(data / "ledger.key").verifying))


def _policy(data: Path, given: Path | None) -> "Policy":
    """The policy in force for a data folder."""
    from countenance.policy import load_policy, shipped_policy

    own = given or data / "policy.toml"
    return load_policy(own) if given or own.exists() else shipped_policy()


def _notes(key: "ApiKey", policy: "Policy") -> list[str]:
    notes = [
        f"the policy {policy.name} refuses the purpose {purpose}: {policy.purposes[purpose].why}"
        for purpose in key.purposes
        if not policy.purposes[purpose].allowed
    ]
    if not key.purposes and policy.key_defaults is None and policy.may(key.role, "search"):
        notes.append("without a purpose, this key cannot search or enrol; give one with --purpose")
    return notes


def _says(key: "ApiKey") -> str:
    """What a key is, in a line."""
    parts = [key.role, ", ".join(key.purposes) or "no purpose", key.actor or "no class of actor", key.label]
    ended = "" if key.revoked is None else f"; revoked {key.revoked:%Y-%m-%d %H:%M} UTC"
    return "; ".join(part for part in parts if part) + f"; issued {key.issued:%Y-%m-%d %H:%M} UTC{ended}"
