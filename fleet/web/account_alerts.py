"""What one is told by mail, why, and what one would rather not hear of; where the mail goes, and when the daily one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import time

from flask import redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from fleet import clock
from fleet.access import Role
from fleet.alerts import letters, topics
from fleet.alerts.models import AlertTopic, Delivery
from fleet.alerts.topics import Choices
from fleet.db import transaction
from fleet.errors import InvalidError
from fleet.people import accounts
from fleet.people.models import Account, AccountGrant
from fleet.schools import queries as schools
from fleet.web import notices, signed_in, words_alerts, words_people
from fleet.web.blueprint import web
from fleet.web.texts import translated as _

_ADDRESS = "/account/alerts"
_LETTERS = 10  # of the last ones
Faults = dict[str, str]


@dataclass(frozen=True, slots=True)
class Told:
    """A topic, how one hears of it, whether one would rather not, and why: a sentence for each role."""

    topic: AlertTopic
    delivery: Delivery
    is_muted: bool
    reasons: Sequence[str]


@web.get(_ADDRESS)
def account_alerts() -> str:
    """Show what one is told, and why."""
    return _page()


@web.post(f"{_ADDRESS}/topics")
def account_alerts_topics() -> Response:
    """Leave out the topics that were not ticked; only those that the form shows change."""
    own, by, now = _own(), signed_in.by(), clock.now()
    shown, wanted = request.form.getlist("shown"), request.form.getlist("wanted")
    with transaction():
        muted = topics.own(own).muted
        for topic in AlertTopic:
            if topic.value not in shown:
                continue
            if topic.value in wanted and topic in muted:
                topics.unmute(own, topic, by=by, now=now)
            elif topic.value not in wanted and topic not in muted:
                topics.mute(own, topic, by=by, now=now)
    notices.tell(_("It is saved what you are told."))
    return redirect(url_for("web.account_alerts"), 303)


@web.post(f"{_ADDRESS}/address")
def account_alerts_address() -> Response | tuple[str, int]:
    """Choose where the mail goes; left empty, to the address that the roster has."""
    own, by, now = _own(), signed_in.by(), clock.now()
    typed = request.form.get("email", "")[:255].strip()
    try:
        with transaction():
            accounts.set_email(own, typed or None, by=by, now=now)
    except InvalidError:
        words = _("Write one address, such as kari@example.no.")
        return _page(typed={"email": typed}, faults={"email": words}), 400
    notices.tell(_("Your address is saved.") if typed else _("The roster's address is used, if it has one."))
    return redirect(url_for("web.account_alerts"), 303)


@web.post(f"{_ADDRESS}/time")
def account_alerts_time() -> Response | tuple[str, int]:
    """Choose when the daily mail comes."""
    own, by, now = _own(), signed_in.by(), clock.now()
    typed = request.form.get("digest_at", "")[:8]
    try:
        with transaction():
            topics.set_digest_at(own, _time(typed), by=by, now=now)
    except InvalidError:
        words = _(
            "Choose a time from %(first)s, and before %(last)s.",
            first=topics.EARLIEST.strftime("%H:%M"),
            last=topics.LATEST.strftime("%H:%M"),
        )
        return _page(typed={"digest_at": typed}, faults={"digest_at": words}), 400
    notices.tell(_("The time of the daily mail is saved."))
    return redirect(url_for("web.account_alerts"), 303)


def _time(typed: str) -> time:
    try:
        return time.fromisoformat(typed)
    except ValueError:
        return time(0)  # when nobody is disturbed, so it is refused


def _own() -> Account:
    found = signed_in.account()
    if found is None:
        raise LookupError("nobody is signed in")
    return found


def _page(*, typed: Mapping[str, str] | None = None, faults: Faults | None = None) -> str:
    own = _own()
    what = topics.own(own)
    chosen = topics.choices()
    names = schools.names([one.school_id for one in own.grants if one.school_id is not None])
    told = [
        Told(topic, delivery, topic in what.muted, _reasons(own, topic, chosen, names))
        for topic, delivery in sorted(what.topics.items(), key=lambda pair: list(AlertTopic).index(pair[0]))
    ]
    typed = typed or {}
    return render_template(
        "account_alerts.html",
        own=own,
        what=what,
        heard=[one for one in told if one.delivery is not Delivery.NONE],
        unheard=[one for one in told if one.delivery is Delivery.NONE],
        email=typed.get("email", own.email or ""),
        roster_email=own.person.email if own.person is not None and own.person.ended_at is None else None,
        digest_at=typed.get("digest_at", what.digest_at.strftime("%H:%M")),
        times=(topics.EARLIEST.strftime("%H:%M"), topics.LATEST.strftime("%H:%M")),
        letters=letters.listed(by=signed_in.by(), account_id=own.id, limit=_LETTERS),
        faults=faults or {},
    )


def _reasons(own: Account, topic: AlertTopic, chosen: Choices, names: Mapping[int, str]) -> Sequence[str]:
    if topic is AlertTopic.REPORTS:
        return [_("You have ordered them yourself, or can.")]
    roles = [one for one in words_people.in_order(own.grants) if topic in topics.TOPICS[one.role]]
    return [_reason(one, topic, chosen, names) for one in roles]


def _reason(one: AccountGrant, topic: AlertTopic, chosen: Choices, names: Mapping[int, str]) -> str:
    """Say what a role is told, and who has decided that."""
    told = words_alerts.delivery(topics.holds(chosen, one.role, topic, one.school_id))
    decided = _("as it usually is")
    if one.school_id is not None and (one.role, topic, one.school_id) in chosen:
        decided = _("decided by the school")
    elif (one.role, topic, None) in chosen:
        decided = _("decided by the municipality")
    values = {"role": words_people.grant(one, names), "delivery": told, "decided": decided}
    if one.role is Role.TEACHER:
        return _("%(role)s, own classes: %(delivery)s, %(decided)s.", **values)
    return _("%(role)s: %(delivery)s, %(decided)s.", **values)
