"""Silence in words: what an incident is and what most likely caused it, where a tablet may be, who is away."""

from datetime import date, datetime, timedelta

from babel import dates
from flask_babel import ngettext

from fleet.compliance.explaining import Explanation
from fleet.compliance.incidents import Told
from fleet.compliance.models import Answer, Finding, Incident, IncidentCause, IncidentMember
from fleet.compliance.quiet import Asked
from fleet.devices.models import Device
from fleet.schools.models import Absence
from fleet.web import words, words_calendar
from fleet.web.formats import NOTHING, day, hour, percent
from fleet.web.signed_in import timezone
from fleet.web.texts import locale
from fleet.web.texts import translated as _

_NAMED = 3  # classes of an incident; of more it says how many
_WEEK = timedelta(days=6)  # so long a weekday alone says which day


def away(one: Absence, today: date) -> str:
    """Say until when somebody is away."""
    if one.ends_on <= today:
        return _("Away today")
    return _("Away until %(day)s", day=words_calendar.stretch(one.ends_on, one.ends_on))


def tablet(device: Device) -> str:
    """Name a tablet as it is labelled."""
    return device.asset_tag or device.serial


def at(moment: datetime, now: datetime) -> str:
    """Tell an instant as one says it: "14:05" today, "Friday 14:05" within a week, else with its date."""
    local, here = moment.astimezone(timezone()), now.astimezone(timezone())
    if local.date() == here.date():
        return hour(moment)
    if here.date() - local.date() <= _WEEK:
        named = str(dates.get_day_names("wide", context="format", locale=locale())[local.weekday()])
        return _("%(day)s %(time)s", day=named, time=hour(moment))
    return _("%(day)s %(time)s", day=day(local.date()), time=hour(moment))


def when(moment: datetime, now: datetime) -> str:
    """Tell an instant within a sentence: "at 14:05" today, else as :func:`at`."""
    if moment.astimezone(timezone()).date() == now.astimezone(timezone()).date():
        return _("at %(time)s", time=hour(moment))
    return at(moment, now)


def answer(one: Answer) -> str:
    """Say what somebody answered about a tablet."""
    return {
        Answer.HERE: _("Here at school"),
        Answer.HOME: _("At home"),
        Answer.GONE: _("Gone"),
    }[one]


def answer_leads(one: Answer) -> str:
    """Say what an answer leads to."""
    return {
        Answer.HERE: _("It is asked about again if it is still silent after three school days."),
        Answer.HOME: _("It is asked about again if it is still silent on the next school day."),
        Answer.GONE: _("School IT hears of it at once."),
    }[one]


def cause(one: IncidentCause) -> str:
    """Say what most likely made tablets silent."""
    return {
        IncidentCause.CART: _("most likely the cart is shut away, or does not charge"),
        IncidentCause.CLASS: _("most likely the class is away, or its tablets are shut away"),
        IncidentCause.PROFILE: _("most likely something in the profile that they share, such as its Wi-Fi"),
        IncidentCause.NETWORK: _("most likely an access point or switch"),
        IncidentCause.SCHOOL: _("most likely the school's network or its line out"),
        IncidentCause.EVERYWHERE: _("most likely this server, or the network to it"),
    }[one]


def cause_title(one: IncidentCause) -> str:
    """Name what silent tablets have in common."""
    return {
        IncidentCause.CART: _("One cart"),
        IncidentCause.CLASS: _("One class"),
        IncidentCause.PROFILE: _("One profile"),
        IncidentCause.NETWORK: _("A part of the network"),
        IncidentCause.SCHOOL: _("A whole school"),
        IncidentCause.EVERYWHERE: _("Many schools"),
    }[one]


def what_to_do(one: IncidentCause) -> str:
    """Say where to look first."""
    return {
        IncidentCause.CART: _("See whether the cart is where it should be, and has power."),
        IncidentCause.CLASS: _("Ask the class's teacher. A class on a trip comes back by itself."),
        IncidentCause.PROFILE: _("Look at what was last published in the profile, and take it back if need be."),
        IncidentCause.NETWORK: _("See whether the access points and switches near these classes have power and light."),
        IncidentCause.SCHOOL: _("See whether other things at the school have network. If not, ask whoever runs it."),
        IncidentCause.EVERYWHERE: _("See whether this server can be reached from a school, and whether it was down."),
    }[one]


def place(told: Told) -> str:
    """Say where an incident is: "Classes 8A and 8B at Kjenn"."""
    one = told.incident
    school = one.school.name if one.school is not None else _("Several schools")
    if one.cause is IncidentCause.CART:
        return _("Cart %(cart)s at %(school)s", cart=one.about.get("cart", ""), school=school)
    named, number = list(told.classes.values()), len(one.about.get("class_ids", ()))
    if not number:
        return school
    if len(named) != number or number > _NAMED:
        return str(ngettext("%(num)d class at %(school)s", "%(num)d classes at %(school)s", number, school=school))
    if len(named) == 1:
        return _("Class %(title)s at %(school)s", title=named[0], school=school)
    titles = _("%(first)s and %(last)s", first=", ".join(named[:-1]), last=named[-1])
    return _("Classes %(titles)s at %(school)s", titles=titles, school=school)


