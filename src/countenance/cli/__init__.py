"""The command line: parse, call, print. No logic lives here.

Exit status: 0 done, 2 the user's input was wrong, 1 our fault, 130 interrupted. Errors are one line on standard error.
"""

import click

from countenance import __version__
from countenance.cli.certificates import certificate, certify, policy
from countenance.cli.common import OneLine
from countenance.cli.keys import keys
from countenance.cli.ledger import ledger
from countenance.cli.measure import audit, plan, schema
from countenance.cli.people import consent, forget
from countenance.cli.photos import compare, detect, embed, models
from countenance.cli.searching import review, search
from countenance.cli.serve import backup, restore, serve

__all__ = ["main"]


@click.group(cls=OneLine, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="countenance")
def main() -> None:
    """Face recognition that answers for itself.

    Start with `countenance audit`: it needs no photos and writes a report you can open.
    """


for command in (
    audit,
    plan,
    schema,
    embed,
    detect,
    compare,
    models,
    certify,
    certificate,
    policy,
    keys,
    serve,
    backup,
    restore,
    search,
    review,
    forget,
    consent,
    ledger,
):
    main.add_command(command)
