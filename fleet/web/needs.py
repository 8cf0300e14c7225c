"""What needs somebody now: a card each, the most pressing first, with as many as there are and the way to all of them.

A card is shown only to who may do something about it, and only where there is something. Not here: lists behind them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from flask import current_app, url_for
from flask_babel import ngettext

from fleet import job_runs, orders
from fleet.access import Permission, Principal
from fleet.compliance import queries as compliance
from fleet.compliance.models import FindingKind
from fleet.compliance.queries import Attention, Silence
from fleet.config import Config
from fleet.crypto import vault_key_of
from fleet.devices import tickets
from fleet.devices.models import Ticket
from fleet.job_runs import JobOutcome, Scheduled
from fleet.mdm import listed
from fleet.mdm.licence_token import LicenceTokenKeeper
from fleet.mdm.push_keeper import PushKeeper
from fleet.mdm.token_keeper import TokenKeeper
from fleet.orders import OrderState
from fleet.schools.models import Municipality
from fleet.web import words, words_jobs
from fleet.web.formats import day
from fleet.web.signed_in import timezone
from fleet.web.texts import translated as _

_PRESSING_DAYS = 14
LINES = 4  # of a card; the rest is behind its link


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a card: what, where it leads, something about it, and since when."""

    words: str
    address: str | None
    about: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Need:
    """One card.

    Args:
        name: in the page, such as ``silent``.
        colour: how pressing it is.
        icon: its sign's name.
        count: how many; None where there is nothing to count.
        title: of what.
        why: what it means, or what to do.
        lines: some of them.
        address: of the list behind it; None where each line has its own.
        leads: what its link says.
    """

    name: str
    colour: str
    icon: str
    count: int | None
    title: str
    why: str
    lines: Sequence[Line]
    address: str | None
    leads: str


def needs(
    *,
    by: Principal,
    now: datetime,
    counts: Mapping[str, int],
    pending_approval: int,
    names: Mapping[int, str],
    municipality: Municipality | None,
) -> list[Need]:
    """Return the cards for whoever looks after schools.

    Args:
        by: who looks.
        now: the instant.
        counts: the open findings ``by`` may see.
        pending_approval: how many tablets wait for approval.
        names: of the schools ``by`` may see.
        municipality: None where there is none yet.
    """
    found = [_silent(counts, by, now), _failed(counts)]
    found += [
        _certificate(by, now),
        _token(by, now),
        *_school_manager(by),
        _licence_token(by, now),
        _expiring(names, by, now),
        _pending(pending_approval, by),
        _asked(by),
        _jobs(by),
    ]
    return [*(one for one in found if one is not None), *_setup(by, municipality)]


def _silent(counts: Mapping[str, int], by: Principal, now: datetime) -> Need | None:
    number = counts[FindingKind.SILENT]
    if not number:
        return None
    return Need(
        "silent", words.BAD, "silent", number, ngettext("silent tablet", "silent tablets", number),
        _("Not heard from for longer than expected in school hours."),
        [_silence(one) for one in compliance.silences(by=by, limit=LINES, needing_at=now)],
        url_for("web.findings", attention=Attention.NEEDS, kind=FindingKind.SILENT), _("Show all that are silent"),
    )  # fmt: skip


def _silence(one: Silence) -> Line:
    told = [one.class_title, one.school] if one.class_title else [one.school or _("Without a school")]
    about = ngettext("%(num)d tablet", "%(num)d tablets", one.tablets)
    address = url_for("web.findings", attention=Attention.NEEDS, kind=FindingKind.SILENT, school_id=one.school_id)
    return Line(", ".join(part for part in told if part), address, about, one.since)


def _failed(counts: Mapping[str, int]) -> Need | None:
    kinds = [kind for kind in (FindingKind.PROFILE_MISSING, FindingKind.SETTINGS_FAILED) if counts[kind]]
    number = sum(counts[kind] for kind in kinds)
    if not number:
        return None
    lines = [
        Line(
            words.finding_title(kind),
            url_for("web.findings", attention=Attention.NEEDS, kind=kind),
            ngettext("%(num)d tablet", "%(num)d tablets", counts[kind]),
        )
        for kind in kinds
    ]
    # Who has the profile without all its settings counts as having it everywhere else, so here too.
    is_partly = kinds == [FindingKind.SETTINGS_FAILED]
    title = (
        ngettext("tablet without all its settings", "tablets without all their settings", number)
        if is_partly
        else ngettext("tablet without its whole profile", "tablets without their whole profile", number)
    )
    return Need(
        "failed", words.BAD, "profile", number, title,
        _("The tablets do not have all that they shall have."), lines,
        url_for("web.findings", attention=Attention.NEEDS, kind=kinds[0]) if len(kinds) == 1 else None,
        _("Show which tablets"),
    )  # fmt: skip


