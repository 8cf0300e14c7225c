"""Numbers, instants and sizes as people read them, in the page's language and the schools' local time."""

from datetime import date, datetime, timedelta
from typing import Any

from babel import dates, numbers
from flask import Flask, current_app

from fleet import clock
from fleet.config import Config
from fleet.web.texts import locale
from fleet.web.texts import translated as _

NOTHING = "\u2013"  # a dash where there is no value
_JUST_NOW_S = 60


def install(app: Flask) -> None:
    """Give templates these formats as filters."""
    app.jinja_env.filters.update(ago=ago, duration=duration, instant=instant, minute=minute, iso=iso, number=number)
    app.jinja_env.filters.update(
        gigabytes=gigabytes, file_size=file_size, percent=percent, clock_time=clock_time, hour=hour, day=day
    )


def ago(moment: datetime) -> str:
    """Return how long ago ``moment`` was, such as "for 3 minutter siden"; less than a minute is "now"."""
    passed_s = (clock.now() - moment).total_seconds()
    if passed_s < _JUST_NOW_S:
        return _("just now")
    return dates.format_timedelta(timedelta(seconds=-passed_s), add_direction=True, locale=locale())


def duration(seconds: float) -> str:
    """Return a length of time, such as "2 minutter"."""
    return dates.format_timedelta(timedelta(seconds=seconds), locale=locale())


def instant(moment: datetime) -> str:
    """Return date and time of day, local."""
    config: Config = current_app.extensions["fleet_config"]
    return dates.format_datetime(moment, "medium", tzinfo=config.timezone, locale=locale())


def minute(moment: datetime) -> str:
    """Return date and time of day, local, without seconds: for what somebody chose."""
    config: Config = current_app.extensions["fleet_config"]
    on = dates.format_date(moment.astimezone(config.timezone), "medium", locale=locale())
    return f"{on} {hour(moment)}"


def local_minute(told: datetime) -> str:
    """Return date and time of day of a moment that is told without a zone, as it is meant: local."""
    config: Config = current_app.extensions["fleet_config"]
    return minute(told.replace(tzinfo=config.timezone))


def clock_time(moment: datetime) -> str:
    """Return the time of day, local, with seconds."""
    config: Config = current_app.extensions["fleet_config"]
    return dates.format_time(moment, "medium", tzinfo=config.timezone, locale=locale())


def hour(moment: datetime) -> str:
    """Return the time of day, local, without seconds."""
    config: Config = current_app.extensions["fleet_config"]
    return dates.format_time(moment, "short", tzinfo=config.timezone, locale=locale())


def day(on: date) -> str:
    """Return a date with its weekday, such as "mandag 14. september"."""
    return dates.format_date(on, _("EEEE d MMMM"), locale=locale())


def weekday(one: int, *, is_short: bool = False) -> str:
    """Return the name of a weekday (0 Monday … 6 Sunday)."""
    names = dates.get_day_names("abbreviated" if is_short else "wide", context="stand-alone", locale=locale())
    return str(names[one])


def iso(moment: datetime) -> str:
    """Return ``moment`` for a ``datetime`` attribute."""
    return moment.isoformat(timespec="seconds")


def number(value: float) -> str:
    """Return a number with the language's separators."""
    return numbers.format_decimal(value, locale=locale())


def percent(part: float) -> str:
    """Return a share from 0 to 1 as whole percent."""
    return numbers.format_percent(part, locale=locale())


def gigabytes(size_bytes: float) -> str:
    """Return a size in GB (10^9 bytes, as makers of tablets count) with one decimal."""
    return f"{numbers.format_decimal(round(size_bytes / 1e9, 1), locale=locale())} GB"


def file_size(size_bytes: float) -> str:
    """Return the size of a file in MB (10^6 bytes), or in GB where it has that many, with one decimal."""
    if size_bytes >= 1e9:
        return gigabytes(size_bytes)
    return f"{numbers.format_decimal(max(0.1, round(size_bytes / 1e6, 1)), locale=locale())} MB"


def plain(value: Any) -> str:
    """Return a setting's value as text."""
    if value is True:
        return _("yes")
    if value is False:
        return _("no")
    if isinstance(value, list | tuple):
        return ", ".join(plain(item) for item in value) or NOTHING
    if isinstance(value, dict):
        return ", ".join(f"{name}: {plain(item)}" for name, item in value.items())
    return NOTHING if value is None else number(value) if isinstance(value, int | float) else str(value)
