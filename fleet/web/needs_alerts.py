"""What needs somebody now because mail or a webhook does not get through. Cards as those of ``needs``."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from flask import url_for
from flask_babel import ngettext

from fleet.access import Permission, Principal
from fleet.alerts import letters, mail_server, webhooks
from fleet.alerts.models import Letter, LetterState
from fleet.web import words, words_failures
from fleet.web.needs import LINES, Line, Need
from fleet.web.settings_webhook import is_failing_long
from fleet.web.texts import translated as _

_FAILURES = 3  # in a row: one alone may be a passing thing, and is tried again within seconds
_RECENT = timedelta(days=7)
_MOST = 100


def needs(*, by: Principal, now: datetime) -> list[Need]:
    """Return the cards about mail and webhooks for ``by``; at most three statements."""
    return [*_mail(by, now), *_webhooks(by, now)]


def _mail(by: Principal, now: datetime) -> Iterator[Need]:
    if not by.may(Permission.EDIT_MUNICIPALITY):
        return
    server = mail_server.load(by=by)
    if server is None:
        waiting = letters.listed(by=by, state=LetterState.WAITING, limit=_MOST)
        if waiting:
            why = _("There is no mail server yet, so nobody hears of anything.")
            yield _mail_card(waiting, why, url_for("web.settings_mail"), _("Set up the mail server"))
    elif server.failures >= _FAILURES:
        why = _("None is lost: they go when the mail server works again.")
        lines = [Line(server.host, None, words_failures.failure(server.failure), server.failed_at)]
        yield Need(
            "mail", words.BAD, "message", None, _("Mail does not get through"), why, lines,
            url_for("web.settings_mail"), _("Look at the mail server"),
        )  # fmt: skip
    else:
        given_up = letters.listed(by=by, state=LetterState.GIVEN_UP, limit=_MOST)
        recent = [one for one in given_up if one.ended_at is not None and now - one.ended_at < _RECENT]
        if recent:
            address = url_for("web.settings_letters", state=LetterState.GIVEN_UP.value)
            why = _("They were given up, and their readers were told nothing.")
            yield _mail_card(recent, why, address, _("Look at them"))


def _mail_card(found: Sequence[Letter], why: str, address: str, leads: str) -> Need:
    lines = [
        Line(one.account.name, None, words_failures.failure(one.failure), one.ended_at or one.made_at)
        for one in found[:LINES]
    ]
    number = len(found)
    title = ngettext("mail did not get through", "mails did not get through", number)
    return Need("mail", words.BAD, "message", number, title, why, lines, address, leads)


def _webhooks(by: Principal, now: datetime) -> Iterator[Need]:
    if by.school_ids(Permission.EDIT_ALERTS) == frozenset():
        return
    found = [one for one in webhooks.listed(by=by) if is_failing_long(one, now)]
    if found:
        number = len(found)
        lines = [
            Line(
                one.name,
                url_for("web.settings_webhook", webhook_id=one.id),
                words_failures.failure(one.failure),
                one.failed_at,
            )
            for one in found[:LINES]
        ]
        yield Need(
            "webhooks", words.BAD, "link", number,
            ngettext("webhook does not get through", "webhooks do not get through", number),
            _("The other program hears of nothing. What was given up can be sent again."), lines,
            url_for("web.settings_webhooks"), _("Show the webhooks"),
        )  # fmt: skip
