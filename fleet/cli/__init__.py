"""The ``fleet`` command: one module per noun, nouns found by name and loaded when asked for.

A noun's module offers ``group``, a click group of the noun's name; ``doctor`` is a command. Output rules live in
:mod:`fleet.cli.output`: every list and show has ``--json``, errors are one line without a traceback, exit codes are
stable (0 done, 1 refused or failed, 2 wrong use, 3 not found, 4 braked, 5 invalid file).
"""

import importlib

import click

from fleet.cli.output import ErrorsAsLines

NOUNS = {
    "absences": "which pupils are away",
    "alerts": "who hears of what, by which mail server",
    "android": "Android tablets and their agent",
    "apple": "certificates for iPads, and how they stand",
    "apps": "what the apps are that profiles name",
    "audit": "who did what",
    "assignments": "who shall have which profile",
    "classes": "basic and teaching groups",
    "database": "create and upgrade the database, move it to another",
    "devices": "tablets",
    "doctor": "whether everything the server stands on is sound",
    "findings": "what is worth a look, and what is done about it",
    "images": "wallpapers and signs that profiles name",
    "incidents": "many tablets silent for one reason",
    "jobs": "scheduled work",
    "lessons": "a class has a set for a while",
    "municipalities": "many municipalities behind one front door",
    "orders": "one-off wishes to tablets",
    "people": "accounts and roles",
    "profiles": "apps, restrictions and settings",
    "questions": "where silent tablets are",
    "reports": "how tablets fare over time, as tables and files",
    "roster": "schools, classes and people from a file",
    "rules": "what is worth a look about a tablet",
    "server": "run the server",
    "schools": "schools and their calendar",
    "tickets": "rights to enrol",
    "webhooks": "other programs that are told of events",
}


class Nouns(ErrorsAsLines):
    """The top command: knows the nouns without importing them, so that one noun starts fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (as click calls it)
        """Return the nouns."""
        return sorted(NOUNS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 (as click calls it)
        """Load the noun's module and return its group."""
        if cmd_name not in NOUNS:
            return None
        group: click.Command = importlib.import_module(f"fleet.cli.{cmd_name}").group
        return group

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 (as click calls it)
        """Write the nouns with a line each, without importing them."""
        with formatter.section("Nouns"):
            formatter.write_dl(sorted(NOUNS.items()))


@click.command(cls=Nouns)
def main() -> None:
    """Look after the schools' tablets from the server's own command line."""
