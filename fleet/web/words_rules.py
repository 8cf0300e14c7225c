"""Rules and the lives of findings in words: what each rule finds, how much it matters, what somebody did about it."""

from datetime import datetime

from flask_babel import ngettext

from fleet.compliance import queries as compliance
from fleet.compliance.models import Finding, FindingAct, FindingKind, Severity
from fleet.compliance.queries import Attention
from fleet.compliance.trying import TabletTrial, Trial
from fleet.web.formats import minute, number
from fleet.web.texts import translated as _
from fleet.web.words import BAD, GOOD, NEUTRAL, WAITING, Told

HOUR_MIN, DAY_MIN = 60, 24 * 60


def severity(one: Severity) -> Told:
    """Say how much a finding matters."""
    return {
        Severity.NOTE: Told(_("Good to know"), NEUTRAL),
        Severity.WARNING: Told(_("Should be put right"), WAITING),
        Severity.SERIOUS: Told(_("Serious"), BAD),
    }[one]


def severity_about(one: Severity) -> str:
    """Say what a severity is for."""
    return {
        Severity.NOTE: _("Nobody has to do anything today."),
        Severity.WARNING: _("Somebody has to do something, in the next days."),
        Severity.SERIOUS: _("Somebody has to do something today."),
    }[one]


def alert_colour(one: Severity) -> str:
    """Return the colour of a card that tells a finding: as its severity's, and never without words."""
    return {Severity.NOTE: "info", Severity.WARNING: WAITING, Severity.SERIOUS: BAD}[one]


def attention(one: str) -> str:
    """Name which findings a list shows."""
    return {
        "": _("All open"),
        Attention.NEEDS: _("Need a look"),
        Attention.ACKNOWLEDGED: _("Acknowledged"),
        Attention.SNOOZED: _("Snoozed"),
        "closed": _("Those that are closed"),
    }[one]


def state(finding: Finding, now: datetime) -> Told | None:
    """Say what was done about a finding; None where nothing was, and it waits for somebody."""
    if finding.closed_at is not None:
        by_hand = finding.closed_by is not None
        return Told(_("Closed by hand"), NEUTRAL) if by_hand else Told(_("In order again"), GOOD)
    match compliance.attention(finding, now=now):
        case Attention.SNOOZED if finding.snoozed_until is not None:
            return Told(_("Snoozed until %(when)s", when=minute(finding.snoozed_until)), NEUTRAL)
        case Attention.ACKNOWLEDGED:
            return Told(_("Acknowledged"), NEUTRAL)
    return None


def act(one: FindingAct) -> str:
    """Name what somebody did about a finding."""
    return {
        FindingAct.ACKNOWLEDGED: _("Acknowledged"),
        FindingAct.SNOOZED: _("Snoozed"),
        FindingAct.WOKEN: _("Brought back"),
        FindingAct.CLOSED: _("Closed by hand"),
        FindingAct.REOPENED: _("Opened again"),
    }[one]


def done(name: str, count: int) -> str:
    """Say what was just done with so many findings."""
    told = {
        "acknowledge": ngettext("%(num)d finding is acknowledged.", "%(num)d findings are acknowledged.", count),
        "snooze": ngettext("%(num)d finding is snoozed.", "%(num)d findings are snoozed.", count),
        "close": ngettext(
            "%(num)d finding is closed. It does not open again while its reason stands.",
            "%(num)d findings are closed. They do not open again while their reason stands.",
            count,
        ),
        "wake": ngettext("%(num)d finding needs a look again.", "%(num)d findings need a look again.", count),
        "reopen": ngettext("%(num)d finding is open again.", "%(num)d findings are open again.", count),
    }
    return str(told[name])


