"""Lists as files for a spreadsheet, sent to the browser while they are read.

Not here: how a row is written (:mod:`fleet.reports.csv_lines`), and what stands in it.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import date

from flask import Response, stream_with_context

from fleet.reports import csv_lines

_LETTERS = str.maketrans({"æ": "ae", "ø": "o", "å": "a", "Æ": "Ae", "Ø": "O", "Å": "A", "đ": "d", "ŧ": "t", "ŋ": "n"})
_LONGEST_NAME = 80


def named(*parts: str, on: date, ending: str = "csv") -> str:
    """Return a file's name of what is in it and a day: in ASCII, without spaces, not too long."""
    told = "-".join(parts).translate(_LETTERS)
    plain = unicodedata.normalize("NFKD", told).encode("ascii", "ignore").decode()
    return f"{re.sub('[^A-Za-z0-9]+', '-', plain).strip('-')[:_LONGEST_NAME].rstrip('-')}-{on:%Y-%m-%d}.{ending}"


def respond(file_name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """Return a file to be saved, written while it is sent.

    Args:
        file_name: what it is called, ASCII.
        header: the first line.
        rows: the others, asked for one by one within the request; None is an empty cell.
    """
    answer = Response(stream_with_context(csv_lines.written(header, rows)), mimetype="text/csv")
    answer.headers["Content-Disposition"] = f'attachment; filename="{file_name}"'
    answer.headers["Cache-Control"] = "no-store"
    return answer
