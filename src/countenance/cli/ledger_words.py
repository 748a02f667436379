"""What the commands of the ledger print of what they found."""

from typing import TYPE_CHECKING, Any

import click

from countenance.cli.common import print_json

if TYPE_CHECKING:
    from countenance.ledger import Checked, CheckedProof, Record, VerifyingKey

__all__ = ["record_line", "tell_checked", "tell_proof"]


def tell_checked(found: "Checked", as_json: bool) -> None:
    """What checking a whole log found to hold, and what it did not look at."""
    head = found.head
    if as_json:
        print_json(
            {
                "records": found.size,
                "root": found.root.hex(),
                "heads": found.heads,
                "last_head": head.size if head else None,
                "unsigned": found.unsigned,
                "erased": len(found.erased),
                "keys": [str(key) for key in found.keys],
                "key_compared": found.trusted,
                "heads_compared": found.kept,
            }
        )
        return
    click.echo(f"checked       {found.size:,} records, in order, every hash, and the tree over them")
    if head is not None:
        signed = f"{found.heads:,} signed head{'s' if found.heads > 1 else ''}"
        click.echo(f"checked       {signed}, the last over {head.size:,} records on {head.time:%Y-%m-%d %H:%M} UTC")
    if len(found.keys) > 1:
        times = "once" if len(found.keys) == 2 else f"{len(found.keys) - 1} times"
        click.echo(f"checked       the key was replaced {times}, each new one vouched for by the one before")
    if found.erased:
        click.echo(f"erased        {len(found.erased):,} records by retention, as later records say; their hashes hold")
    if found.unsigned:
        click.echo(f"not signed    {found.unsigned:,} records behind the last head: countenance ledger head")
    _tell_trust(found.keys, found.trusted)
    if found.kept:
        click.echo(f"compared      {_heads(found.kept)}: this log continues what was signed")
    else:
        click.echo("not compared  no head that was kept elsewhere: a log rewritten as a whole is not noticed (--head)")


def _heads(count: int) -> str:
    return f"{count} head{'s' if count > 1 else ''} kept elsewhere"


def _tell_trust(keys: "tuple[VerifyingKey, ...]", trusted: bool) -> None:
    if trusted:
        click.echo("compared      the key: it is the one you gave")
    else:
        click.echo(f"not compared  the key, {keys[-1]}: give the published one with --key")


def tell_proof(found: "CheckedProof", as_json: bool) -> None:
    """What a proof shows, and what was not compared."""
    if as_json:
        said: dict[str, Any] = {"kind": found.kind, "size": found.head.size, "root": found.head.root.hex()}
        said |= {"index": found.index, "from": found.first, "keys": [str(key) for key in found.keys]}
        print_json(said | {"key_compared": found.trusted, "heads_compared": found.kept})
        return
    when = f"{found.head.time:%Y-%m-%d %H:%M} UTC"
    if found.kind == "inclusion":
        click.echo(f"checked       record {found.index} is in the log of {found.head.size:,} records of {when}")
        click.echo(record_line(found.record) if found.record else "erased        what it said; its hash holds")
    else:
        click.echo(
            f"checked       the log of {found.head.size:,} records of {when} only adds to that of {found.first:,}"
        )
    _tell_trust(found.keys, found.trusted)
    if found.kept:
        click.echo(f"compared      {_heads(found.kept)}: the same root")
    if found.others:
        click.echo(f"not compared  {_heads(found.others)}: of another size than the proof speaks of")


def record_line(record: "Record") -> str:
    """A record on one line, for people; its own bytes say more."""
    e = record.entry
    said = [f"{record.index:>7}  {e.ended:%Y-%m-%d %H:%M:%S}  {e.kind:<11}  {e.actor}"]
    said += [part for part in (e.operation, e.purpose) if part]
    if e.gallery is not None:
        said.append(e.gallery + (f" ({e.gallery_size:,} faces)" if e.gallery_size is not None else ""))
    if e.candidates is not None:
        said.append(f"{e.candidates} candidates")
    if e.faces:
        said.append(f"{len(e.faces)} faces")
    said += [f"{e.rule}: {e.reason}" if e.rule and e.reason else part for part in [e.reason or e.rule] if part]
    keys = ("key", "done", "role", "name", "version", "first", "last")
    shown = {name: e.detail[name] for name in keys if name in e.detail}
    said += [f"{name} {value}" for name, value in shown.items()]
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in "  ".join(said))
