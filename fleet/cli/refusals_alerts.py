"""Refusals about alerts, mail and webhooks, as sentences."""

from collections.abc import Mapping
from types import MappingProxyType

from fleet.cli.wording import Data, Words, always, see


def _bad_alert(data: Data) -> str:
    if data.get("reason") == "time":
        return f"letters come from {data.get('expected')} only: choose a time between"
    return f"this role cannot hear of that here; it can hear of: {data.get('expected')}"


def _bad_mail_server(data: Data) -> str:
    return f"the mail server's {data.get('reason')} must be {data.get('expected')}"


def _bad_webhook(data: Data) -> str:
    if data.get("reason") == "private":
        return "the address leads into a private network: --allow-private allows it that"
    return f"the webhook's {data.get('reason')} must be {data.get('expected')}"


BY_KIND: Mapping[tuple[str, str], Words] = MappingProxyType(
    {
        ("invalid", "alert"): _bad_alert,
        ("invalid", "mail-server"): _bad_mail_server,
        ("invalid", "webhook"): _bad_webhook,
        ("invalid", "letter"): lambda data: f"this cannot be sent by mail: it must be {data.get('expected')}",
        ("conflict", "mail-server"): always(f"there is no mail server yet: {see('alerts mail set')} names one"),
        ("conflict", "letter"): always("the letter was not given up, so it is sent without help"),
        ("conflict", "webhook"): lambda data: f"webhook {data.get('name')} is switched off: switch it on first",
        ("conflict", "hook-message"): always("the message was not given up, so it is sent without help"),
        ("not-found", "letter"): lambda data: (
            f"there is no letter {data.get('name')}: {see('alerts letters')} lists them"
        ),
        ("not-found", "webhook"): lambda data: (
            f"there is no webhook {data.get('name')}: {see('webhooks list')} lists them"
        ),
        ("not-found", "hook-message"): lambda data: (
            f"there is no message {data.get('name')}: {see('webhooks messages')} lists them"
        ),
        ("not-found", "unsubscribe-link"): always("the link is none of ours, or was changed on its way"),
    }
)