def others(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return the kinds of open findings that have no card, with how many there are, most of them first."""
    carded = {FindingKind.SILENT, FindingKind.MISSING, FindingKind.PROFILE_MISSING, FindingKind.SETTINGS_FAILED}
    found = [(kind, number) for kind, number in counts.items() if number and kind not in carded]
    return sorted(found, key=lambda one: -one[1])


def _expiring(names: Mapping[int, str], by: Principal, now: datetime) -> Need | None:
    if by.school_ids(Permission.MANAGE_TICKETS) == frozenset():
        return None
    found = tickets.expiring(by=by, now=now)
    if not found:
        return None
    return Need(
        "tickets", words.WAITING, "qr", len(found), ngettext("ticket runs out", "tickets run out", len(found)),
        _("They end within three days and have places left."), [_ticket(one, names) for one in found[:LINES]],
        url_for("web.enrolment"), _("Show the tickets"),
    )  # fmt: skip


def _certificate(by: Principal, now: datetime) -> Need | None:
    """Warn long before the push certificate of iPads runs out: one renewal that is missed orphans them all."""

    def words_of(left: int, ends_on: str) -> _Ending:
        return _Ending(
            ngettext("day until iPads hear nothing any more", "days until iPads hear nothing any more", left),
            _("iPads hear nothing any more"),
            _(
                "Their push certificate ends %(day)s. Renew it with the same Apple account: scripts/fleet apple.",
                day=ends_on,
            ),
        )

    return _ending("certificate", _kept(PushKeeper, "fleet_push_keeper", by), words_of, now)


def _token(by: Principal, now: datetime) -> Need | None:
    """Warn before the server token runs out: from then on Apple tells nothing of new iPads, and takes no orders."""

    def words_of(left: int, ends_on: str) -> _Ending:
        return _Ending(
            ngettext("day until new iPads are not known any more", "days until new iPads are not known any more", left),
            _("New iPads are not known any more"),
            _(
                "The server token ends %(day)s. Download a new one in Apple School Manager: scripts/fleet apple.",
                day=ends_on,
            ),
        )

    return _ending("token", _kept(TokenKeeper, "fleet_token_keeper", by), words_of, now)


def _licence_token(by: Principal, now: datetime) -> Need | None:
    """Warn before the token for Apps and Books runs out: from then on no tablet gets a licence, or gives one back."""

    def words_of(left: int, ends_on: str) -> _Ending:
        return _Ending(
            ngettext("day until iPads get no licences any more", "days until iPads get no licences any more", left),
            _("iPads get no licences any more"),
            _(
                "The token for Apps and Books ends %(day)s. Download a new one in Apple School Manager: "
                "scripts/fleet apple.",
                day=ends_on,
            ),
        )

    return _ending("licences", _kept(LicenceTokenKeeper, "fleet_licence_keeper", by), words_of, now)


@dataclass(frozen=True, slots=True)
class _Ending:
    """What is said of something that runs out: with the days left, once it has, and what to do."""

    soon: str
    over: str
    why: str


class _RunsOut(Protocol):
    """What the maker gives for a year."""

    @property
    def expires_at(self) -> datetime: ...

    def days_left(self, now: datetime) -> int: ...

    def warning_step(self, now: datetime) -> int | None: ...


class _Keeper(Protocol):
    """What keeps that."""

    def current(self) -> _RunsOut | None: ...


def _ending(name: str, keeper: _Keeper | None, words_of: Callable[[int, str], _Ending], now: datetime) -> Need | None:
    """Warn of what runs out; None where nothing is kept, or there is time.

    Args:
        name: of the card.
        keeper: has it; None where there is none, or the reader can do nothing about it.
        words_of: says it, by the days left and the day it ends.
        now: the instant.
    """
    found = keeper.current() if keeper is not None else None
    step = found.warning_step(now) if found is not None else None
    if found is None or step is None:
        return None
    left = found.days_left(now)
    told = words_of(left, day(found.expires_at.astimezone(timezone()).date()))
    return Need(
        name, words.BAD if left < _PRESSING_DAYS else words.WAITING, "clock", left if step else None,
        told.soon if step else told.over, told.why, [], None, "",
    )  # fmt: skip


def _school_manager(by: Principal) -> list[Need | None]:
    """Tell what Apple School Manager asks for; one statement at most."""
    if not by.may(Permission.EDIT_MUNICIPALITY):
        return []
    failure, missing = listed.attention()
    return [_listing(failure), _unlisted(missing)]


def _listing(failure: str | None) -> Need | None:
    """Tell that Apple School Manager is not read, where somebody has to do something about it."""
    why = {
        "terms-not-accepted": _("Somebody has to accept Apple's new terms there. Until then no new iPad is taken in."),
        "token-refused": _("Apple does not take the server token any more. Download a new one: scripts/fleet apple."),
    }.get(failure or "")
    if why is None:
        return None
    return Need("listing", words.BAD, "silent", None, _("Apple School Manager is not read"), why, [], None, "")


def _unlisted(number: int) -> Need | None:
    """Tell of iPads that would be turned away when they are switched on."""
    if not number:
        return None
    return Need(
        "unlisted", words.WAITING, "tablet", number,
        ngettext("iPad is on no delivery list", "iPads are on no delivery list", number),
        _("Apple School Manager gives them to this server. Until a delivery list has them, they are turned away."),
        [Line(one.listed.serial, None, one.listed.model) for one in listed.standings(missing=True, at_most=LINES)],
        url_for("web.imports"), _("Import a delivery list"),
    )  # fmt: skip


def _kept(kind: Callable[[Path, bytes], _Keeper], name: str, by: Principal) -> _Keeper | None:
    """Return what keeps a secret, made once; None where ``by`` does not run the server, or it never had one to seal."""
    if not by.may(Permission.EDIT_MUNICIPALITY):
        return None
    known: _Keeper | None = current_app.extensions.get(name)
    config: Config = current_app.extensions["fleet_config"]
    if known is None and (config.vault_key_file or config.secrets_dir / "vault.key").exists():
        key = vault_key_of(config.secrets_dir, config.vault_key_file)
        known = current_app.extensions[name] = kind(config.secrets_dir, key)
    return known


def _ticket(one: Ticket, names: Mapping[int, str]) -> Line:
    left = one.max_enrolments - one.used_count
    about = ngettext("%(num)d place left", "%(num)d places left", left)
    ends_on = day(one.expires_at.astimezone(timezone()).date())
    told = _("%(places)s, until %(day)s", places=about, day=ends_on)
    return Line(names.get(one.school_id, ""), url_for("web.ticket", ticket_id=one.id), told)


def _pending(number: int, by: Principal) -> Need | None:
    if not number or by.school_ids(Permission.MANAGE_DEVICES) == frozenset():
        return None
    return Need(
        "pending", words.WAITING, "tablet", number,
        ngettext("tablet waits for approval", "tablets wait for approval", number),
        _("Nobody had listed them. They have nothing until somebody says yes."), [],
        url_for("web.tablets", state="pending"), _("Look at them"),
    )  # fmt: skip


def _asked(by: Principal) -> Need | None:
    if by.school_ids(Permission.ORDER_PRIVILEGED) == frozenset():
        return None
    number = orders.count(orders.Filter(states={OrderState.ASKED}), by=by)
    if not number:
        return None
    return Need(
        "asked", words.WAITING, "order", number,
        ngettext("order needs a second person", "orders need a second person", number),
        _("What cannot be undone needs another's yes."), [],
        url_for("web.orders", state=OrderState.ASKED), _("Answer"),
    )  # fmt: skip


def _jobs(by: Principal) -> Need | None:
    if not by.may(Permission.RUN_JOBS):
        return None
    timetable: Sequence[Scheduled] = current_app.extensions["fleet_timetable"]
    last = job_runs.latest_by_job([one.name for one in timetable])
    bad = [run for run in last.values() if run.outcome in {JobOutcome.FAILED, JobOutcome.LOST}]
    if not bad:
        return None
    lines = [
        Line(
            words_jobs.name(run.job),
            url_for("web.job", name=run.job),
            words_jobs.outcome(run.outcome).words,
            run.started_at,
        )
        for run in sorted(bad, key=lambda run: run.started_at, reverse=True)[:LINES]
    ]
    return Need(
        "jobs", words.BAD, "job", len(bad), ngettext("job did not go well", "jobs did not go well", len(bad)),
        _("The next round may put it right; if not, the log of the server says why."), lines,
        url_for("web.jobs"), _("Show the jobs"),
    )  # fmt: skip


def _setup(by: Principal, municipality: Municipality | None) -> Iterator[Need]:
    is_over = municipality is not None and municipality.setup_ended_at is not None
    if not is_over and by.may(Permission.EDIT_MUNICIPALITY):
        yield Need(
            "setup", "info", "check", None, _("Getting started"),
            _("From an empty server to the first tablet, step by step."), [], url_for("web.setup"), _("Go on"),
        )  # fmt: skip
