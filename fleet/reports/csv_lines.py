"""Rows as a spreadsheet reads them from a text: semicolons and a mark of UTF-8, as Norwegian spreadsheets expect.

A semicolon goes with a decimal comma: a number with decimals is written with one, or the spreadsheet would take "18.4"
for a day in April. What looks like a number and is none (a version) is made text by whoever writes the row, with a word
before it ("iPadOS 18.4"): an apostrophe would be seen, and ="18.4" is a formula where formulas are not read.

Invariants: the text comes in pieces, so its length costs no memory; a cell that a spreadsheet would take for a formula
is made text.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence

# What begins a formula in a spreadsheet. Source: https://owasp.org/www-community/attacks/CSV_Injection
# Signs of full width are taken for the same ones, and what cannot be seen may stand before them.
_FORMULA = re.compile("[\t\r\n]|[\\s\x00-\x1f\u200b\u2060\ufeff]*[-=+@\uff1d\uff0b\uff0d\uff20]")
_MARK = "\ufeff"
_CHUNK_SIGNS = 16_384  # written together: a row each would cost more in sending than in reading


def written(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Return the text piece by piece.

    Args:
        header: the first line.
        rows: the others, asked for one by one; None is an empty cell.
    """
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
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value
