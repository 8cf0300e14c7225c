"""The guide to iPads names every setting as the code has it: what brings it, and from which iPadOS on."""

from pathlib import Path

from fleet.channels.apple.payloads import CARRIED_BY, Means
from profiles.key import APPLE
from profiles.unmet import SINCE
from profiles.vocabulary import VOCABULARY

GUIDE = Path(__file__).parents[2] / "fleet" / "docs" / "ipad.md"
FIRST = 15  # declarative management
WORDS = {
    Means.PROFILE: "profile",
    Means.DECLARATION: "declaration",
    Means.COMMAND: "command",
    Means.SET_UP: "set-up",
    Means.REPORT: "the server judges",
}


def rows() -> list[str]:
    """Return the table's lines."""
    return [
        f"| `{name}` | {key.title['en']} | {WORDS[CARRIED_BY[name]]} | {SINCE.get(name, FIRST)} |"
        if APPLE in key.sources
        else f"| `{name}` | {key.title['en']} | not on iPads | none |"
        for name, key in VOCABULARY.items()
    ]


def test_the_guides_table_is_what_the_code_does() -> None:
    told = [line for line in GUIDE.read_text().splitlines() if line.startswith("| `")]
    assert told == rows()
