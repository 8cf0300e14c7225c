"""One rule: its editor, and the tester that says what a draft would find before anything counts.

Trying sends the whole form, so that nothing typed is lost and no script is needed. Saving looks whether the rule is
still as it was when the form was made.
"""

import json
from dataclasses import dataclass
from typing import Any

from flask import redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from fleet import clock
from fleet.access import Permission, require
from fleet.compliance import queries as compliance
from fleet.compliance import ruling, trying
from fleet.compliance.expressions import ExpressionError
from fleet.compliance.models import Severity
from fleet.compliance.rules import Rule
from fleet.compliance.ruling import Draft, RuleChangedError
from fleet.compliance.trying import TabletTrial, Trial
from fleet.db import transaction
from fleet.devices import queries as devices
from fleet.devices.models import Device, Platform
from fleet.errors import FleetError
from fleet.schools import queries as schools
from fleet.web import notices, refusals_rules, rule_titles, signed_in, words_fields, words_rules
from fleet.web.blueprint import web
from fleet.web.refusals_rules import Faults
from fleet.web.rule_form import Typed
from fleet.web.rules import title, where
from fleet.web.texts import translated as _


@dataclass(frozen=True, slots=True)
class Tried:
    """What trying a draft gave: on all tablets, or on one."""

    fleet: Trial | None = None
    tablet: TabletTrial | None = None
    device: Device | None = None
    document: str = ""
    value: str = ""


@web.get("/rules/new")
def rule_new() -> str:
    """Show the form for a rule of one's own."""
    require(signed_in.by(), Permission.EDIT_RULES)
    return _page(None, Typed(platforms=tuple(Platform)))


@web.post("/rules/new")
def rule_make() -> Response | tuple[str, int] | str:
    """Try or save a new rule."""
    require(signed_in.by(), Permission.EDIT_RULES)
    return _take(None)


@web.get("/rules/<code>")
def rule(code: str) -> str:
    """Show a rule."""
    found = ruling.rule(code, by=signed_in.by())
    return _page(found, Typed.of(found))


@web.post("/rules/<code>")
def rule_save(code: str) -> Response | tuple[str, int] | str:
    """Try or save a rule that is changed."""
    by = signed_in.by()
    require(by, Permission.EDIT_RULES)
    return _take(ruling.rule(code, by=by))


def _take(found: Rule | None) -> Response | tuple[str, int] | str:
    typed, deed = Typed.read(request.form), request.form.get("do", "")
    draft = typed.draft(found)
    if isinstance(draft, dict):
        return _page(found, typed, draft), 400
    try:
        if deed in {"save", "overwrite"}:
            return _save(found, typed, draft, overwrites=deed == "overwrite")
        tried = _on_tablet(typed, draft) if deed == "tablet" else _over_fleet(draft)
    except RuleChangedError:
        return _page(found, typed, {"": _late()}, is_late=True), 409
    except FleetError as error:
        faults = refusals_rules.of_rule(error)
        if faults is None:
            raise
        caret = None
        if isinstance(error, ExpressionError):
            name = next(iter(faults))
            caret = refusals_rules.caret(error, typed.expression(name), typed.start_of_fault(name))
            faults = {caret.field: refusals_rules.with_place(error, caret)}
        return _page(found, typed, faults, caret=caret), refusals_rules.status(error)
    return _page(found, typed, tried=tried)


def _late() -> str:
    return _("Somebody has changed this rule since you opened it. Look at it in another tab, or save yours over it.")


def _save(found: Rule | None, typed: Typed, draft: Draft, *, overwrites: bool) -> Response:
    by, now = signed_in.by(), clock.now()
    version = int(typed.version) if typed.version.isdecimal() and not overwrites else None
    if overwrites and found is not None:
        version = found.version
    with transaction():
        saved = ruling.save(draft, by=by, now=now, version=version)
        code = saved.code
    rule_titles.forget()
    notices.tell(_("The rule is saved. Tablets are looked at in the next minutes."))
    return redirect(url_for("web.rule", code=code), 303)


def _over_fleet(draft: Draft) -> Tried:
    return Tried(fleet=trying.over_fleet(draft, by=signed_in.by(), now=clock.now()))


def _on_tablet(typed: Typed, draft: Draft) -> Tried:
    by = signed_in.by()
    device = devices.find_device(typed.serial, by=by)
    trial = trying.on_tablet(draft, device.id, by=by, now=clock.now())
    shown = json.dumps(trial.document, indent=2, ensure_ascii=False, sort_keys=True, default=str)
    value = json.dumps(trial.value, indent=2, ensure_ascii=False, default=str)
    return Tried(tablet=trial, device=device, document=shown, value=value)


@web.post("/rules/<code>/reset")
def rule_reset(code: str) -> Response:
    """Have a rule that comes with the server be as it came."""
    with transaction():
        ruling.reset(code, by=signed_in.by(), now=clock.now())
    notices.tell(_("The rule is as it came with the server."))
    return redirect(url_for("web.rule", code=code), 303)


@web.post("/rules/<code>/remove")
def rule_remove(code: str) -> Response:
    """End a rule of one's own; its findings close."""
    by, now = signed_in.by(), clock.now()
    require(by, Permission.EDIT_RULES)
    with transaction():
        called = title(ruling.rule(code, by=by))
        ruling.remove(code, by=by, now=now)
    rule_titles.forget()
    notices.tell(_("“%(title)s” is removed. Its findings close in the next minutes.", title=called))
    return redirect(url_for("web.rules"), 303)


def _page(
    found: Rule | None, typed: Typed, faults: Faults | None = None, *, tried: Tried | None = None, **more: Any
) -> str:
    by = signed_in.by()
    known = schools.visible(by)
    return render_template(
        "rule.html",
        rule=found,
        called=title(found) if found is not None else _("New rule"),
        typed=typed,
        faults=faults or {},
        caret=more.get("caret"),
        is_late=more.get("is_late", False),
        where=where(found, known) if found is not None else "",
        may_edit=by.may(Permission.EDIT_RULES),
        tried=tried or Tried(),
        count=compliance.counts(by=by).get(found.code, 0) if found is not None else 0,
        schools=known,
        platforms=list(Platform),
        severities=[(one.value, words_rules.severity(one).words, words_rules.severity_about(one)) for one in Severity],
        fields=words_fields.fields(),
        functions=words_fields.functions(),
        examples=words_fields.examples(),
    )
