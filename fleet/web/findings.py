"""All findings that one may see, to be narrowed by attention, severity, kind and school; a page at a time.

Several can be chosen and answered together. Without a script the form works the same.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import request, url_for
from werkzeug.wrappers import Response

from fleet import clock
from fleet.access import Permission, Principal
from fleet.compliance import queries as compliance
from fleet.compliance.models import Finding, FindingKind, Severity
from fleet.compliance.queries import Attention
from fleet.schools import queries as schools
from fleet.web import finding_answers, rule_titles, signed_in
from fleet.web.blueprint import web
from fleet.web.finding_answers import Typed
from fleet.web.pages import PAGE_SIZE, page_count, show
from fleet.web.refusals_rules import Faults
from fleet.web.values import whole

_CLOSED = "closed"
ATTENTIONS = ("", *(one.value for one in Attention), _CLOSED)
_SEVERITIES = {one.value: one for one in Severity}


@dataclass(frozen=True, slots=True)
class Choice:
    """What the filter says, as told by the address; what makes no sense there counts as nothing told."""

    attention: str = ""
    severity: Severity | None = None
    kind: str | None = None
    school_id: int | None = None

    @classmethod
    def read(cls, args: Mapping[str, str], known: Mapping[int, str]) -> "Choice":
        """Return what an address' parameters say."""
        attention, kind, school_id = args.get("attention", ""), args.get("kind", ""), whole(args.get("school_id"))
        return cls(
            attention if attention in ATTENTIONS else "",
            _SEVERITIES.get(args.get("severity", "")),
            kind if kind in {*FindingKind} or (kind and kind in rule_titles.own()) else None,
            school_id if school_id in known else None,
        )

    def filter(self, now: datetime) -> compliance.Filter:
        """Return which findings are meant."""
        is_closed = self.attention == _CLOSED
        return compliance.Filter(
            kind=self.kind,
            school_id=self.school_id,
            severity=self.severity,
            attention=Attention(self.attention) if self.attention and not is_closed else None,
            is_closed=is_closed,
            now=now,
        )

    def told(self, page: int = 1) -> dict[str, Any]:
        """Return the same choice as an address tells it, at a page."""
        values = {
            "attention": self.attention, "severity": self.severity, "kind": self.kind, "school_id": self.school_id,
            "page": page if page > 1 else None,
        }  # fmt: skip
        return {name: str(value) for name, value in values.items() if value}


@web.get("/findings")
def findings() -> str:
    """Show the findings, newest first."""
    return _page(None, {})


@web.post("/findings")
def findings_answer() -> Response | tuple[str, int]:
    """Acknowledge, snooze, wake, close or open again what was chosen; the address has the list's choice."""
    typed = Typed.read()
    choice = Choice.read(request.args, _schools(signed_in.by()))
    found = finding_answers.answer(typed, url_for("web.findings", **choice.told(whole(request.args.get("page")) or 1)))
    return (_page(typed, found), 400) if isinstance(found, dict) else found


def _page(typed: Typed | None, faults: Faults) -> str:
    by, now = signed_in.by(), clock.now()
    known = _schools(by)
    choice = Choice.read(request.args, known)
    count = compliance.count(choice.filter(now), by=by)
    pages = page_count(count.findings)
    page = min(whole(request.args.get("page")) or 1, pages)  # findings close while one reads: the last page moves
    may_answer = by.school_ids(Permission.ANSWER_FINDINGS)
    is_answered = may_answer != frozenset()
    return show(
        "findings",
        findings=compliance.open_findings(choice.filter(now), by=by, limit=PAGE_SIZE, offset=(page - 1) * PAGE_SIZE),
        count=count,
        choice=choice,
        attentions=ATTENTIONS,
        severities=list(Severity),
        kinds=[*FindingKind, *rule_titles.own()],
        schools=known,
        page=page,
        pages=pages,
        may_answer=lambda one: _is_answerable(one, may_answer),
        is_answered=is_answered,
        typed=typed or (finding_answers.first(None, now) if is_answered else Typed()),
        faults=faults,
        own_address=url_for("web.findings", **choice.told(page)),
    )


def _is_answerable(one: Finding, at: Collection[int] | None) -> bool:
    """Whether anything can be done about a finding by who may at these schools (None: all)."""
    is_over = one.closed_at is not None and not one.is_mute
    return not is_over and (at is None or one.device.school_id in at)


def _schools(by: Principal) -> dict[int, str]:
    """Return the names of the schools one looks after or teaches in, by id."""
    known: dict[int, Any] = {row["id"]: row["name"] for row in schools.schools(by)}
    if by.own_class_ids:
        known |= {row["school_id"]: row["school"] for row in schools.classes(by) if row["id"] in by.own_class_ids}
    return known
