"""What is refused of sets and plans of lessons, as sentences; see :mod:`fleet.cli.refusals`."""

from collections.abc import Mapping
from types import MappingProxyType

from fleet.cli.wording import Data, Words, see

_OPTIONS: Mapping[str, str] = MappingProxyType(
    {"apps": "--app", "hosts": "--web", "text": "--text", "locked": "--lock"}  # by what a set is told with them
)


def _bad_set(data: Data) -> str:
    reason, found, expected = data.get("reason"), data.get("found"), data.get("expected")
    if reason == "missing":
        return f"the set {found} needs at least one {_OPTIONS.get(str(expected), expected)}"
    if reason == "not for this kind":
        return f"the set {expected} takes no {_OPTIONS.get(str(found), found)}: leave it out"
    if reason == "lock":
        return f"a tablet is locked to one app, not to {found}: name one --app, or leave --lock out"
    if reason == "profile":
        return f"the set {found} does not go with this: give {expected}"
    named = "" if found is None else f" {found!r} is not understood:"
    return f"{reason}:{named} give {expected}"


def _no_set(data: Data) -> str:
    name, near, numbers = data.get("name"), data.get("nearest"), data.get("numbers")
    if numbers:
        return f"several sets are called {name}: give the number, one of {', '.join(map(str, numbers))}"
    help_ = f"; nearest: {', '.join(near)}" if near else f": {see('lessons sets list')} lists them"
    return f"no set that this class may have is called {name}{help_}"


def _set_state(data: Data) -> str:
    if data.get("reason") == "title":
        return f"a set called {data.get('name')} is shared there already: give another title, or withdraw that one"
    return f"set {data.get('id')} is withdrawn already"


def _bad_plan(data: Data) -> str:
    begins_at, ends_at = data.get("begins_at"), data.get("ends_at")
    told = {
        "past": f"the lesson would begin in the past ({data.get('on')}): give a later time or date",
        "too long": f"the school's longest lesson is {data.get('longest_min')} minutes: plan a shorter one",
        "holder": f"account {data.get('account_id')} may not teach the class: name one of its teachers",
        "no lesson": f"the plan has no lesson on {data.get('on')}: {see('lessons plan list')} says when it has",
        "not left out": f"the plan's lesson on {data.get('on')} is not left out",
        "outside school hours": (
            f"school is from {begins_at:%H:%M} to {ends_at:%H:%M} that day: plan a lesson inside"
            if begins_at is not None and ends_at is not None
            else "there is no school that day: plan another day"
        ),
    }
    return told.get(str(data.get("reason")), f"no lesson can be planned like this: give {data.get('expected')}")


def _plan_state(data: Data) -> str:
    told = {
        "another plan": f"plan {data.get('id')} has the class at that time: withdraw it, or leave the date out there",
        "begun": "the lesson has begun: end it instead",
        "taken back": "the lesson of that date was taken back shortly before it began: start one by hand",
        "withdrawn already": f"plan {data.get('id')} is withdrawn already",
    }
    return told.get(str(data.get("reason")), f"plan {data.get('id')} does not allow it: {data.get('reason')}")


BY_KIND: Mapping[tuple[str, str], Words] = MappingProxyType(
    {
        ("not-found", "lesson set"): _no_set,
        ("not-found", "lesson plan"): lambda data: (
            f"there is no plan {data.get('name')}: {see('lessons plan list')} lists them"
        ),
        ("conflict", "lesson set"): _set_state,
        ("conflict", "lesson plan"): _plan_state,
        ("invalid", "lesson set"): _bad_set,
        ("invalid", "lesson plan"): _bad_plan,
    }
)
