"""Commands for API keys: who may call the server."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from countenance.cli.common import AS_JSON, DATA, DATABASE, OneLine, print_json
from countenance.cli.serve import settings_of, with_settings

if TYPE_CHECKING:
    from countenance.policy import Policy
    from countenance.service.keyring import ApiKey
    from countenance.service.settings import Settings

__all__ = ["DATA", "DATABASE", "keys"]


@click.group(cls=OneLine)
def keys() -> None:
    """API keys: make, list and revoke them. A running server knows at once; the ledger keeps that it happened."""


@keys.command("create")
@click.option("--role", required=True, metavar="ROLE", help="reader, operator, auditor or admin.")
@click.option("--purpose", "purposes", multiple=True, metavar="NAME", help="A purpose of the policy; may be repeated.")
@click.option("--actor", metavar="CLASS", help="Whose it is: police, government, school, company or private.")
@click.option("--label", default="", metavar="TEXT", help="What it is for, in a few words; not a person's name.")
@click.option("--endpoint", metavar="URL", help="Where clients reach the server; by default as its settings say.")
@with_settings("data", "database", "policy")
@AS_JSON
def keys_create(
    role: str,
    purposes: tuple[str, ...],
    actor: str | None,
    label: str,
    endpoint: str | None,
    as_json: bool,
    file: Path | None,
    **flags: Any,
) -> None:
    """Make a key and print what sets a client up with it. The secret is shown this once."""
    from countenance.gallery import open_gallery
    from countenance.service.keyring import KeyRing

    settings = settings_of(file, flags)
    endpoint = endpoint or _endpoint(settings)
    rules = _policy(settings)
    with open_gallery(settings.data, settings.database) as gallery:
        key = KeyRing(settings.data).issue(role, purposes, actor, label, policy=rules, ledger=gallery.ledger)
    for note in _notes(key, rules):
        click.echo(f"note: {note}", err=True)
    if as_json:
        print_json(key.to_json() | {"secret": key.secret, "endpoint": endpoint})
        return
    click.echo(f"key {key.key_id}, {_says(key)}; the secret is shown this once", err=True)
    click.echo(f"export AWS_ACCESS_KEY_ID={key.key_id}")
    click.echo(f"export AWS_SECRET_ACCESS_KEY={key.secret}")
    click.echo(f"export AWS_ENDPOINT_URL_REKOGNITION={endpoint}")
    click.echo(f"export AWS_DEFAULT_REGION={settings.region}")


@keys.command("list")
@with_settings("data")
@AS_JSON
def keys_list(file: Path | None, as_json: bool, **flags: Any) -> None:
    """List all keys, without their secrets."""
    from countenance.service.keyring import KeyRing

    data = settings_of(file, flags).data
    found = KeyRing(data).keys()
    if as_json:
        print_json([key.to_json() for key in found])
    elif not found:
        click.echo(f"no keys in {data}; `countenance keys create` makes one")
    for key in () if as_json else found:
        click.echo(f"{key.key_id}  {_says(key)}")


@keys.command("revoke")
@click.argument("key_id")
@with_settings("data", "database")
def keys_revoke(key_id: str, file: Path | None, **flags: Any) -> None:
    """End the key KEY_ID, at once and for good."""
    from countenance.gallery import open_gallery
    from countenance.service.keyring import KeyRing

    settings = settings_of(file, flags)
    with open_gallery(settings.data, settings.database) as gallery:
        KeyRing(settings.data).revoke(key_id, ledger=gallery.ledger)
    click.echo(f"revoked {key_id}")


@keys.command("signer")
@with_settings("data")
def keys_signer(file: Path | None, **flags: Any) -> None:
    """Print the public key of this server's operator: what others trust in their policies and check the ledger with."""
    from countenance.ledger import SigningKey

    click.echo(str(SigningKey.load(settings_of(file, flags).data / "ledger.key").verifying))


def _policy(settings: "Settings") -> "Policy":
    """The policy in force for a data folder."""
    from countenance.policy import load_policy, shipped_policy

    own = settings.data / "policy.toml"
    if settings.policy is None and not own.exists():
        return shipped_policy()
    return load_policy(settings.policy or own)


def _endpoint(settings: "Settings") -> str:
    """Where a server with these settings is reached from its own machine."""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::", "") else settings.host  # noqa: S104
    return f"{'https' if settings.tls_cert else 'http'}://{f'[{host}]' if ':' in host else host}:{settings.port}"


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
