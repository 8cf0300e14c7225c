"""The mail server that takes our mails: how it is reached, whether it works, and a mail to oneself to try it."""

from collections.abc import Mapping

from flask import current_app, redirect, request, url_for
from werkzeug.wrappers import Response

from fleet import clock
from fleet.access import Permission, require
from fleet.alerts import letters, mail_server, topics
from fleet.alerts.mail_server import USUAL_PORT, Settings
from fleet.alerts.models import Letter, LetterKind, MailSecurity, MailServer
from fleet.config import Config
from fleet.crypto import vault_key_of
from fleet.db import transaction
from fleet.errors import ConflictError, InvalidError
from fleet.people.models import Account
from fleet.web import notices, refusals_alerts, signed_in, words_alerts
from fleet.web.blueprint import web
from fleet.web.pages import show
from fleet.web.texts import translated as _
from fleet.web.values import whole

_FIELDS = ("host", "port", "security", "sender", "username", "password", "authority")
_SECURITIES = {one.value: one for one in MailSecurity}
_MAX_TYPED = 60_000  # an authority may be several certificates
_NEWEST = 20  # of one's own letters, among which the last test is
Faults = dict[str, str]


@web.get("/settings/mail")
def settings_mail() -> str:
    """Show the mail server and how the last test went."""
    return _page()


@web.post("/settings/mail")
def settings_mail_save() -> Response | tuple[str, int]:
    """Send mails by this server from now on."""
    by, now = signed_in.by(), clock.now()
    require(by, Permission.EDIT_MUNICIPALITY)
    typed = {name: request.form.get(name, "")[:_MAX_TYPED].strip() for name in _FIELDS}
    try:
        with transaction():
            mail_server.save(_draft(typed), vault_key=vault_key(), by=by, now=now)
    except InvalidError as error:
        name, words = refusals_alerts.mail_server(error)
        return _page(typed=typed, faults={name: words}), 400
    notices.tell(_("The mail server is saved. Send yourself a test, to see that mails arrive."))
    return redirect(url_for("web.settings_mail"), 303)


@web.post("/settings/mail/test")
def settings_mail_test() -> Response | tuple[str, int]:
    """Send a mail to oneself."""
    by, now = signed_in.by(), clock.now()
    require(by, Permission.EDIT_MUNICIPALITY)
    try:
        with transaction():
            mail_server.test(_own(), by=by, now=now)
    except ConflictError as error:
        return _page(faults={"": refusals_alerts.test_mail(error)}), 409
    return redirect(url_for("web.settings_mail", _anchor="test-title"), 303)


@web.post("/settings/mail/remove")
def settings_mail_remove() -> Response:
    """Send no mails any more; what is to be sent waits."""
    by, now = signed_in.by(), clock.now()
    with transaction():
        mail_server.remove(by=by, now=now)
    notices.tell(_("The mail server is forgotten. Mails wait until there is one again."))
    return redirect(url_for("web.settings_mail"), 303)


def vault_key() -> bytes:
    """Return the key that seals what must not be read where it is stored."""
    config: Config = current_app.extensions["fleet_config"]
    return vault_key_of(config.secrets_dir, config.vault_key_file)


def _own() -> Account:
    found = signed_in.account()
    if found is None:
        raise LookupError("nobody is signed in")
    return found


def _draft(typed: Mapping[str, str]) -> Settings:
    security = _SECURITIES.get(typed["security"], MailSecurity.STARTTLS)
    port = whole(typed["port"]) or 0 if typed["port"] else USUAL_PORT[security]
    return Settings(
        typed["host"],
        port,
        security,
        typed["sender"],
        typed["username"] or None,
        typed["password"] or None,
        typed["authority"] or None,
    )


def _page(*, typed: Mapping[str, str] | None = None, faults: Faults | None = None) -> str:
    by = signed_in.by()
    kept = mail_server.load(by=by)
    own = _own()
    return show(
        "settings_mail",
        server=kept,
        typed=typed if typed is not None else _typed(kept),
        has_password=kept is not None and kept.password_sealed is not None,
        security_options=[(one.value, words_alerts.security(one)) for one in MailSecurity],
        test=_last_test(own),
        own_mail=topics.address_of(own),
        faults=faults or {},
        own_address=url_for("web.settings_mail"),  # also where a form was refused: its answer has no address of its own
    )


def _typed(kept: MailServer | None) -> Mapping[str, str]:
    """Return what is kept as it is typed; the password is never shown again."""
    if kept is None:
        return {**dict.fromkeys(_FIELDS, ""), "security": MailSecurity.STARTTLS.value}
    return {
        "host": kept.host,
        "port": str(kept.port),
        "security": kept.security.value,
        "sender": kept.sender,
        "username": kept.username or "",
        "password": "",
        "authority": kept.authority_pem or "",
    }


def _last_test(own: Account) -> Letter | None:
    newest = letters.listed(by=signed_in.by(), account_id=own.id, limit=_NEWEST)
    return next((one for one in newest if one.kind is LetterKind.TEST), None)
