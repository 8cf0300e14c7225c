"""The guide to Android tablets names every setting as the code has it: what brings it, and from which Android on."""

from pathlib import Path

from fleet.channels.headwind.means import CARRIED_BY, Means
from profiles.android import SINCE
from profiles.vocabulary import VOCABULARY

GUIDE = Path(__file__).parents[2] / "fleet" / "docs" / "android.md"
FIRST = 8  # that the agent runs on
WORDS = {
    Means.RESTRICTION: "restriction",
    Means.POLICY: "policy",
    Means.APPS: "list of apps",
    Means.CHROME: "Chrome",
    Means.SET_UP: "set-up",
    Means.REPORT: "the server judges",
}


def rows() -> list[str]:
    """Return the table's lines."""
    return [
        f"| `{name}` | {key.title['en']} | {WORDS[CARRIED_BY[name]]} | {SINCE.get(name, FIRST)} |"
        if name in CARRIED_BY
        else f"| `{name}` | {key.title['en']} | not on Android | none |"
        for name, key in VOCABULARY.items()
    ]


def test_the_guides_table_is_what_the_code_does() -> None:
    section = GUIDE.read_text().partition("## What each setting does on an Android tablet\n")[2].partition("\n## ")[0]
    assert [line for line in section.splitlines() if line.startswith("| `")] == rows()