def grace(minutes: int) -> str:
    """Say how long a reason has to stand before a finding is opened."""
    if not minutes:
        return _("at once")
    if minutes % DAY_MIN == 0:
        return str(ngettext("%(num)d day", "%(num)d days", minutes // DAY_MIN))
    if minutes % HOUR_MIN == 0:
        return str(ngettext("%(num)d hour", "%(num)d hours", minutes // HOUR_MIN))
    return str(ngettext("%(num)d minute", "%(num)d minutes", minutes))


def about(code: str) -> str:
    """Say in plain words what a shipped rule finds; empty for one of the municipality's own."""
    known: dict[str, str] = {
        FindingKind.PROFILE_MISSING: _("Tablets that were heard from several times without taking their profile."),
        FindingKind.SETTINGS_FAILED: _("Tablets that could not put all settings of their profile into force."),
        FindingKind.OS_OUTDATED: _("Tablets with a system older than their profile asks for."),
        FindingKind.APP_MISSING: _("Apps that the profile requires and that are not installed."),
        FindingKind.APP_BLOCKED: _("Apps that the profile blocks and that are installed all the same."),
        FindingKind.PASSCODE_MISSING: _("Tablets without a passcode, where their profile asks for one."),
        FindingKind.NOT_ENCRYPTED: _("Tablets whose storage can be read without a key."),
        FindingKind.NOT_SUPERVISED: _("iPads that are not supervised, Android tablets the agent does not own."),
        FindingKind.TAMPERED: _("Tablets that tell they are jailbroken, rooted or have an unlocked boot loader."),
        FindingKind.STORAGE_LOW: _("Tablets with less free storage than their profile asks to keep free."),
        FindingKind.BATTERY_WORN: _("Batteries that hold much less than when they were new."),
        FindingKind.CLOCK_WRONG: _("Tablets whose clock is more than two minutes wrong."),
        FindingKind.CERTIFICATE_ENDING: _(
            "Tablets whose certificate runs out within weeks, and that have not renewed."
        ),
        FindingKind.NOT_ENROLLED: _("Tablets that were delivered days ago and have not been enrolled."),
        FindingKind.SILENT: _("Tablets not heard from for longer than expected, counted in school hours."),
        FindingKind.MISSING: _("Silent tablets that somebody says are gone, or that nobody knows of for days."),
    }
    return known.get(code, "")


def failing() -> Told:
    """Say that a rule takes more than it may, and finds nothing where it does."""
    return Told(_("Takes too much"), BAD)


def waiting(left: int, of: int) -> str:
    """Say how far a change of rules has come."""
    return _(
        "A change is being worked through: %(done)s of %(of)s tablets are looked at.",
        done=number(of - left), of=number(of),
    )  # fmt: skip


def trial(found: Trial) -> str:
    """Say in one sentence what a draft would do to all tablets."""
    opens = ngettext("Would open %(num)d finding", "Would open %(num)d findings", found.opens)
    return _("%(opens)s, close %(closes)s.", opens=opens, closes=number(found.closes)) if found.closes else f"{opens}."


def trial_lines(found: Trial) -> list[tuple[str, str]]:
    """Say what else trying on all tablets gave, each with the icon that goes with it."""
    looked = ngettext("%(num)d tablet was looked at.", "%(num)d tablets were looked at.", found.tablets)
    told = [("info", str(looked))]
    if found.stays:
        stays = ngettext("%(num)d open finding stays.", "%(num)d open findings stay.", found.stays)
        told.append(("info", str(stays)))
    if found.waits:
        waits = ngettext(
            "%(num)d more would be noticed, and opens when its time of waiting is over if nothing changes.",
            "%(num)d more would be noticed, and open when their time of waiting is over if nothing changes.",
            found.waits,
        )
        told.append(("info", str(waits)))
    if not found.is_whole:
        told.append(
            ("warning", _("Not all tablets were looked at, as it takes too long. The numbers are at least these."))
        )
    if found.failed:
        failed = ngettext(
            "The condition takes too much at %(num)d tablet. Make it simpler: there it finds nothing.",
            "The condition takes too much at %(num)d tablets. Make it simpler: there it finds nothing.",
            found.failed,
        )
        told.append(("danger", str(failed)))
    return told


def trial_of_one(found: TabletTrial, serial: str) -> str:
    """Say in one sentence what a draft says of one tablet."""
    if not found.is_for:
        return _("The rule is not for %(serial)s: another school, or another kind of tablet.", serial=serial)
    if found.has_failed:
        return _("The condition takes too much at %(serial)s. Make it simpler: it finds nothing.", serial=serial)
    if found.found:
        return str(
            ngettext(
                "%(serial)s would have %(num)d finding.",
                "%(serial)s would have %(num)d findings.",
                len(found.found),
                serial=serial,
            )
        )
    if found.waits_until is not None:
        when = minute(found.waits_until)
        return _("%(serial)s would have a finding from %(when)s on, if nothing changes.", serial=serial, when=when)
    return _("Nothing is found at %(serial)s.", serial=serial)
