"""What our words for lessons are called on a page. Each table is total over its enumeration."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from flask_babel import ngettext

from fleet import clock
from fleet.lessons.endings import Ending
from fleet.lessons.forecast import Kind
from fleet.lessons.models import LessonSet, Part, SetKind
from fleet.lessons.promises import Instead, Less
from fleet.lessons.sets import Offer
from fleet.lessons.views import Candidate, Other, Row, Stage, State
from fleet.web import formats
from fleet.web.formats import NOTHING, ago, hour, minute
from fleet.web.texts import table
from fleet.web.texts import translated as _
from fleet.web.words import BAD, GOOD, NEUTRAL, WAITING, Told, failures, setting_name
from profiles.key import APPLE, HEADWIND, NATIVE

_NAMED = 3
_SETTINGS = 8
_LIKELY = 50  # percent, from which a tablet is said to be ready
_SAME_DAY = timedelta(hours=12)  # an hour without a date is understood for so long


def stage(one: Stage) -> Told:
    """Say where a lesson is in its life."""
    return {
        Stage.PLANNED: Told(_("Planned"), NEUTRAL),
        Stage.RUNNING: Told(_("Running"), GOOD),
        Stage.OVER: Told(_("Over"), NEUTRAL),
        Stage.CANCELLED: Told(_("Cancelled"), NEUTRAL),
    }[one]


@table
def _states() -> dict[State, Told]:
    return {
        State.WAITING: Told(_("Waiting for it"), WAITING),
        State.FETCHED: Told(_("Has fetched it"), NEUTRAL),
        State.APPLIED: Told(_("Has it"), GOOD),
        State.FAILED: Told(_("Has it, but not all of it"), BAD),
        State.ABSENT: Told(_("Absent"), NEUTRAL),
        State.UNSEEN: Told(_("Not heard from today"), WAITING),
        State.ELSEWHERE: Told(_("Not on the school's network"), WAITING),
        State.TAKEN: Told(_("Went to another lesson"), WAITING),
        State.RELEASED: Told(_("Released"), NEUTRAL),
        State.GONE: Told(_("No longer the class's tablet"), NEUTRAL),
        State.BACK: Told(_("Back"), GOOD),
        State.STRAGGLER: Told(_("Not back yet"), WAITING),
        State.UNTOUCHED: Told(_("Untouched"), NEUTRAL),
    }


def state(one: State) -> Told:
    """Say how a tablet stands in a lesson."""
    return _states()[one]


@table
def _short_states() -> dict[State, str]:
    return {
        State.WAITING: _("waits"),
        State.FETCHED: _("fetches"),
        State.APPLIED: _("has it"),
        State.FAILED: _("not all"),
        State.ABSENT: _("absent"),
        State.UNSEEN: _("not heard"),
        State.ELSEWHERE: _("elsewhere"),
        State.TAKEN: _("taken"),
        State.RELEASED: _("let go"),
        State.GONE: _("gone"),
        State.BACK: _("back"),
        State.STRAGGLER: _("not back"),
        State.UNTOUCHED: _("untouched"),
    }


def short_state(row: Row) -> str:
    """Say the same in a word or two, as it fits under a face."""
    if row.state is State.TAKEN and row.other is not None:
        return _("in %(title)s", title=row.other.class_title)
    if _is_away(row):
        return _("no contact")
    return _short_states()[row.state]


def face_kind(row: Row) -> str:
    """Return by which name the style sheet knows how a tablet stands in a lesson."""
    return "away" if _is_away(row) else row.state.value


def _is_away(row: Row) -> bool:
    """Whether it is told of a tablet in a lesson that it is out of contact; after the lesson it is told as not back."""
    return row.away_since is not None and row.state is not State.STRAGGLER


def ready(one: Candidate) -> str:
    """Say in a word or two how a pupil's tablet stands before the start."""
    if one.part is Part.UNSEEN:
        return _("not heard")
    if one.part is Part.ELSEWHERE:
        return _("elsewhere")
    return _("ready") if one.forecast is not None and one.forecast.percent >= _LIKELY else _("asleep")


