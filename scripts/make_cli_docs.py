"""Write docs/cli.md from the commands themselves.

    python scripts/make_cli_docs.py

A test fails when the page and the commands disagree.
"""

from pathlib import Path

import click

from countenance.cli import main

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"


def page() -> str:
    """The whole page: every command with its help, in the order of the alphabet."""
    parts = [
        "# Commands and options",
        "",
        "Made by `scripts/make_cli_docs.py`; do not edit. Exit status: 0 done, 2 the input was wrong, 1 our fault, 130",
        "interrupted. Errors are one line on standard error.",
    ]
    for name, command in [("countenance", main), *walk("countenance", main)]:
        context = click.Context(
            command, info_name=name, max_content_width=100, terminal_width=100, help_option_names=["-h", "--help"]
        )
        parts += ["", f"## {name}", "", "```text", command.get_help(context), "```"]
    return "\n".join(parts) + "\n"


def walk(prefix: str, group: click.Group) -> list[tuple[str, click.Command]]:
    """Every command below a group, groups first."""
    found: list[tuple[str, click.Command]] = []
    for name, command in sorted(group.commands.items()):
        found.append((f"{prefix} {name}", command))
        if isinstance(command, click.Group):
            found += walk(f"{prefix} {name}", command)
    return found


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
