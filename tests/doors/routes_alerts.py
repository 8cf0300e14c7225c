"""Who gets what: who hears of what, mail, webhooks, and saying no by a link."""

from typing import Any

from flask import current_app

from fleet import clock
from fleet.access import Principal
from fleet.alerts import unsubscribing, webhooks
from fleet.alerts.models import AlertTopic
from fleet.alerts.webhooks import Draft
from fleet.config import Config
from fleet.people import accounts
from tests.doors.policy import ADMIN_ONLY, ANYONE, NOWHERE, SIGNED_IN, Routes
from tests.visiting import World

_NOT_FOUND = (404, 404, 404, 404, 404, 404, 404)
_SAVED = (302, 303, 303, 303, 303, 303, 303)
_BAD = (302, 400, 400, 400, 400, 400, 400)
_BAD_FOR_ADMIN = (302, 400, 403, 403, 403, 403, 403)
_ADMIN_SAVES = (302, 303, 403, 403, 403, 403, 403)
_NONE_FOR_ADMIN = (302, 404, 403, 403, 403, 403, 403)
_WHO_DECIDES = (302, 200, 200, 200, 403, 403, 403)
_AT_OWN_SCHOOL = (302, 200, 200, 404, 403, 403, 404)
_OF_OWN_SCHOOL = (302, 200, 200, 404, 404, 404, 404)
_SAVED_AT_OWN_SCHOOL = (302, 303, 303, 404, 404, 404, 404)
_HOOK = "/settings/webhooks/{webhook_id}"

ROUTES: Routes = {
    "web.account_alerts": [("/account/alerts", SIGNED_IN)],
    "web.account_alerts_topics": [("POST /account/alerts/topics", _SAVED)],
    "web.account_alerts_address": [("POST /account/alerts/address", _SAVED)],
    "web.account_alerts_time": [("POST /account/alerts/time", _BAD)],
    "web.unsubscribe": [
        ("/alerts/unsubscribe/unknown", _NOT_FOUND),
        ("/alerts/unsubscribe/{no_token}", ANYONE),
    ],
    "web.unsubscribe_now": [("POST /alerts/unsubscribe/{no_token}", ANYONE)],
    "web.question": [("/questions/2147483647?answer=gone", SIGNED_IN)],
    "web.settings_alerts": [
        ("/settings/alerts", ADMIN_ONLY),
        ("/settings/schools/{w.school.id}/alerts", _AT_OWN_SCHOOL),
    ],
    "web.settings_alerts_save": [
        ("POST /settings/alerts", _ADMIN_SAVES),
        ("POST /settings/schools/{w.school.id}/alerts", (302, 303, 303, 404, 403, 403, 404)),
    ],
    "web.settings_mail": [("/settings/mail", ADMIN_ONLY)],
    "web.settings_mail_save": [("POST /settings/mail", _BAD_FOR_ADMIN)],
    "web.settings_mail_test": [("POST /settings/mail/test", (302, 409, 403, 403, 403, 403, 403))],
    "web.settings_mail_remove": [("POST /settings/mail/remove", _ADMIN_SAVES)],
    "web.settings_letters": [("/settings/letters", ADMIN_ONLY), ("/settings/letters?state=given-up", ADMIN_ONLY)],
    "web.settings_letter_retry": [("POST /settings/letters/2147483647/retry", _NONE_FOR_ADMIN)],
    "web.settings_webhooks": [("/settings/webhooks", _WHO_DECIDES)],
    "web.settings_webhook_new": [("/settings/webhooks/new", _WHO_DECIDES)],
    "web.settings_webhook_create": [("POST /settings/webhooks/new", _BAD_FOR_ADMIN)],
    "web.settings_webhook": [
        (_HOOK, _OF_OWN_SCHOOL),
        (f"{_HOOK}?state=dead", _OF_OWN_SCHOOL),
        ("/settings/webhooks/2147483647", NOWHERE),
    ],
    "web.settings_webhook_change": [(f"POST {_HOOK}", (302, 400, 403, 404, 404, 404, 404))],
    "web.settings_webhook_secret": [(f"POST {_HOOK}/secret", _OF_OWN_SCHOOL)],
    "web.settings_webhook_switch": [(f"POST {_HOOK}/switch", _SAVED_AT_OWN_SCHOOL)],
    "web.settings_webhook_remove": [("POST /settings/webhooks/2147483647/remove", NOWHERE)],
    "web.settings_webhook_test": [(f"POST {_HOOK}/test", _SAVED_AT_OWN_SCHOOL)],
    "web.settings_webhook_replay": [(f"POST {_HOOK}/replay", _SAVED_AT_OWN_SCHOOL)],
    "web.settings_webhook_message": [(f"POST {_HOOK}/messages/2147483647/replay", NOWHERE)],
}  # fmt: skip


def fill(world: World) -> dict[str, Any]:
    """Make a webhook of the school, and a link by which nobody's account says no."""
    draft = Draft("Brukerstøtte", "https://hjelp.example.no/varsler", [AlertTopic.MISSING], world.school.id)
    made = webhooks.create(draft, vault_key=bytes(32), by=Principal.command_line(), now=clock.now())
    config: Config = current_app.extensions["fleet_config"]
    key = unsubscribing.key_of(config.secrets_dir)
    token = unsubscribing.token(accounts.find("nobody").id, [AlertTopic.FINDINGS], key=key)
    return {"webhook_id": made.webhook.id, "no_token": token}
