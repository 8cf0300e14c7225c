"""Commands that guides and README tell people to type: each is there, with every option it is told with."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from fleet.cli import main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "fleet" / "docs").glob("*.md"))]


def told(page: Path) -> Iterator[str]:
    """Return the commands that a page tells, each once, as they are typed."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^\$ (?:scripts/)?fleet ([^\n]+)", text, re.MULTILINE)
    found += [f"municipalities {one}" for one in re.findall(r"^\$ (?:\w+=\S+ )?fleets ([^\n]+)", text, re.MULTILINE)]
    found += re.findall(r"`scripts/fleet ([^`]+)`", text)
    yield from sorted({" ".join(one.partition(" #")[0].split()) for one in found})


def fault(words: str) -> str | None:
    """Return what is wrong with a command, None where nothing is."""
    command: click.Command | None = main
    context = click.Context(main)
    given = shlex.split(words)
    while given and isinstance(command, click.Group) and not given[0].startswith("-"):
        command = command.get_command(context, given[0])
        if command is None:
            return f"no command {given[0]}"
        given.pop(0)
    assert command is not None
    known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
    return next((f"no option {one}" for one in given if one.startswith("--") and one not in known), None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_told_is_there(page: Path) -> None:
    assert {one: fault(one) for one in told(page) if fault(one) is not None} == {}


def test_commands_are_found_in_the_pages() -> None:
    assert sum(len(list(told(page))) for page in PAGES) > 50


def test_what_is_not_there_is_found() -> None:
    assert fault("android eat --ticket X") == "no command eat"
    assert fault("android qr --ticket X --colour blue") == "no option --colour"
    assert fault("android qr --ticket X --wifi skole-elev") is None
