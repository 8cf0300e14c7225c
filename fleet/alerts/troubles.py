"""What keeps alerts from getting through, in numbers, for whoever can mend it."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, literal, select, true

from fleet.access import Permission, Principal
from fleet.alerts.models import HookMessage, HookState, Letter, LetterState, MailServer, Webhook
from fleet.checkup.checks import Check, fault, ok, warning
from fleet.db import db

RECENT = timedelta(days=7)
LONG = timedelta(hours=12)  # without anything that arrived at a webhook, and the last message did not
_OPEN_LETTERS = (LetterState.WAITING, LetterState.SENDING, LetterState.FAILED)
_OPEN_MESSAGES = (HookState.WAITING, HookState.SENDING, HookState.FAILED)
_FAILURES = 3  # in a row: one alone may be a passing thing, and is tried again within seconds


@dataclass(frozen=True, slots=True)
class Troubles:
    """How mail and webhooks stand.

    Args:
        host: of the mail server; None where none is set up.
        failure: why it does not work, where it does not.
        failed_at: since when it was last seen to fail; None where it works.
        waiting: letters that wait.
        given_up: letters given up the last days.
        webhooks: webhooks at which nothing has arrived for long.
    """

    host: str | None
    failure: str | None
    failed_at: datetime | None
    waiting: int
    given_up: int
    webhooks: int


def is_failing_long(webhook: Webhook, now: datetime) -> bool:
    """Whether nothing has arrived at a webhook for long, and what was sent last did not."""
    if webhook.failed_at is None or not webhook.is_on:
        return False
    return now - (webhook.worked_at or webhook.created_at) > LONG


def troubles(*, by: Principal, now: datetime) -> Troubles | None:
    """Return how mail and webhooks stand; None for whoever can do nothing about either. One statement.

    Who does not run the server sees nothing of mail, only the webhooks of the own schools.
    """
    where = by.school_ids(Permission.EDIT_ALERTS)
    if where == frozenset():
        return None
    letters = select(func.count()).select_from(Letter)
    hooks = select(func.count()).select_from(Webhook).where(
        Webhook.ended_at.is_(None), Webhook.is_on, Webhook.failed_at.is_not(None),
        func.coalesce(Webhook.worked_at, Webhook.created_at) < now - LONG,
    )  # fmt: skip
    if where is not None:
        hooks = hooks.where(Webhook.school_id.in_(where))
    given_up = letters.where(Letter.state == LetterState.GIVEN_UP, Letter.ended_at > now - RECENT)
    columns: list[Any] = [
        MailServer.host, MailServer.failure, MailServer.failed_at, MailServer.failures,
        letters.where(Letter.state == LetterState.WAITING).scalar_subquery(), given_up.scalar_subquery(),
        hooks.scalar_subquery(),
    ]  # fmt: skip
    one = select(literal(1).label("one")).subquery()
    host, failure, failed_at, failures, *numbers = db.session.execute(
        select(*columns).select_from(one).outerjoin(MailServer, true())
    ).one()
    if not by.may(Permission.EDIT_MUNICIPALITY):
        return Troubles("", None, None, 0, 0, numbers[2])
    is_failing = (failures or 0) >= _FAILURES
    return Troubles(host, failure if is_failing else None, failed_at if is_failing else None, *numbers)


def in_states(*, now: datetime) -> tuple[dict[LetterState, int], dict[HookState, int]]:
    """Return how many letters and messages are under way, by state, and given up of late; two statements."""
    letters = _by_state(Letter.state, Letter.ended_at, (*_OPEN_LETTERS, LetterState.GIVEN_UP), now)
    return letters, _by_state(HookMessage.state, HookMessage.ended_at, (*_OPEN_MESSAGES, HookState.DEAD), now)


def _by_state(state: Any, ended_at: Any, wanted: Sequence[enum.StrEnum], now: datetime) -> dict[Any, int]:
    """Count what is in these states, of which only what was given up has an end."""
    counted = state.in_(wanted) & (ended_at.is_(None) | (ended_at > now - RECENT))
    rows = db.session.execute(select(state, func.count()).where(counted).group_by(state))
    return dict.fromkeys(wanted, 0) | {row[0]: row[1] for row in rows}


def examine(*, by: Principal, now: datetime) -> list[Check]:
    """Return whether letters and messages get through; one statement.

    Args:
        by: somebody who runs the server.
        now: the instant.
    """
    found = troubles(by=by, now=now)
    return [] if found is None else [_mail(found), _webhooks(found)]


def _mail(found: Troubles) -> Check:
    name, told = "mail", f"{found.waiting} letters wait, {found.given_up} given up in {RECENT.days} days"
    if found.host is None:
        advice = "set one: scripts/fleet alerts mail set HOST --from ADDRESS"
        return warning(name, f"no mail server, so nobody is written to; {told}", advice)
    if found.failure is not None:
        since = f"{found.failed_at:%Y-%m-%d %H:%M} UTC"
        advice = "mend it, then: scripts/fleet alerts mail test USERNAME"
        return fault(name, f"{found.host}: {found.failure}, last at {since}; {told}", advice)
    if found.given_up:
        return warning(name, f"{found.host}; {told}", "scripts/fleet alerts letters shows which, and why")
    return ok(name, f"{found.host}; {told}")


def _webhooks(found: Troubles) -> Check:
    if found.webhooks:
        told = f"at {found.webhooks} nothing has arrived for {LONG // timedelta(hours=1)} hours"
        return warning("webhooks", told, "scripts/fleet webhooks list shows which, and why")
    return ok("webhooks", "messages arrive, or there is nothing to tell")
