"""One webhook: what it is told, whether that arrives, what was given up, and a message to try it."""

from collections.abc import Callable
from datetime import datetime

from flask import redirect, request, url_for
from flask_babel import ngettext
from werkzeug.wrappers import Response

from fleet import clock
from fleet.access import Principal
from fleet.alerts import hook_messages, webhooks
from fleet.alerts.models import HookState, Webhook
from fleet.alerts.troubles import is_failing_long
from fleet.db import transaction
from fleet.errors import ConflictError, InvalidError
from fleet.web import notices, refusals_alerts, signed_in
from fleet.web.blueprint import web
from fleet.web.pages import PAGE_SIZE, show
from fleet.web.settings_mail import vault_key
from fleet.web.settings_webhooks import EVERYWHERE, Faults, Typed, draft_of, fields, secret_page, typed_in
from fleet.web.texts import translated as _

_ADDRESS = "/settings/webhooks/<int(max=2147483647):webhook_id>"
_STATES = {one.value: one for one in HookState}


@web.get(_ADDRESS)
def settings_webhook(webhook_id: int) -> str:
    """Show a webhook and its newest messages, or those in one state."""
    return _page(webhook_id)


@web.post(_ADDRESS)
def settings_webhook_change(webhook_id: int) -> Response | tuple[str, int]:
    """Say something else of a webhook."""
    by, now = signed_in.by(), clock.now()
    webhooks.find(webhook_id, by=by)
    typed = typed_in()
    try:
        with transaction():
            webhooks.change(webhook_id, draft_of(typed), by=by, now=now)
    except InvalidError as error:
        name, words = refusals_alerts.webhook(error)
        return _page(webhook_id, typed=typed, faults={name: words}), 400
    notices.tell(_("The webhook is saved."))
    return _back(webhook_id)


@web.post(f"{_ADDRESS}/secret")
def settings_webhook_secret(webhook_id: int) -> str:
    """Sign with a new secret, and show it."""
    by, now = signed_in.by(), clock.now()
    with transaction():
        made = webhooks.renew_secret(webhook_id, vault_key=vault_key(), by=by, now=now)
        return secret_page(made, is_new=False)


@web.post(f"{_ADDRESS}/switch")
def settings_webhook_switch(webhook_id: int) -> Response:
    """Have a webhook rest, or tell it again."""
    by, now, is_on = signed_in.by(), clock.now(), request.form.get("to") == "on"
    with transaction():
        webhooks.switch(webhook_id, is_on=is_on, by=by, now=now)
    notices.tell(_("The webhook is switched on.") if is_on else _("The webhook is switched off. It is told nothing."))
    return _back(webhook_id)


@web.post(f"{_ADDRESS}/remove")
def settings_webhook_remove(webhook_id: int) -> Response:
    """Tell a program no more."""
    by, now = signed_in.by(), clock.now()
    with transaction():
        webhooks.remove(webhook_id, by=by, now=now)
    notices.tell(_("The webhook is removed."))
    return redirect(url_for("web.settings_webhooks"), 303)


@web.post(f"{_ADDRESS}/test")
def settings_webhook_test(webhook_id: int) -> Response:
    """Send a message that tells of nothing."""

    def act(by: Principal, now: datetime) -> str:
        hook_messages.test(webhook_id, by=by, now=now)
        return _("A test is on its way. Below you see how it goes.")

    return _sent(webhook_id, act)


@web.post(f"{_ADDRESS}/replay")
def settings_webhook_replay(webhook_id: int) -> Response:
    """Send again all that was given up."""

    def act(by: Principal, now: datetime) -> str:
        number = hook_messages.replay_all(webhook_id, by=by, now=now)
        return str(ngettext("%(num)d message is sent again.", "%(num)d messages are sent again.", number))

    return _sent(webhook_id, act)


@web.post(f"{_ADDRESS}/messages/<int(max=2147483647):message_id>/replay")
def settings_webhook_message(webhook_id: int, message_id: int) -> Response:
    """Send again one message that was given up."""

    def act(by: Principal, now: datetime) -> str:
        hook_messages.replay(message_id, by=by, now=now)
        return _("It is sent again in a moment.")

    return _sent(webhook_id, act)


def _sent(webhook_id: int, act: Callable[[Principal, datetime], str]) -> Response:
    """Do what sends something, and say on the next page how that went."""
    try:
        with transaction():
            words = act(signed_in.by(), clock.now())
    except ConflictError as error:
        notices.warn(refusals_alerts.conflict(error))
    else:
        notices.tell(words)
    return _back(webhook_id)


def _back(webhook_id: int) -> Response:
    return redirect(url_for("web.settings_webhook", webhook_id=webhook_id), 303)


def _page(webhook_id: int, *, typed: Typed | None = None, faults: Faults | None = None) -> str:
    by, now = signed_in.by(), clock.now()
    found = webhooks.find(webhook_id, by=by)
    state = _STATES.get(request.args.get("state", ""))
    address = url_for("web.settings_webhook", webhook_id=webhook_id, state=state)
    return show(
        "settings_webhook",
        webhook=found,
        messages=hook_messages.listed(webhook_id, by=by, state=state, limit=PAGE_SIZE),
        dead=len(hook_messages.listed(webhook_id, by=by, state=HookState.DEAD, limit=1_000)),
        state=state,
        states=list(HookState),
        is_failing_long=is_failing_long(found, now),
        **fields(typed if typed is not None else _typed(found)),
        faults=faults or {},
        own_address=address,
    )


def _typed(webhook: Webhook) -> Typed:
    return {
        "name": webhook.name,
        "address": webhook.address,
        "school_id": str(webhook.school_id or EVERYWHERE),
        "private": "yes" if webhook.is_private_allowed else "",
        "topics": list(webhook.topics),
    }