def ready_kind(one: Candidate) -> str:
    """Return by which name the style sheet knows how a pupil's tablet stands before the start."""
    if one.part in {Part.UNSEEN, Part.ELSEWHERE}:
        return one.part.value
    return "ready" if one.forecast is not None and one.forecast.percent >= _LIKELY else "asleep"


def sort(name: str) -> str:
    """Name an order of the faces."""
    return {"name": _("By name"), "state": _("By state")}[name]


def explained(row: Row) -> str:
    """Say more of a tablet in a lesson: why, since when, and what it means; empty where its state says it all."""
    since = hour(row.since) if row.since is not None else ""
    other = row.other
    away = [_away(row.away_since)] if row.away_since is not None else []
    if row.state is State.FAILED:
        return "; ".join([*failures(row.failures), *away])
    if away:
        return away[0]
    if row.state is State.TAKEN and other is not None:
        return _taken(other)
    return _by_state(row.state, since, row.last_seen_at)


def _by_state(one: State, since: str, last_seen_at: datetime | None) -> str:
    match one:
        case State.WAITING | State.STRAGGLER:
            return _heard(last_seen_at)
        case State.UNSEEN:
            return _("%(heard)s; bring it in if the pupil is here", heard=_heard(last_seen_at))
        case State.ELSEWHERE:
            return _("it asks from outside the school and is left alone; bring it in if the pupil is here")
        case State.ABSENT | State.RELEASED:
            return _("since %(time)s", time=since)
        case State.BACK:
            return _("at %(time)s", time=since)
    return ""


def _away(at: datetime) -> str:
    time = hour(at) if clock.now() - at < _SAME_DAY else minute(at)
    return _("no contact since %(time)s; keeps the lesson until it has network", time=time)


def _heard(at: datetime | None) -> str:
    return _("last heard from %(when)s", when=ago(at)) if at is not None else _("never heard from")


def _taken(by: Other) -> str:
    if by.is_over:
        return _("The lesson of %(title)s is over.", title=by.class_title)
    if by.holder is None:
        return _("%(title)s has the pupil.", title=by.class_title)
    return _("%(title)s with %(teacher)s has the pupil.", title=by.class_title, teacher=by.holder)


def set_title(one: LessonSet) -> str:
    """Name a set as its teacher did; one of which nothing was told by its kind."""
    return set_kind(one.kind) if one.title == one.kind.value else one.title


def set_about(one: LessonSet) -> str:
    """Say what a set does where its title does not say it; that it is a profile of the school helps nobody choose."""
    told = set_kind(one.kind)
    return "" if one.kind is SetKind.PROFILE or told == set_title(one) else told


def set_options(offers: Sequence[Offer]) -> list[tuple[int, str]]:
    """Return sets as a list to choose from."""
    return [(one.set.id, set_title(one.set)) for one in offers]


def set_content(one: LessonSet) -> str:
    """Say what a quick set is made of, after its kind."""
    told = [*one.params.get("apps", ()), *one.params.get("hosts", ())]
    if one.params.get("text"):
        told.append(one.params["text"])
    return f"{set_kind(one.kind)}: {', '.join(told)}" if told else set_kind(one.kind)


def weekday(one: int) -> str:
    """Name a weekday."""
    return formats.weekday(one)


def set_kind(one: SetKind) -> str:
    """Say what a set of this kind does."""
    return {
        SetKind.PROFILE: _("The school's profile"),
        SetKind.APPS: _("Only these apps"),
        SetKind.WEB: _("Only these web addresses"),
        SetKind.EYES: _("Eyes on me"),
        SetKind.EXAM: _("Exam"),
    }[one]


def source(profile: str, version: int | None, titles: Mapping[str, str]) -> str:
    """Name where a setting comes from: a profile by its title, a quick set (it has no version) by its kind."""
    return titles.get(profile, profile) if version is not None else set_kind(SetKind(profile))


