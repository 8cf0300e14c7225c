"""One finding: what it says, what was done about it and by whom, and what can be done now."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from flask import request, url_for
from werkzeug.wrappers import Response

from fleet import clock
from fleet.access import Permission
from fleet.compliance import acting
from fleet.compliance import queries as compliance
from fleet.compliance.models import Finding, FindingAct, FindingEvent
from fleet.people import names
from fleet.web import finding_answers, signed_in, words, words_rules
from fleet.web.blueprint import web
from fleet.web.finding_answers import Typed
from fleet.web.formats import minute
from fleet.web.pages import show
from fleet.web.refusals_rules import Faults
from fleet.web.texts import translated as _

_ADDRESS = "/findings/<int(max=2147483647):finding_id>"


@dataclass(frozen=True, slots=True)
class Happened:
    """One thing in a finding's life: when, what, and by whom with which words where a person did it."""

    at: datetime
    icon: str
    title: str
    who: str = ""
    detail: str = ""
    tone: str = "plain"


@web.get(_ADDRESS)
def finding(finding_id: int) -> str:
    """Show a finding."""
    return _page(finding_id, None, {})


@web.post(_ADDRESS)
def finding_answer(finding_id: int) -> Response | tuple[str, int]:
    """Do what was asked for about one finding."""
    typed = Typed.read([str(finding_id)])
    back = url_for("web.finding", finding_id=finding_id)
    if request.args.get("back") == "tablet":
        back = url_for("web.tablet", serial=compliance.find(finding_id, by=signed_in.by()).device.serial)
    found = finding_answers.answer(typed, back)
    return (_page(finding_id, typed, found), 400) if isinstance(found, dict) else found


def _page(finding_id: int, typed: Typed | None, faults: Faults) -> str:
    by, now = signed_in.by(), clock.now()
    found = compliance.find(finding_id, by=by)
    device = found.device
    may_answer = by.may(Permission.ANSWER_FINDINGS, school_id=device.school_id)
    return show(
        "finding",
        finding=found,
        device=device,
        happened=list(_life(found)),
        may_answer=may_answer,
        typed=typed or (finding_answers.first(device.school_id, now) if may_answer else Typed()),
        faults=faults,
    )


def _life(found: Finding) -> Iterator[Happened]:
    """Tell a finding's life, the newest first; two statements."""
    events = acting.events([found.id], by=signed_in.by())
    known = names.of({one.by for one in events})
    if found.closed_at is not None and found.closed_by is None:
        yield Happened(found.closed_at, "check", _("In order again"), tone="good")
    for one in events:
        yield told(one, known.get(one.by, ""))
    yield Happened(found.opened_at, "finding", words.finding_title(found.kind), detail=_("Opened"), tone="bad")


_ICONS = {
    FindingAct.ACKNOWLEDGED: "check", FindingAct.SNOOZED: "clock", FindingAct.WOKEN: "bell",
    FindingAct.CLOSED: "cross", FindingAct.REOPENED: "undo",
}  # fmt: skip


def told(one: FindingEvent, who: str) -> Happened:
    """Tell what somebody did about a finding."""
    until = _("until %(when)s", when=minute(one.until)) if one.until is not None else ""
    detail = " · ".join(part for part in (until, one.note or "") if part)
    return Happened(one.at, _ICONS[one.act], words_rules.act(one.act), who, detail)
