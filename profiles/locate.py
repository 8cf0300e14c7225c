"""Where in a TOML or JSON text a setting stands, so that an error can name the line.

Only good enough to point: the text was parsed by a real parser before, or is about to be refused by one.
"""

import re

_HEADER = re.compile(r"\s*\[\[?\s*([^\]\[]+?)\s*\]\]?\s*(#.*)?")
_PAIR = re.compile(r"\s*((?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'))*)\s*=")
_JSON_NAME = re.compile(r'"((?:[^"\\]|\\.)*)"\s*:')


def _dotted(text: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in text.split("."))


def toml_lines(text: str) -> dict[str, int]:
    """Return the 1-based line of every table and key, by dotted name; the first where one stands twice."""
    found: dict[str, int] = {}
    table, closing = "", None
    for number, line in enumerate(text.splitlines(), 1):
        if closing is not None:  # inside a text of several lines
            closing = None if closing in line else closing
            continue
        for quotes in ('"""', "'''"):
            if line.count(quotes) % 2:
                closing = quotes
        if header := _HEADER.fullmatch(line):
            table = _dotted(header[1])
            found.setdefault(table, number)
        elif pair := _PAIR.match(line):
            found.setdefault(f"{table}.{_dotted(pair[1])}".lstrip("."), number)
    return found


def json_lines(text: str) -> dict[str, int]:
    """Return the 1-based line of every name, as written; the first where one stands twice."""
    found: dict[str, int] = {}
    for match in _JSON_NAME.finditer(text):
        found.setdefault(match[1], text.count("\n", 0, match.start()) + 1)
    return found