def offer_reason(why: str) -> str:
    """Say why a set is offered."""
    return {
        "last-used": _("used last"),
        "suggested": _("suits the class"),
        "shared": _("from the school"),
        "own": _("your own"),
    }[why]


def ending(one: Ending) -> str:
    """Say what an end is."""
    return {
        "bell": _("%(number)s min, the bell", number=one.minutes),
        "later-bell": _("%(number)s min, the bell", number=one.minutes),
        "usual": _("the usual end"),
        "minutes": _("%(number)s min", number=one.minutes),
        "school-day": _("end of the school day"),
        "longest": _("the longest allowed"),
    }[one.why]


def part(one: Candidate) -> str:
    """Say why a pupil's tablet will not be in a lesson; empty where it will."""
    return {
        Part.UNSEEN: _heard(one.polled_at),
        Part.ELSEWHERE: _("not on the school's network"),
    }.get(one.part, "")


def band(name: str) -> str:
    """Name a band of forecasts, such as ``70-79``."""
    return f"{name.replace('-', NOTHING)} %"


def _pupil(one: Candidate) -> str:
    name = one.pupil or one.serial
    return f"{name} ({_heard(one.polled_at)})" if one.part is Part.UNSEEN else name


def pupils(ones: Sequence[Candidate]) -> str:
    """Name the first of some pupils that are left out, and say how many more there are."""
    return first_of([_pupil(one) for one in ones])


def first_of(names: Sequence[str], most: int = _NAMED) -> str:
    """Tell the first of some names, and how many more there are."""
    told = ", ".join(names[:most])
    more = len(names) - most
    return _("%(names)s and %(number)s more", names=told, number=more) if more > 0 else told


def _so_many(one: Less) -> str:
    told = {
        APPLE: ngettext("%(num)d iPad", "%(num)d iPads", one.count),
        HEADWIND: ngettext("%(num)d Android tablet", "%(num)d Android tablets", one.count),
        NATIVE: ngettext("%(num)d Linux tablet", "%(num)d Linux tablets", one.count),
    }
    return str(told[one.channel])


def less(one: Less) -> str:
    """Say what so many tablets of one kind have less of a lesson than its set says."""
    ways = set(one.instead.values())
    if Instead.HIDES_OTHERS in ways:
        ways.discard(Instead.KNOWN_ONLY)  # that others are hidden is said then
    told = [_instead(how) for how in Instead if how in ways]
    if one.missing:
        told.append(
            _("not in force: %(names)s", names=first_of([setting_name(name) for name in one.missing], _SETTINGS))
        )
    return f"{_so_many(one)}: {'; '.join(told)}"


def less_short(one: Less) -> str:
    """Say that they have less."""
    return _("%(tablets)s: not all of it", tablets=_so_many(one))


def lacking(one: Less | None) -> dict[str, str]:
    """Say the same of one tablet, setting by setting."""
    if one is None:
        return {}
    missing = dict.fromkeys(one.missing, _("not in force on this tablet"))
    return missing | {name: _instead(how) for name, how in one.instead.items()}


def _instead(how: Instead) -> str:
    return {
        Instead.HIDES_OTHERS: _("cannot be locked to one app; the other apps are hidden"),
        Instead.IN_CHROME: _("only in Chrome; other browsers are hidden"),
        Instead.KNOWN_ONLY: _("apps that we do not know of are not shown, but not closed either"),
        Instead.ON_HOME_SCREEN: _("the text stands on the home screen"),
    }[how]


def forecast_kind(name: str) -> str:
    """Say how tablets stood when a lesson began."""
    return {
        Kind.WAITING: _("waited for news"),
        Kind.SOON: _("were to ask soon"),
        Kind.LATER: _("were to ask later"),
        Kind.LATE: _("some moments late"),
        Kind.ASLEEP: _("asleep for some minutes"),
        Kind.SILENT: _("silent for long"),
        Kind.NOT_TODAY: _("not heard from today"),
        Kind.NEVER: _("never heard from"),
        Kind.ELSEWHERE: _("not on the school's network"),
    }[Kind(name)]
