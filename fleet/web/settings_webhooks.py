"""Webhooks: which other programs are told of what, and a new one, whose secret is shown once."""

from collections.abc import Mapping, Sequence

from flask import render_template, request, url_for

from fleet import clock
from fleet.access import Permission, Principal, require
from fleet.alerts import webhooks
from fleet.alerts.webhooks import Draft, Made
from fleet.db import transaction
from fleet.errors import InvalidError
from fleet.schools import queries as schools
from fleet.web import refusals_alerts, signed_in
from fleet.web.blueprint import web
from fleet.web.settings_mail import vault_key
from fleet.web.values import whole

EVERYWHERE = "all"
_MAX_TYPED = 600
Typed = Mapping[str, str | Sequence[str]]
Faults = dict[str, str]


def require_any(by: Principal) -> None:
    """Refuse who decides on alerts nowhere."""
    if by.school_ids(Permission.EDIT_ALERTS) == frozenset():
        require(by, Permission.EDIT_ALERTS)


@web.get("/settings/webhooks")
def settings_webhooks() -> str:
    """Show the webhooks that one decides on."""
    by = signed_in.by()
    require_any(by)
    return render_template("settings_webhooks.html", webhooks=webhooks.listed(by=by), now=clock.now())


@web.get("/settings/webhooks/new")
def settings_webhook_new() -> str:
    """Show the form for a new webhook."""
    require_any(signed_in.by())
    return _form({})


@web.post("/settings/webhooks/new")
def settings_webhook_create() -> str | tuple[str, int]:
    """Make a webhook, and show its secret."""
    by, now = signed_in.by(), clock.now()
    require_any(by)
    typed = typed_in()
    try:
        with transaction():
            made = webhooks.create(draft_of(typed), vault_key=vault_key(), by=by, now=now)
            return secret_page(made, is_new=True)
    except InvalidError as error:
        name, words = refusals_alerts.webhook(error)
        return _form(typed, {name: words}), 400


def typed_in() -> Typed:
    """Return what the form says of a webhook."""
    told: dict[str, str | Sequence[str]] = {
        name: request.form.get(name, "")[:_MAX_TYPED].strip() for name in ("name", "address", "school_id", "private")
    }
    return {**told, "topics": request.form.getlist("topics")}


def draft_of(typed: Typed) -> Draft:
    """Return what was typed as the domain wants it; no school: all of them."""
    known = [one for one in webhooks.TOPICS if one.value in typed["topics"]]
    return Draft(
        str(typed["name"]), str(typed["address"]), known, whole(str(typed["school_id"])), bool(typed["private"])
    )  # fmt: skip


def fields(typed: Typed) -> dict[str, object]:
    """Return what the form's fields need."""
    by = signed_in.by()
    among = by.school_ids(Permission.EDIT_ALERTS)
    known = {school_id: name for school_id, name in schools.visible(by).items() if among is None or school_id in among}
    return {
        "typed": {"name": "", "address": "", "school_id": "", "private": "", "topics": [], **typed},
        "schools": known,
        "may_all": among is None,
        "may_private": by.may(Permission.EDIT_MUNICIPALITY),
        "topics": [one for one in webhooks.TOPICS if among is None or one not in webhooks.EVERYWHERE_ONLY],
        "everywhere_only": webhooks.EVERYWHERE_ONLY,
        "everywhere": EVERYWHERE,
    }


def secret_page(made: Made, *, is_new: bool) -> str:
    """Return the page that shows a secret, the only time it can."""
    address = url_for("web.settings_webhook", webhook_id=made.webhook.id)
    return render_template(
        "webhook_secret.html", webhook=made.webhook, secret=made.secret, is_new=is_new, address=address
    )  # fmt: skip


def _form(typed: Typed, faults: Faults | None = None) -> str:
    return render_template("webhook_new.html", **fields(typed), faults=faults or {})
