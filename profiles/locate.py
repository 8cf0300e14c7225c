"""Where in a TOML or JSON text a setting stands, so that an error can name the line.

Only good enough to point: the text was parsed by a real parser before, or is about to be refused by one.
"""

import re

_HEADER = re.compile(r"\s*\[\[?\s*([^\]\[]+?)\s*\]\]?\s*(#.*)?")
_PAIR = re.compile(r"\s*((?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'))*)\s*=")
_JSON_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"(\s*:)?|[{}\[\]]|\n')


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
    """Return the 1-based line of every name, dotted by nesting; the first where one stands twice.

    Names inside the object ``settings`` are given without it, as they are in TOML.
    """
    found: dict[str, int] = {}
    outer: list[str] = []
    last, number = "", 1
    for token in _JSON_TOKEN.finditer(text):
        if token[0] == "\n":
            number += 1
        elif token[0] in "{[":
            outer.append(last)
        elif token[0] in "}]":
            last = outer.pop() if outer else ""
        elif token[2] is not None:
            parent = outer[-1] if outer else ""
            last = f"{parent}.{token[1]}" if parent not in {"", "settings"} else token[1]
            found.setdefault(last, number)
            number += token[2].count("\n")
    return found


def line_of(name: str, lines: dict[str, int]) -> int | None:
    """Return the line of ``name``, or of the nearest table around it."""
    while name:
        if name in lines:
            return lines[name]
        name = name.rpartition(".")[0]
    return None
