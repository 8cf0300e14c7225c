"""Who writes a report where no page is: the application gives a writer that has the words, jobs and commands use it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fleet.reports.models import Format
from fleet.reports.sheet import Sheet

EXTENSION = "fleet_report_writer"  # in the application's extensions


@dataclass(frozen=True, slots=True)
class Wish:
    """What a writer is asked: the sheet, as what, in which language and where."""

    sheet: Sheet
    format: Format
    language: str
    path: Path
    now: datetime
    tell: Callable[[int], None] = lambda _rows: None


Writer = Callable[[Wish], str]  # returns what the file is to be called
