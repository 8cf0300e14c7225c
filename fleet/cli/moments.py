"""Dates and times as people type them: Norwegian (01.12.2026 14:30) or ISO 8601 (2026-12-01T14:30)."""

import re
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import click

from fleet.schools.calendar_editing import FIRST_YEAR, LAST_YEAR

_NORWEGIAN = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})")
_CLOCK = re.compile(r"(\d{1,2})[.:](\d{2})")
_FORMS = ("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M%z", "%Y-%m-%dT%H:%M:%S%z")


def _parsed(told: str) -> datetime | None:
    """Return the time that was typed, naive where it names no zone; None where it is none."""
    day, _, hour = " ".join(told.split()).replace(" kl. ", " ").replace(" kl ", " ").partition(" ")
    if (found := _NORWEGIAN.fullmatch(day)) is not None:
        day = f"{found[3]}-{int(found[2]):02}-{int(found[1]):02}"
        if (clock := _CLOCK.fullmatch(hour)) is not None:
            hour = f"{int(clock[1]):02}:{clock[2]}"
    for form in _FORMS:
        try:
            moment = datetime.strptime(f"{day}T{hour}" if hour else day, form)  # noqa: DTZ007 (made aware by instant)
        except ValueError:
            continue
        return moment if FIRST_YEAR <= moment.year <= LAST_YEAR else None
    return None


class Moment(click.ParamType[datetime]):
    """A local date with or without a time; a date alone is its first minute."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return what was typed; :func:`instant` makes it an instant."""
        found = value if isinstance(value, datetime) else _parsed(str(value))
        if found is None:
            self.fail(
                f"{value!r} is no time from {FIRST_YEAR} to {LAST_YEAR}: write a date, and a clock time after it where "
                "it matters, such as 01.12.2026, 01.12.2026 14:30 or 2026-12-01T14:30",
                param, ctx,
            )  # fmt: skip
        return found


class Day(click.ParamType[date]):
    """A local date."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Return the date."""
        if isinstance(value, date):
            return value
        found = _parsed(str(value)) if not re.search(r"[T :]", str(value).strip()) else None
        if found is None:
            self.fail(
                f"{value!r} is no date from {FIRST_YEAR} to {LAST_YEAR}: write one such as 01.12.2026 or 2026-12-01",
                param, ctx,
            )  # fmt: skip
        return found.date()


class Clock(click.ParamType[time]):
    """A local time of day."""

    name = "HH:MM"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> time:
        """Return the time of day."""
        if isinstance(value, time):
            return value
        found = _CLOCK.fullmatch(str(value).strip())
        hour, minute = (int(found[1]), int(found[2])) if found is not None else (24, 0)
        if hour >= 24 or minute >= 60:
            self.fail(f"{value!r} is no time of day: write one such as 10:15", param, ctx)
        return time(hour, minute)


def instant(moment: datetime | None, timezone: ZoneInfo) -> datetime | None:
    """Return what was typed as an instant: in the schools' local time where it names no zone."""
    if moment is None or moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=timezone)
