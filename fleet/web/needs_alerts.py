"""What needs somebody now because mail or a webhook does not get through. Cards as those of ``needs``."""

from collections.abc import Iterator
from datetime import datetime

from flask import url_for
from flask_babel import ngettext

from fleet.access import Principal
from fleet.alerts.models import LetterState
from fleet.alerts.troubles import Troubles, troubles
from fleet.web import words, words_failures
from fleet.web.needs import Line, Need
from fleet.web.texts import translated as _


def needs(*, by: Principal, now: datetime) -> list[Need]:
    """Return the cards about mail and webhooks for ``by``; one statement at most."""
    found = troubles(by=by, now=now)
    return [*_mail(found), *_webhooks(found.webhooks)] if found is not None else []


def _mail(found: Troubles) -> Iterator[Need]:
    if found.host is None and found.waiting:
        why = _("There is no mail server yet, so nobody hears of anything.")
        yield _mail_card(found.waiting, why, url_for("web.settings_mail"), _("Set up the mail server"))
    elif found.host and found.failed_at is not None:
        why = _("None is lost: they go when the mail server works again.")
        lines = [Line(found.host, None, words_failures.failure(found.failure), found.failed_at)]
        yield Need(
            "mail", words.BAD, "message", None, _("Mail does not get through"), why, lines,
            url_for("web.settings_mail"), _("Look at the mail server"),
        )  # fmt: skip
    elif found.given_up:
        address = url_for("web.settings_letters", state=LetterState.GIVEN_UP.value)
        why = _("They were given up, and their readers were told nothing.")
        yield _mail_card(found.given_up, why, address, _("Look at them"))


def _mail_card(number: int, why: str, address: str, leads: str) -> Need:
    title = ngettext("mail did not get through", "mails did not get through", number)
    return Need("mail", words.BAD, "message", number, title, why, [], address, leads)


def _webhooks(number: int) -> Iterator[Need]:
    if number:
        yield Need(
            "webhooks", words.BAD, "link", number,
            ngettext("webhook does not get through", "webhooks do not get through", number),
            _("The other program hears of nothing. What was given up can be sent again."), [],
            url_for("web.settings_webhooks"), _("Show the webhooks"),
        )  # fmt: skip