def sentence(told: Told, now: datetime) -> str:
    """Tell an incident in one sentence, without its place: that stands above it."""
    one = told.incident
    tablets = ngettext("%(num)d tablet went quiet", "%(num)d tablets went quiet", one.most)
    return _(
        "%(tablets)s, the last %(time)s; %(cause)s.",
        tablets=tablets,
        time=when(one.began_at, now),
        cause=cause(one.cause),
    )


def stage(one: Incident) -> words.Told:
    """Say whether an incident is over."""
    if one.closed_at is None:
        return words.Told(_("Going on"), words.WAITING)
    return words.Told(_("Over"), words.GOOD)


def member(one: IncidentMember) -> words.Told:
    """Say whether a tablet of an incident is back."""
    if one.left_at is None:
        return words.Told(_("Quiet"), words.WAITING)
    return words.Told(_("Heard from again"), words.GOOD)


def since(finding: Finding, now: datetime) -> str:
    """Say when a silent tablet was last heard from, as its finding has it."""
    told = finding.detail.get("since")
    return at(datetime.fromisoformat(told), now) if isinstance(told, str) else NOTHING


def missing(finding: Finding) -> str:
    """Say why a tablet is missing."""
    hours = int(finding.detail.get("missed_s", 0)) // 3600
    if finding.detail.get("answer") == Answer.GONE:
        return _("Its teacher says that it is gone.")
    if hours:
        return str(
            ngettext(
                "Nobody has answered, and it has missed %(num)d school hour.",
                "Nobody has answered, and it has missed %(num)d school hours.",
                hours,
            )
        )
    return _("Nobody knows where it is.")


def explanation(one: Explanation, now: datetime) -> str:
    """Tell what is known of a tablet's silence in one sentence."""
    parts = [_heard(one, now), *_missed(one), *_others(one), *_habit(one), *_then(one)]
    if one.is_absent:
        parts.append(_("its pupil is away today"))
    return f"{_upper('; '.join(parts))}."


def standing(one: Explanation) -> words.Told:
    """Say how a tablet stands in silence."""
    if one.kind is not None:
        return words.Told(words.finding_title(one.kind), words.BAD)
    if one.incident is not None:
        return words.Told(_("Quiet"), words.WAITING)
    return words.Told(_("Not silent"), words.GOOD)


def found(finding: Finding, now: datetime) -> str:
    """Tell a finding of silence with what was known when it was found, in one sentence."""
    told = [_("last heard from %(time)s", time=since(finding, now))]
    hours = int(finding.detail.get("missed_s", 0)) // 3600
    if hours:
        told.append(ngettext("%(num)d school hour missed then", "%(num)d school hours missed then", hours))
    battery = finding.detail.get("battery_percent")
    if isinstance(battery, int):
        told.append(_("battery %(percent)s", percent=percent(battery / 100)))
    return f"{_upper('; '.join(told))}."


def asked_about(one: Asked, now: datetime) -> str:
    """Say who was asked where a tablet is, and what was answered."""
    if one.answer is not None and one.answered_at is not None:
        return _("Answered %(time)s: %(answer)s.", time=when(one.answered_at, now), answer=answer(one.answer))
    if one.escalated_at is not None:
        return _(
            "The school's IT was asked where it is %(time)s, and has not answered.", time=when(one.escalated_at, now)
        )
    return _(
        "Its class's teachers were asked where it is %(time)s, and have not answered.", time=when(one.asked_at, now)
    )


def _upper(told: str) -> str:
    return f"{told[:1].upper()}{told[1:]}"


def _heard(one: Explanation, now: datetime) -> str:
    if one.heard_at is not None:
        return _("last heard from %(time)s", time=at(one.heard_at, now))
    if one.enrolled_at is not None:
        return _("never heard from since it was enrolled %(time)s", time=at(one.enrolled_at, now))
    return _("never heard from")


def _missed(one: Explanation) -> list[str]:
    hours = one.missed_s // 3600
    if not hours:
        return []
    return [ngettext("%(num)d school hour missed", "%(num)d school hours missed", hours)]


def _others(one: Explanation) -> list[str]:
    if one.others is None:
        return []
    told = {"title": one.others.class_title, "number": one.others.of}
    if one.others.heard == one.others.of:
        return [_("all the other tablets of %(title)s (%(number)s) were heard from today", **told)]
    if not one.others.heard:
        return [_("none of the other tablets of %(title)s (%(number)s) was heard from today", **told)]
    heard = one.others.heard
    return [_("%(heard)s of the other %(number)s tablets of %(title)s were heard from today", heard=heard, **told)]


def _habit(one: Explanation) -> list[str]:
    if one.habit is None:
        return []
    return [_("usually heard from on %(heard)s of %(days)s school days", heard=one.habit.heard, days=one.habit.days)]


def _then(one: Explanation) -> list[str]:
    """Say how a tablet was when it was last heard from."""
    found = []
    if one.battery_percent is not None and one.heard_at is not None:
        found.append(_("battery %(percent)s then", percent=percent(one.battery_percent / 100)))
    if one.was_at_school is not None and one.heard_at is not None:
        found.append(_("it was at school then") if one.was_at_school else _("it was not at school then"))
    return found
