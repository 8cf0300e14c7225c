"""From and until for each weekday, as forms have them: of school, and of the after-school programme."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time

from fleet.schools.calendar import Hours
from fleet.web import words_calendar
from fleet.web.texts import translated as _

WEEK = range(7)
Faults = dict[str, str]


@dataclass(frozen=True, slots=True)
class TypedHours:
    """The hours' form: for each weekday from and until, as typed."""

    pairs: Mapping[int, tuple[str, str]]

    @staticmethod
    def of(values: Mapping[str, str]) -> "TypedHours":
        """Return what a form says."""
        return TypedHours({day: (values.get(f"from-{day}", "")[:5], values.get(f"to-{day}", "")[:5]) for day in WEEK})

    def read(self) -> tuple[dict[int, Hours | None], Faults]:
        """Return the hours by weekday (None: nothing typed), and what is wrong by field."""
        found: dict[int, Hours | None] = {}
        faults: Faults = {}
        for day, (first, last) in self.pairs.items():
            if not first and not last:
                found[day] = None
                continue
            begins, ends = _time(first), _time(last)
            if begins is None or ends is None or begins >= ends:
                words = _("%(day)s: write both times, the later one last.", day=words_calendar.weekday(day))
                faults[f"from-{day}"] = words
            else:
                found[day] = begins, ends
        return found, faults


def _time(told: str) -> time | None:
    try:
        return time.fromisoformat(told).replace(second=0, microsecond=0, tzinfo=None)
    except ValueError:
        return None
