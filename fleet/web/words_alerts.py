"""What alerts are called, on the pages and in mails. Each table is total over its enumeration."""

from collections.abc import Iterable, Mapping
from typing import Any

from flask_babel import ngettext

from fleet.access import Role
from fleet.alerts.models import AlertTopic, Delivery, HookState, LetterKind, LetterState, MailSecurity, Webhook
from fleet.compliance.models import IncidentCause
from fleet.web.texts import translated as _
from fleet.web.words import BAD, GOOD, NEUTRAL, WAITING, Told


def topic(one: AlertTopic) -> str:
    """Name what one may hear of."""
    return {
        AlertTopic.FINDINGS: _("Findings"),
        AlertTopic.SERIOUS: _("Serious findings"),
        AlertTopic.MISSING: _("Missing tablets"),
        AlertTopic.INCIDENTS: _("Incidents"),
        AlertTopic.QUESTIONS: _("Where is this tablet?"),
        AlertTopic.ESCALATED: _("What nobody has answered"),
        AlertTopic.JOBS: _("Jobs that fail"),
        AlertTopic.CERTIFICATES: _("Certificates that run out"),
        AlertTopic.REPORTS: _("Reports you have ordered"),
    }[one]


def topic_why(one: AlertTopic) -> str:
    """Say what comes under a topic."""
    return {
        AlertTopic.FINDINGS: _("Something about a tablet should be put right, but does not hurry."),
        AlertTopic.SERIOUS: _("Something about a tablet has to be put right soon."),
        AlertTopic.MISSING: _("A tablet is silent, and nobody knows where it is."),
        AlertTopic.INCIDENTS: _("Many tablets are silent for one reason, such as an access point."),
        AlertTopic.QUESTIONS: _("A tablet of the class is silent, and somebody there may know why."),
        AlertTopic.ESCALATED: _("Something serious that the school has not looked at within a school day."),
        AlertTopic.JOBS: _("What the server does by itself went wrong."),
        AlertTopic.CERTIFICATES: _("What Apple gives for a year has to be renewed."),
        AlertTopic.REPORTS: _("They come by mail, as often as you have asked for."),
    }[one]


def delivery(one: Delivery) -> str:
    """Say how one hears of something."""
    return {Delivery.NONE: _("Nothing"), Delivery.DIGEST: _("Daily mail"), Delivery.AT_ONCE: _("At once")}[one]


def readers(role: Role) -> str:
    """Name those of a role, as readers."""
    return {
        Role.MUNICIPAL_ADMIN: _("Administrators"),
        Role.SCHOOL_IT: _("School IT"),
        Role.TEACHER: _("Teachers, of their own classes"),
    }[role]


def letter_kind(one: LetterKind) -> str:
    """Say what a letter is."""
    return {
        LetterKind.DIGEST: _("Daily mail"),
        LetterKind.AT_ONCE: _("At once"),
        LetterKind.REPORT: _("Report"),
        LetterKind.TEST: _("Test"),
    }[one]


def letter_state(one: LetterState) -> Told:
    """Say where a letter is in its life."""
    return {
        LetterState.WAITING: Told(_("Waiting"), WAITING),
        LetterState.SENDING: Told(_("Being sent"), WAITING),
        LetterState.SENT: Told(_("Sent"), GOOD),
        LetterState.FAILED: Told(_("Tried again later"), WAITING),
        LetterState.GIVEN_UP: Told(_("Given up"), BAD),
        LetterState.EMPTY: Told(_("Not needed"), NEUTRAL),
    }[one]


def hook_state(one: HookState) -> Told:
    """Say where a message to a webhook is in its life."""
    return {
        HookState.WAITING: Told(_("Waiting"), WAITING),
        HookState.SENDING: Told(_("Being sent"), WAITING),
        HookState.SENT: Told(_("Delivered"), GOOD),
        HookState.FAILED: Told(_("Tried again later"), WAITING),
        HookState.DEAD: Told(_("Given up"), BAD),
    }[one]


def security(one: MailSecurity) -> str:
    """Say how the way to the mail server is guarded."""
    return {
        MailSecurity.TLS: _("TLS from the start (usually port 465)"),
        MailSecurity.STARTTLS: _("STARTTLS (usually port 587 or 25)"),
        MailSecurity.NONE: _("Unguarded: only for a mail server on this machine"),
    }[one]


def cause(told: str, about: Mapping[str, Any], school: str | None) -> str:
    """Say what the silent tablets of an incident have in common."""
    place = school or _("all schools")
    return {
        IncidentCause.CART.value: _("The cart %(cart)s at %(school)s", cart=about.get("cart", ""), school=place),
        IncidentCause.CLASS.value: _("Classes at %(school)s", school=place),
        IncidentCause.PROFILE.value: _("Tablets with the same profile, %(school)s", school=place),
        IncidentCause.NETWORK.value: _("A part of the network at %(school)s", school=place),
        IncidentCause.SCHOOL.value: _("All of %(school)s", school=place),
        IncidentCause.EVERYWHERE.value: _("All schools"),
    }.get(told, place)


def what_for(one: str) -> str:
    """Say what a message to a webhook tells; one that we do not know as it is called."""
    return {
        "alert.raised": _("Something happened"),
        "alert.ended": _("It is over"),
        "test": _("Test"),
    }.get(one, one)


def silent_tablets(number: int) -> str:
    """Say how many tablets are silent."""
    return str(ngettext("%(num)d silent tablet", "%(num)d silent tablets", number))


def works() -> Told:
    """Say that something does what it should."""
    return Told(_("Works"), GOOD)


def webhook(one: Webhook) -> Told:
    """Say how a webhook stands."""
    if not one.is_on:
        return Told(_("Switched off"), NEUTRAL)
    if one.failed_at is not None:
        return Told(_("Does not get through"), BAD)
    return works() if one.worked_at is not None else Told(_("Nothing sent yet"), NEUTRAL)


def topics(told: Iterable[str]) -> str:
    """Name several topics, of which another version of the program may have had some."""
    known = {one.value: one for one in AlertTopic}
    return ", ".join(topic(known[one]) if one in known else one for one in told)
