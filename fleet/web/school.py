"""One school: its classes in figures, and its tablets, to be narrowed by words, class and state."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import request

from fleet import clock
from fleet.access import Permission
from fleet.compliance import queries as compliance
from fleet.compliance.models import FindingKind
from fleet.devices import queries as devices
from fleet.devices.models import Device, DeviceLife
from fleet.devices.queries import Figures, Filter
from fleet.lessons import finding
from fleet.schools import queries as schools
from fleet.web import signed_in
from fleet.web.blueprint import web
from fleet.web.pages import PAGE_SIZE, page_count, show, whole

_QUIET_AFTER = timedelta(days=1)
_MAX_TEXT = 100
STATES = ("findings", "waiting", "quiet", "expected", "pending", "lost", "retired")
_LIVES = {
    "expected": DeviceLife.EXPECTED,
    "pending": DeviceLife.PENDING,
    "lost": DeviceLife.LOST,
    "retired": DeviceLife.RETIRED,
}


@dataclass(frozen=True, slots=True)
class Choice:
    """What the filter says, as told by the address; what makes no sense there counts as nothing told."""

    text: str
    class_id: int | None
    state: str
    page: int

    def filter(self, school_id: int, now: datetime) -> Filter:
        """Return which tablets are meant: as in the figures, none that is out of use, unless one asks for those."""
        return Filter(
            school_id=school_id,
            class_id=self.class_id,
            text=self.text or None,
            life=_LIVES.get(self.state),
            not_seen_since=now - _QUIET_AFTER if self.state == "quiet" else None,
            has_findings=True if self.state == "findings" else None,
            is_pending=self.state == "waiting",
            with_retired=self.state == "retired",
        )

    def told(self, page: int) -> dict[str, str]:
        """Return the same choice as an address tells it, at another page."""
        values = {"q": self.text, "class_id": self.class_id, "state": self.state, "page": page if page > 1 else None}
        return {name: str(value) for name, value in values.items() if value}


def _choice() -> Choice:
    state = request.args.get("state", "")
    return Choice(
        text=request.args.get("q", "").strip()[:_MAX_TEXT],
        class_id=whole(request.args.get("class_id")),
        state=state if state in STATES else "",
        page=whole(request.args.get("page")) or 1,
    )


@web.get("/schools/<int(max=2147483647):school_id>")
def school(school_id: int) -> str:
    """Show a school."""
    by, now, choice = signed_in.by(), clock.now(), _choice()
    found = schools.visible_school(school_id, by=by)
    classes = sorted(schools.classes(by, school_id=school_id), key=_order)
    wanted = choice.filter(school_id, now)
    shown = devices.devices(wanted, by=by, limit=PAGE_SIZE, offset=(choice.page - 1) * PAGE_SIZE)
    count = devices.count(wanted, by=by)
    by_class = devices.figures(by=by, now=now, group="class", school_id=school_id)
    return show(
        "school",
        school=found,
        figures=devices.totals(by=by, now=now, school_id=school_id),
        classes=[(row, by_class.get(row["id"], Figures())) for row in classes],
        lessons=finding.by_class(school_id, by=by, now=now),
        taught=_taught(classes, school_id),
        without_class=by_class.get(None),
        devices=shown,
        findings=_kinds(shown, school_id),
        choice=choice,
        states=STATES,
        count=count,
        pages=page_count(count),
    )


def _taught(classes: Sequence[dict[str, Any]], school_id: int) -> set[int]:
    """Return the classes for which one may start a lesson."""
    may = signed_in.by().may
    return {row["id"] for row in classes if may(Permission.TEACH, school_id=school_id, class_id=row["id"])}


def _order(row: dict[str, Any]) -> tuple[bool, list[tuple[int, str]]]:
    """Order classes as people do: basic groups first, and 8A before 10A."""
    parts = re.findall(r"\d+|\D+", row["title"])
    return row["kind"] != "basic", [(int(part), "") if part.isdecimal() else (0, part.casefold()) for part in parts]


def _kinds(shown: Sequence[Device], school_id: int) -> dict[int, list[FindingKind]]:
    """Return the kinds of open findings by tablet; one statement, and none where no tablet has any."""
    kinds: dict[int, list[FindingKind]] = defaultdict(list)
    wanted = {device.id for device in shown if device.state.has_findings}
    if wanted:
        for finding in compliance.open_findings(compliance.Filter(school_id=school_id), by=signed_in.by()):
            if finding.device_id in wanted and finding.kind not in kinds[finding.device_id]:
                kinds[finding.device_id].append(finding.kind)
    return kinds
