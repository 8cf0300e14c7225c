"""What is refused about mail servers and webhooks, and why mail or a message did not get through, in words."""

from collections.abc import Mapping

from fleet.alerts import webhooks
from fleet.errors import ConflictError, FleetError, InvalidError
from fleet.web.texts import translated as _

# The field of the form that a reason is about.
MAIL_FIELDS: Mapping[str, str] = {
    "host": "host", "port": "port", "security": "security", "sign-in": "username", "password": "password",
    "authority": "authority", "email": "sender",
}  # fmt: skip
WEBHOOK_FIELDS: Mapping[str, str] = {
    "name": "name", "address": "address", "tls": "address", "private": "address", "topics": "topics",
}  # fmt: skip


def mail_server(error: InvalidError) -> tuple[str, str]:
    """Return the field that a refusal of a mail server is about, and what is wrong with it."""
    reason = str(error.data.get("reason"))
    told = {
        "host": _("Write the name of a mail server, such as smtp.example.no."),
        "port": _("Write a number from 1 to 65535."),
        "security": _("Without TLS only a mail server on this machine can be used."),
        "sign-in": _("User name and password have at most 255 characters, all on one line."),
        "password": _("Write the password for this user name and mail server."),
        "authority": _("This is no certificate as text. It begins with BEGIN CERTIFICATE."),
        "email": _("Write one address, such as tablets@example.no."),
    }
    return MAIL_FIELDS.get(reason, ""), told.get(reason, _("The mail server's settings cannot be like this."))


def test_mail(error: ConflictError) -> str:
    """Say why no mail can be sent as a test."""
    if error.data.get("kind") == "mail-server":
        return _("Save the mail server's settings first.")
    return _("You have no mail address yet. Write it under My account.")


def webhook(error: InvalidError) -> tuple[str, str]:
    """Return the field that a refusal of a webhook is about, and what is wrong with it."""
    reason = str(error.data.get("reason"))
    told = {
        "name": _("Write what it is for, in at most 80 characters."),
        "address": _("Write an address such as https://example.no/alerts."),
        "tls": _("The address has to begin with https://, or others could read what is sent."),
        "private": _("This leads into a private network. An administrator can allow that."),
        "topics": _("Choose at least one thing that it is told of."),
        "many": _("There are %(number)s webhooks there already. Remove one first.", number=webhooks.MOST),
    }
    return WEBHOOK_FIELDS.get(reason, ""), told.get(reason, _("The webhook cannot be like this."))


def conflict(error: FleetError) -> str:
    """Say why a message cannot be sent now."""
    if error.data.get("reason") == "switched off":
        return _("The webhook is switched off. Switch it on first.")
    return _("It is under way already, or has arrived.")
