"""Lists as files for a spreadsheet: semicolons and a mark of UTF-8, as Norwegian spreadsheets expect.

Not here: what stands in them. A cell that a spreadsheet would take for a formula is made text.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from flask import Response

# What begins a formula in a spreadsheet. Source: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_MARK = "\ufeff"


def respond(file_name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Response:
    """Return a file to be saved.

    Args:
        file_name: what it is called, ASCII.
        header: the first line.
        rows: the others; None is an empty cell.
    """
    written = io.StringIO()
    writer = csv.writer(written, delimiter=";", lineterminator="\r\n")
    writer.writerow([_cell(one) for one in header])
    writer.writerows([_cell(one) for one in row] for row in rows)
    answer = Response(_MARK + written.getvalue(), mimetype="text/csv")
    answer.headers["Content-Disposition"] = f'attachment; filename="{file_name}"'
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
