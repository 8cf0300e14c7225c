"""What is refused of lessons, their sets and plans, as sentences; see :mod:`fleet.cli.refusals`."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from fleet.cli.local_time import moment
from fleet.cli.wording import Data, Words, always, see

# What a set is told, by the options that tell it.
_OPTIONS = {"apps": "--apps or --exam", "hosts": "--web", "text": "a text after --eyes", "locked": "--locked"}


def _at(instant: object) -> str:
    return moment(instant) if isinstance(instant, datetime) else "then"


def _no_number(noun: str, listing: str) -> Words:
    return lambda data: f"there is no {noun} {data.get('name')}: {see(listing)} lists them"


# -- lessons -----------------------------------------------------------------------------------------------------------


def _bad_lesson(data: Data) -> str:
    reason = str(data.get("reason"))
    if "before now" in reason:
        return f"the lesson would end before now: end it with {see('lessons end ID')}"
    if "before it begins" in reason:
        return f"the lesson would end before it begins, at {_at(data.get('until'))}: give a later --until, or --minutes"
    if "colleague" in reason:
        account = data.get("account")
        return f"{account} may not sign in or has no role at this school: {see(f'people show {account}')} says which"
    return reason


def _outside_hours(data: Data) -> str:
    begins_at, ends_at = data.get("begins_at"), data.get("ends_at")
    hours = (
        f"school is from {begins_at:%H:%M} to {ends_at:%H:%M} that day" if begins_at and ends_at else "no school then"
    )
    return f"{hours}: a lesson at another time needs the permission {data.get('permission')}"


def _too_long(data: Data) -> str:
    why = {
        "longest": f"the school's longest lesson: {see('schools longest-lesson SCHOOL')}",
        "school-day": "the school day ends then",
    }.get(str(data.get("because")), "the school has decided so")
    return f"a lesson may last until {_at(data.get('latest'))} at most ({why})"


def _over(data: Data) -> str:
    return f"lesson {data.get('lesson_id')} is over since {_at(data.get('ended_at'))}"


def _no_lesson_tablet(data: Data) -> str:
    lesson_id, place = data.get("lesson_id"), data.get("place")
    look = f"{see(f'lessons show {lesson_id}')} lists them"
    if place is None:
        return f"not every one of these tablets is in lesson {lesson_id}: {look}"
    if data.get("reason") == "several":
        return f"name {place} is an asset tag of several tablets of lesson {lesson_id}: give the serial; {look}"
    return f"name {place} means no tablet of lesson {lesson_id}: give serials, asset tags or pupils' user names; {look}"


# -- sets --------------------------------------------------------------------------------------------------------------


def _no_set(data: Data) -> str:
    name, near, numbers = data.get("name"), data.get("nearest"), data.get("numbers")
    if numbers:
        return f"several sets are called {name}: give the number, one of {', '.join(map(str, numbers))}"
    help_ = f"; nearest: {', '.join(near)}" if near else f": {see('lessons sets list CLASS')} lists them"
    return f"no set that this class may have is called {name}{help_}"


def _bad_set(data: Data) -> str:
    reason, found, expected = data.get("reason"), data.get("found"), data.get("expected")
    if reason == "missing":
        return f"a set of the kind {found} needs {_OPTIONS.get(str(expected), expected)}"
    if reason == "not for this kind":
        return f"{_OPTIONS.get(str(found), found)} does not go with a set of the kind {expected}: leave it out"
    if reason == "lock":
        return f"a tablet is locked to one app, not to {found}: name one, or leave --locked out"
    if reason == "profile":
        return f"a set of the kind {found} does not go with this: give {expected}"
    named = f" {found} is not understood:" if found else ""
    return f"{reason}:{named} give {expected}"


def _set_state(data: Data) -> str:
    if data.get("reason") == "title":
        return f"a set called {data.get('name')} is shared there already: give another title, or withdraw that one"
    return f"set {data.get('id')} is withdrawn already"


# -- plans -------------------------------------------------------------------------------------------------------------


def _bad_plan(data: Data) -> str:
    told = {
        "past": f"the lesson would begin in the past ({data.get('on')}): give a later time or date",
        "too long": f"the school's longest lesson is {data.get('longest_min')} minutes: plan a shorter one",
        "outside school hours": _outside_hours(data),
        "holder": f"account {data.get('account_id')} may not teach the class: name one of its teachers",
        "no lesson": f"the plan has no lesson on {data.get('on')}: {see('lessons plan list')} says when it has",
        "not left out": f"the plan's lesson on {data.get('on')} is not left out",
    }
    return told.get(str(data.get("reason")), f"no lesson can be planned like this: give {data.get('expected')}")


def _plan_state(data: Data) -> str:
    number = data.get("id")
    told = {
        "another plan": f"plan {number} has the class at that time: withdraw it, or leave the date out there",
        "begun": f"that lesson has begun: end it with {see('lessons end ID')}",
        "taken back": "the lesson of that date was taken back shortly before it began: start one by hand",
        "withdrawn already": f"plan {number} is withdrawn already",
    }
    return told.get(str(data.get("reason")), f"plan {number} does not allow it: {data.get('reason')}")


BY_CODE: Mapping[str, Words] = MappingProxyType(
    {"outside-school-hours": _outside_hours, "too-long": _too_long, "lesson-over": _over}
)

BY_KIND: Mapping[tuple[str, str], Words] = MappingProxyType(
    {
        ("not-found", "lesson"): _no_number("lesson", "lessons list --over"),
        ("not-found", "tablet in the lesson"): _no_lesson_tablet,
        ("not-found", "lesson set"): _no_set,
        ("not-found", "lesson plan"): _no_number("plan", "lessons plan list"),
        ("conflict", "lesson"): lambda data: f"{data.get('reason')}: nobody would have the lesson",
        ("conflict", "lesson set"): _set_state,
        ("conflict", "lesson plan"): _plan_state,
        ("invalid", "lesson"): _bad_lesson,
        ("invalid", "lesson set"): _bad_set,
        ("invalid", "lesson plan"): _bad_plan,
        # Of the pages only: a form that was not filled in on them.
        ("invalid", "form"): always("what the form says cannot be read: open the page again"),
    }
)
