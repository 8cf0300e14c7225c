"""The list of all settings in README.md, written from the vocabulary: ``python -m profiles.listing``."""

from pathlib import Path

from profiles.digest import canonical
from profiles.key import Key
from profiles.vocabulary import VOCABULARY

COLUMNS = (
    "setting",
    "title and what it does",
    "what it may be",
    "where no layer says anything",
    "rule",
    "channels and their own keys",
)
_BEGIN, _END = "<!-- settings: written by profiles/listing.py -->\n", "<!-- end of settings -->\n"


def row(key: Key) -> tuple[str, ...]:
    """Return a setting's row."""
    default = "the tablet's own" if key.default is None else f"`{canonical(key.default).decode()}`"
    sources = "; ".join(f"{channel}: `{source}`" for channel, source in sorted(key.sources.items()))
    secret = " (secret)" if key.secret else ""
    title = f"{key.title['nb']} / {key.title['en']}. {key.help['en']}"
    return (f"`{key.name}`{secret}", title, key.kind.expected, default, key.rule.name, sources)


def table() -> str:
    """Return all settings as a Markdown table."""
    lines = [COLUMNS, tuple("---" for _ in COLUMNS), *(row(key) for key in VOCABULARY.values())]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def refreshed(text: str) -> str:
    """Return the guide with the list as the vocabulary has it now."""
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}{table()}{_END}{after}"


def main(guide: Path) -> None:
    """Write the list into the guide."""
    guide.write_text(refreshed(guide.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(Path(__file__).with_name("README.md"))
