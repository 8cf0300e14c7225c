"""``fleet lessons show``: a lesson with its tablets while they arrive, and the receipt afterwards."""

import time
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

import click

from fleet import clock
from fleet.access import Principal
from fleet.cli.lessons_sets import named
from fleet.cli.local_time import clock_time, local, moment
from fleet.cli.output import json_option, ready_app, show_json, show_table
from fleet.db import reading
from fleet.lessons import views
from fleet.lessons.forecast import FORECAST_S
from fleet.lessons.models import Lesson
from fleet.lessons.promises import Instead, Less
from fleet.lessons.views import Row, Stage, State, View
from profiles.key import APPLE, HEADWIND, NATIVE

_COLUMNS = ["tablet", "pupil", "state", "since", "note"]
_EVERY_S = 2.0

# As they are told, and in the order in which they are listed: who is still to come first.
_STATES: Mapping[State, str] = {
    State.STRAGGLER: "not back yet",
    State.WAITING: "waiting",
    State.FETCHED: "fetched",
    State.FAILED: "failed",
    State.TAKEN: "taken",
    State.UNSEEN: "unseen",
    State.ELSEWHERE: "elsewhere",
    State.ABSENT: "absent",
    State.RELEASED: "released",
    State.APPLIED: "applied",
    State.BACK: "back",
    State.UNTOUCHED: "had nothing",
    State.GONE: "gone",
}
_ORDER = list(_STATES)
_KINDS: Mapping[str, str] = {APPLE: "iPadOS", HEADWIND: "Android", NATIVE: "Linux"}
_INSTEAD: Mapping[Instead, str] = {
    Instead.HIDES_OTHERS: "not locked to it; the other apps are hidden",
    Instead.IN_CHROME: "in Chrome only; other browsers are hidden",
    Instead.KNOWN_ONLY: "apps that nobody names are not shown, but not closed either",
    Instead.ON_HOME_SCREEN: "on the home screen",
}
_ON_THE_WAY = (State.WAITING, State.FETCHED)
_OUT = (State.ABSENT, State.UNSEEN, State.ELSEWHERE, State.TAKEN, State.RELEASED, State.GONE)


def plain(lesson: Lesson, now: datetime) -> dict[str, Any]:
    """Return a lesson as it is written for programs."""
    return {
        "id": lesson.id,
        "class": lesson.school_class.title,
        "school": lesson.school_class.school.name,
        "set": named(lesson.given[-1].set),
        "stage": views.stage_of(lesson, now).value,
        "holder": lesson.holder.username if lesson.holder is not None else None,
        "plan": lesson.plan_id,
        "starts_at": lesson.starts_at,
        "ends_at": lesson.ends_at,
        "ended_at": lesson.ended_at,
        "everybody": lesson.takes_unseen,
    }


def plain_view(found: View, now: datetime) -> dict[str, Any]:
    """Return a lesson and how many tablets stand how in it, as it is written for programs."""
    sums = {"meant": found.meant, "arrived": found.arrived, "expected": found.expected, "touched": found.touched}
    ends = {"end_needs_network": found.needing_network, "cut_off": len(found.cut_off)}
    return {**plain(found.lesson, now), **sums, "counts": found.counts, **ends}


def plain_less(one: Less) -> dict[str, Any]:
    """Return what tablets of a channel have less of a lesson than its set says, as it is written for programs."""
    return {"channel": one.channel, "tablets": one.count, "instead": dict(one.instead), "missing": list(one.missing)}


def lacking(one: Less) -> str:
    """Return the same in one line."""
    parts = [f"{name}: {_INSTEAD[how]}" for name, how in one.instead.items()]
    parts += [f"not in force: {', '.join(one.missing)}"] if one.missing else []
    return f"{some(one.count)} on {_KINDS[one.channel]}: {'; '.join(parts)}"


def lasts(starts_at: datetime, ends_at: datetime) -> str:
    """Return when a lesson is, such as ``2026-09-14 10:15-11:00``."""
    return f"{moment(starts_at)}-{clock_time(ends_at, local(starts_at).date())}"


