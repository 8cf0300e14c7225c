"""Lists as files for a spreadsheet: semicolons and a mark of UTF-8, as Norwegian spreadsheets expect.

A semicolon goes with a decimal comma: a number with decimals is written with one, or the spreadsheet would take "18.4"
for a day in April. What looks like a number and is none (a version) is made text by whoever writes the row, with a word
before it ("iPadOS 18.4"): an apostrophe would be seen, and ="18.4" is a formula where formulas are not read.

Invariants: a file leaves as it is read, so its length costs no memory; a cell that a spreadsheet would take for a
formula is made text. Not here: what stands in them.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from datetime import date

from flask import Response, stream_with_context

# What begins a formula in a spreadsheet. Source: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_LETTERS = str.maketrans({"æ": "ae", "ø": "o", "å": "a", "Æ": "Ae", "Ø": "O", "Å": "A", "đ": "d", "ŧ": "t", "ŋ": "n"})
_LONGEST_NAME = 80
_MARK = "\ufeff"
_CHUNK_SIGNS = 16_384  # written together: a row each would cost more in sending than in reading


def named(*parts: str, on: date) -> str:
    """Return a file's name of what is in it and a day: in ASCII, without spaces, not too long."""
    told = "-".join(parts).translate(_LETTERS)
    plain = unicodedata.normalize("NFKD", told).encode("ascii", "ignore").decode()
    return f"{re.sub('[^A-Za-z0-9]+', '-', plain).strip('-')[:_LONGEST_NAME].rstrip('-')}-{on:%Y-%m-%d}.csv"


def respond(file_name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """Return a file to be saved, written while it is sent.

    Args:
        file_name: what it is called, ASCII.
        header: the first line.
        rows: the others, asked for one by one within the request; None is an empty cell.
    """
    answer = Response(stream_with_context(_written(header, rows)), mimetype="text/csv")
    answer.headers["Content-Disposition"] = f'attachment; filename="{file_name}"'
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _written(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    page = io.StringIO()
    writer = csv.writer(page, delimiter=";", lineterminator="\r\n")
    page.write(_MARK)
    writer.writerow([_cell(one) for one in header])
    for row in rows:
        writer.writerow([_cell(one) for one in row])
        if page.tell() > _CHUNK_SIGNS:
            yield page.getvalue()
            page.seek(0)
            page.truncate()
    yield page.getvalue()


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, float):
        return str(value).replace(".", ",")
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
