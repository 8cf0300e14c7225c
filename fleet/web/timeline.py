"""Everything that happened to a tablet as one list, newest first, a page at a time.

Each source is asked for a bounded number of what came before an instant. A page ends where the source that was cut off
earliest ends: so nothing is missing in between, and the next page begins there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from flask_babel import ngettext

from fleet import orders
from fleet.access import Principal
from fleet.assignments import leases, library
from fleet.audit import AuditEntry
from fleet.checkins import queries as checkins
from fleet.checkins.models import CheckIn
from fleet.compliance import queries as compliance
from fleet.compliance.models import Finding
from fleet.devices import history
from fleet.devices.models import Device
from fleet.people import names
from fleet.reports import keeping
from fleet.web import words, words_lessons, words_rules, words_tablets
from fleet.web.audit_lines import places
from fleet.web.formats import clock_time
from fleet.web.texts import translated as _

MOST = 60  # of each source
MOST_CHECK_INS = 250
_GOOD, _BAD, _PLAIN = "good", "bad", "plain"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened; ``who`` is told as ``Principal.name`` does until :func:`page` names people."""

    at: datetime
    icon: str
    title: str
    detail: str = ""
    tone: str = _PLAIN
    who: str = ""
    applied: str | None = None
    is_check_in: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Some events, newest first, and from where the next page goes on (None: there is nothing older)."""

    events: Sequence[Event]
    onwards: datetime | None


def page(device: Device, *, before: datetime, by: Principal, now: datetime) -> Page:
    """Return what happened before an instant; at most thirteen statements."""
    sources = [
        (_check_ins(device, before, now), MOST_CHECK_INS),
        *((source, MOST) for source in _others(device, before, by)),
    ]
    floors = [min(event.at for event in found) for found, most in sources if len(found) >= most]
    floor = max(floors, default=None)
    merged = [event for found, _most in sources for event in found if event.at < before and event.at <= now]
    shown = [event for event in merged if floor is None or event.at > floor]
    if not shown:  # all at the very instant where a source was cut off
        shown = [event for event in merged if floor is None or event.at >= floor]
    shown.sort(key=lambda event: event.at, reverse=True)
    known = names.of({event.who for event in shown})
    told = [replace(event, who=known.get(event.who, "")) for event in _gathered(shown)]
    return Page(told, min((event.at for event in shown), default=None) if floor is not None else None)


def _others(device: Device, before: datetime, by: Principal) -> Iterator[list[Event]]:
    found = compliance.history(device.id, before=before, limit=MOST)
    yield list(_findings(found))
    yield list(_answers(found, before))
    yield list(_orders(device, before, by))
    yield list(_lessons(device, before))
    yield list(_enrolments(device, before))
    yield list(_holders(device, before, by))
    yield [
        Event(one.written_at, "note", _("A note was written"), one.text, who=one.written_by)
        for one in history.notes(device, by=by, before=before, limit=MOST)
    ]
    deeds = history.deeds(device, by=by, before=before, limit=MOST)
    moves = places(deeds)
    yield [_deed(one, moves) for one in deeds if one.action in _deeds()]
    state = device.state
    yield [Event(state.desired_at, "profile", _("What it shall have was changed"))] if state.desired_at else []


def _check_ins(device: Device, before: datetime, now: datetime) -> list[Event]:
    kept_since = now - keeping.keep("check_ins")
    found = checkins.latest(device, limit=MOST_CHECK_INS, since=kept_since, before=before)
    events = []
    for place, one in enumerate(found):
        older = found[place + 1] if place + 1 < len(found) else None
        if older is not None and one.applied_digest != older.applied_digest:
            events.append(_applied(one, device))
        events.append(Event(one.received_at, "check", _("Reported"), applied=one.applied_digest, is_check_in=True))
    return events


def _applied(one: CheckIn, device: Device) -> Event:
    is_present = one.applied_digest is not None and one.applied_digest == device.state.desired_digest
    title = _("Has the profile it shall have") if is_present else _("Has taken another profile")
    return Event(one.received_at, "profile", title, tone=_GOOD if is_present else _PLAIN)


def _gathered(events: Sequence[Event]) -> list[Event]:
    """Return events with check-ins that follow each other as one."""
    told: list[Event] = []
    run: list[Event] = []
    for event in [*events, None]:
        if event is not None and event.is_check_in:
            run.append(event)
            continue
        if run:
            told.append(_together(run))
            run = []
        if event is not None:
            told.append(event)
    return told


def _together(run: Sequence[Event]) -> Event:
    if len(run) == 1:
        return run[0]
    title = ngettext("Reported %(num)d time", "Reported %(num)d times", len(run))
    between = _("from %(first)s to %(last)s", first=clock_time(run[-1].at), last=clock_time(run[0].at))
    return replace(run[0], title=str(title), detail=between)


def _findings(found: Sequence[Finding]) -> Iterator[Event]:
    for one in found:
        title = words.finding_title(one.kind)
        yield Event(one.opened_at, "finding", title, words.finding_sentence(one), _BAD)
        if one.closed_at is not None and one.closed_by is None:
            yield Event(one.closed_at, "check", _("In order again: %(finding)s", finding=title), tone=_GOOD)


def _answers(found: Sequence[Finding], before: datetime) -> Iterator[Event]:
    """Tell what somebody did about findings, the newest of it."""
    titles = {one.id: words.finding_title(one.kind) for one in found}
    done = [event for one in found for event in one.events if event.at < before]
    for one in sorted(done, key=lambda event: event.at, reverse=True)[:MOST]:
        title = _("%(deed)s: %(finding)s", deed=words_rules.act(one.act), finding=titles[one.finding_id])
        yield Event(one.at, "note", title, one.note or "", who=one.by)


def _orders(device: Device, before: datetime, by: Principal) -> Iterator[Event]:
    for one in orders.listed(orders.Filter(device_id=device.id, before=before), by=by, limit=MOST):
        title, state = words_tablets.order_kind(one.kind), words_tablets.order_state(one.state)
        yield Event(one.queued_at, "order", _("Order: %(kind)s", kind=title), one.reason or "", who=one.wished_by)
        if one.ended_at is not None:
            tone = _BAD if state.colour == words.BAD else _GOOD if state.colour == words.GOOD else _PLAIN
            yield Event(one.ended_at, "order", f"{title}: {state.words}", one.detail or "", tone)


def _lessons(device: Device, before: datetime) -> Iterator[Event]:
    found = leases.history(device.id, before=before, limit=MOST)
    titles = library.titles({lease.profile for _stretch, lease in found})
    for stretch, lease in found:
        given = words_lessons.source(lease.profile, lease.version, titles)
        yield Event(stretch.starts_at, "lesson", _("Lesson in %(place)s began", place=lease.place), given)
        yield Event(stretch.ends_at, "lesson", _("Lesson in %(place)s ended", place=lease.place), given)


def _enrolments(device: Device, before: datetime) -> Iterator[Event]:
    for one in history.enrolments(device, before=before, limit=MOST):
        yield Event(one.enrolled_at, "qr", _("Enrolled"), tone=_GOOD)
        if one.ended_at is not None:
            yield Event(one.ended_at, "cross", _("The enrolment ended"))


def _holders(device: Device, before: datetime, by: Principal) -> Iterator[Event]:
    for one in history.holders(device, by=by, before=before, limit=MOST):
        person = one.person
        name = f"{person.given_name} {person.family_name}".strip() or _("A pupil who has left")
        yield Event(one.since, "person", _("%(pupil)s got the tablet", pupil=name))
        if one.until is not None:
            yield Event(one.until, "person", _("%(pupil)s does not have the tablet any more", pupil=name))


def _deeds() -> dict[str, tuple[str, str]]:
    """Return icon and words of what people do with tablets, by the audit's action; notes tell of themselves."""
    return {
        "devices.moved": ("arrow", _("Moved")),
        "devices.lost": ("pin", _("Reported lost")),
        "devices.found": ("check", _("Found again")),
        "devices.retire": ("cross", _("Taken out of use")),
        "devices.reinstate": ("check", _("Taken into use again")),
        "devices.revoked": ("cross", _("Its key was revoked")),
        "devices.tag-set": ("edit", _("The asset tag was changed")),
        "devices.note-removed": ("note", _("A note was removed")),
    }


def _deed(line: AuditEntry, moves: Mapping[int, str]) -> Event:
    icon, title = _deeds()[line.action]
    return Event(line.at, icon, title, moves.get(line.id, ""), who=f"{line.actor_kind}:{line.actor_id}")


def by_day(events: Sequence[Event], timezone: Any) -> list[tuple[datetime, list[Event]]]:
    """Return events by local day, with the day's first instant that is shown."""
    days: list[tuple[datetime, list[Event]]] = []
    for event in events:
        local = event.at.astimezone(timezone)
        if not days or days[-1][0].date() != local.date():
            days.append((local, []))
        days[-1][1].append(event)
    return days
