"""Instants as the schools' clocks show them; how people type them is :mod:`fleet.cli.moments`'."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import click

_TIMEZONE = "fleet.timezone"


def show_in(timezone: ZoneInfo) -> None:
    """Have the running command show instants in this zone; the machine's own until it is told."""
    click.get_current_context().meta[_TIMEZONE] = timezone


def local(instant: datetime) -> datetime:
    """Return an instant in the schools' local time."""
    context = click.get_current_context(silent=True)
    timezone = context.meta.get(_TIMEZONE) if context is not None else None
    return instant.astimezone(timezone)


def moment(instant: datetime) -> str:
    """Return an instant to the minute and as it can be typed."""
    return local(instant).strftime("%Y-%m-%d %H:%M")


def clock_time(instant: datetime, day: date, *, to_the_second: bool = False) -> str:
    """Return an instant of a local day as the clock shows it; of another day with its date."""
    shown = local(instant)
    if shown.date() != day:
        return moment(instant)
    return shown.strftime("%H:%M:%S" if to_the_second else "%H:%M")
