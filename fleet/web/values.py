"""What an address or a form tells: a number, an instant, a day; None where it tells none."""

from datetime import date, datetime

from fleet.schools.calendar_editing import is_plausible


def whole(told: str | None) -> int | None:
    """Return a number as the database can hold it."""
    return int(told) if told is not None and told.isascii() and told.isdecimal() and len(told) <= 9 else None


def local_time(told: str | None) -> datetime | None:
    """Return a time with or without its zone, if it is near enough to be meant.

    Near the ends of what a datetime can say there is no reckoning with zones.
    """
    try:
        found = datetime.fromisoformat(told or "")
    except ValueError:
        return None
    return found if is_plausible(found.date()) else None


def instant_of(told: str | None) -> datetime | None:
    """Return an instant: a time with its zone."""
    found = local_time(told)
    return found if found is not None and found.tzinfo is not None else None


def date_of(told: str | None) -> date | None:
    """Return a day that is near enough to be meant."""
    try:
        found = date.fromisoformat(told or "")
    except ValueError:
        return None
    return found if is_plausible(found) else None