def some(count: int, thing: str = "tablet") -> str:
    """Return so many things."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def summed_up(found: View) -> str:
    """Return how a lesson stands, in one line."""
    if found.stage is Stage.CANCELLED:
        return "it was taken back before it began"
    if found.stage is Stage.OVER:
        never = _counted(found, (State.UNTOUCHED,))
        late = f", {found.counts[State.STRAGGLER]} not yet" if found.counts.get(State.STRAGGLER) else ""
        back = f"{found.counts.get(State.BACK, 0)} of {some(found.touched)} back at base{late}"
        return f"{back}; {never}" if never else back
    if found.stage is Stage.PLANNED:
        told = f"{some(found.meant)} will have it"
    else:
        told = f"{found.arrived} of {some(found.meant)} have it"
    parts = (_counted(found, (*_ON_THE_WAY, State.FAILED)), _counted(found, _OUT))
    words = ("", "not in it: ")
    away = [f"{len(found.cut_off)} out of contact may stay in it"] if found.cut_off else []
    return "; ".join([told, *(word + part for word, part in zip(words, parts, strict=True) if part), *away])


def _counted(found: View, states: Iterable[State]) -> str:
    return ", ".join(f"{found.counts[one]} {_STATES[one]}" for one in states if found.counts.get(one))


def _plain_row(row: Row) -> dict[str, Any]:
    other = row.other
    return {
        "serial": row.serial,
        "asset_tag": row.asset_tag,
        "pupil": row.pupil,
        "state": row.state.value,
        "since": row.since,
        "last_seen_at": row.last_seen_at,
        "other": None if other is None else {
            "id": other.lesson_id, "class": other.class_title, "holder": other.holder, "is_over": other.is_over,
        },
        "failures": list(row.failures),
        "forecast_percent": row.forecast_percent,
        "channel": row.channel,
        "end_needs_network": row.needs_network,
        "away_since": row.away_since,
    }  # fmt: skip


def _told_row(row: Row, day: date) -> dict[str, Any]:
    """Return a tablet as a line of the table."""
    return {
        "tablet": row.asset_tag or row.serial,
        "pupil": row.pupil,
        "state": _STATES[row.state],
        "since": clock_time(row.since, day, to_the_second=True) if row.since is not None else None,
        "note": _note(row, day),
    }


def _note(row: Row, day: date) -> str | None:
    """Return what a teacher asks next about a tablet in this state."""
    told = _usual_note(row, day)
    if row.away_since is None:
        return told
    away = f"no contact since {clock_time(row.away_since, day)}; keeps the lesson until it has network"
    return f"{told}; {away}" if row.state is State.FAILED else away


def _usual_note(row: Row, day: date) -> str | None:
    if row.state is State.FAILED:
        return "; ".join(f"{one.get('key')}: {one.get('reason')}" for one in row.failures)
    if row.state is State.ELSEWHERE:
        return "outside the school's networks"
    if row.state is State.TAKEN and row.other is not None:
        return f"by {_lesson(row)}"
    if row.state in {State.WAITING, State.UNSEEN, State.STRAGGLER}:
        heard = clock_time(row.last_seen_at, day) if row.last_seen_at is not None else "never"
        return f"last report {heard}"
    if row.state in {State.FETCHED, State.APPLIED} and row.other is not None:
        leaves = f"goes at {clock_time(row.leaves_at, day)} to" if row.leaves_at is not None else None
        return f"{leaves or 'came from'} {_lesson(row)}"
    return None


def _lesson(row: Row) -> str:
    other = row.other
    assert other is not None  # noqa: S101 (who calls has looked)
    return f"lesson {other.lesson_id} of {other.class_title}" + (f" ({other.holder})" if other.holder else "")


def _listed(found: View) -> list[Row]:
    return sorted(found.rows, key=lambda row: _ORDER.index(row.state))  # stable: by pupil within a state


def _is_settled(found: View) -> bool:
    """Whether nothing more is waited for: all have it, or all are back."""
    if found.stage is Stage.PLANNED:
        return False
    return found.arrived == found.meant and not found.counts.get(State.STRAGGLER)


def _write(found: View, now: datetime, *, as_json: bool) -> None:
    row = plain_view(found, now)
    if as_json:
        show_json({**row, "tablets": [_plain_row(one) for one in _listed(found)]})
        return
    held = f"held by {found.lesson.holder.name}" if found.lesson.holder is not None else "started on the server"
    forecast = f"forecast: {found.expected} within {FORECAST_S} s"
    day = local(found.lesson.starts_at).date()
    click.echo(f"lesson {row['id']}: {row['class']}, {row['school']}; {row['set']}")
    click.echo(f"{lasts(row['starts_at'], row['ends_at'])}, {row['stage']}; {held}; {forecast}")
    click.echo(summed_up(found))
    if found.rows:
        click.echo()
        show_table((_told_row(one, day) for one in _listed(found)), _COLUMNS, as_json=False)


@click.command()
@click.argument("lesson_id", metavar="ID", type=int)
@click.option("--watch", is_flag=True, help="Look again every 2 seconds until all have it, or all are back; then show.")
@json_option
def show(lesson_id: int, *, watch: bool, as_json: bool) -> None:
    """Show a lesson, tablet by tablet; afterwards who is back at base, and first who is not."""
    app, by = ready_app(), Principal.command_line()
    with app.app_context():
        told = None
        try:
            while watch:
                with reading():
                    found = views.view(lesson_id, by=by, now=(now := clock.now()))
                    line = summed_up(found)
                if not as_json and line != told:
                    click.echo(f"{local(now):%H:%M:%S}  {line}")
                    told = line
                if _is_settled(found):
                    break
                time.sleep(_EVERY_S)
        except KeyboardInterrupt:  # seen enough: how it stands is shown all the same
            click.echo(err=True)
        if told is not None:
            click.echo()
        with reading():
            now = clock.now()
            _write(views.view(lesson_id, by=by, now=now), now, as_json=as_json)
