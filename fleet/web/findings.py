"""All open findings that one may see, to be narrowed by kind and school; a page at a time."""

from dataclasses import dataclass

from flask import request

from fleet.access import Principal
from fleet.compliance import queries as compliance
from fleet.compliance.models import FindingKind
from fleet.schools import queries as schools
from fleet.web import signed_in
from fleet.web.blueprint import web
from fleet.web.pages import PAGE_SIZE, page_count, show
from fleet.web.values import whole

_KINDS = {kind.value: kind for kind in FindingKind}


@dataclass(frozen=True, slots=True)
class Choice:
    """What the filter says, as told by the address; what makes no sense there counts as nothing told."""

    kind: FindingKind | None
    school_id: int | None

    def filter(self) -> compliance.Filter:
        """Return which findings are meant."""
        return compliance.Filter(kind=self.kind, school_id=self.school_id)

    def told(self, page: int) -> dict[str, str]:
        """Return the same choice as an address tells it, at a page."""
        values = {"kind": self.kind, "school_id": self.school_id, "page": page if page > 1 else None}
        return {name: str(value) for name, value in values.items() if value}


@web.get("/findings")
def findings() -> str:
    """Show the findings, newest first."""
    by = signed_in.by()
    known = _schools(by)
    school_id = whole(request.args.get("school_id"))
    choice = Choice(_KINDS.get(request.args.get("kind", "")), school_id if school_id in known else None)
    count = compliance.count(choice.filter(), by=by)
    pages = page_count(count.findings)
    page = min(whole(request.args.get("page")) or 1, pages)  # findings close while one reads: the last page moves
    return show(
        "findings",
        findings=compliance.open_findings(choice.filter(), by=by, limit=PAGE_SIZE, offset=(page - 1) * PAGE_SIZE),
        count=count,
        choice=choice,
        kinds=list(FindingKind),
        schools=known,
        page=page,
        pages=pages,
    )


def _schools(by: Principal) -> dict[int, str]:
    """Return the names of the schools one looks after or teaches in, by id."""
    known = {row["id"]: row["name"] for row in schools.schools(by)}
    if by.own_class_ids:
        known |= {row["school_id"]: row["school"] for row in schools.classes(by) if row["id"] in by.own_class_ids}
    return known
