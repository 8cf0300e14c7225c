"""All rules: what each finds, how much that matters, where it counts, and switching one off and on again."""

from collections.abc import Mapping

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from fleet import clock
from fleet.access import Permission
from fleet.compliance import queries as compliance
from fleet.compliance import ruling
from fleet.compliance.rules import Rule
from fleet.db import transaction
from fleet.devices.models import Platform
from fleet.schools import queries as schools
from fleet.web import notices, signed_in, words, words_rules
from fleet.web.blueprint import web
from fleet.web.formats import number
from fleet.web.pages import show
from fleet.web.texts import translated as _

_FEW = 2  # schools that are named


@web.get("/rules")
def rules() -> str:
    """Show the rules, the municipality's own first."""
    by = signed_in.by()
    found = ruling.rules(by=by)
    known = schools.visible(by)
    left, of = ruling.progress(now=clock.now())
    return show(
        "rules",
        own=[one for one in found if not one.is_shipped],
        shipped=[one for one in found if one.is_shipped],
        counts=compliance.counts(by=by),
        where=lambda one: where(one, known),
        title=title,
        may_edit=by.may(Permission.EDIT_RULES),
        progress=words_rules.waiting(left, of) if left else "",
    )


def title(rule: Rule) -> str:
    """Return what a rule is called."""
    return words.finding_title(rule.code) if rule.is_shipped else rule.title or rule.code


def where(rule: Rule, known: Mapping[int, str]) -> str:
    """Say where a rule counts: at which schools, for which kinds of tablets."""
    told = []
    if rule.school_ids is not None:
        names = sorted(known.get(one, _("a school that is gone")) for one in rule.school_ids)
        more = len(names) - _FEW
        told.append(", ".join(names[:_FEW]) + (" " + _("and %(number)s more", number=number(more)) if more > 0 else ""))
    if rule.platforms is not None:
        told.append(", ".join(words.platform(Platform(one)) for one in sorted(rule.platforms)))
    return " · ".join(told) or _("Everywhere")


@web.post("/rules/<code>/switch")
def rule_switch(code: str) -> Response:
    """Switch a rule on or off, as the address says, with a way back."""
    is_on = request.args.get("to") == "on"
    by, now = signed_in.by(), clock.now()
    with transaction():
        called = title(ruling.switch(code, is_on=is_on, by=by, now=now))
    undo = url_for("web.rule_switch", code=code, to="off" if is_on else "on")
    told = (
        _("“%(title)s” is switched on. Tablets are looked at in the next minutes.", title=called)
        if is_on
        else _("“%(title)s” is switched off. Its findings close in the next minutes.", title=called)
    )
    notices.tell(told, undo=undo)
    return redirect(url_for("web.rules"), 303)
