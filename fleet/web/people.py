"""Who has access: a list that can be narrowed, and what each role may."""

from dataclasses import dataclass

from flask import render_template, request

from fleet.access import Permission, Role, require
from fleet.people import queries
from fleet.people.queries import Filter, Standing
from fleet.schools import queries as schools
from fleet.web import signed_in
from fleet.web.blueprint import web
from fleet.web.pages import PAGE_SIZE, page_count, show
from fleet.web.values import whole

_ROLES = {one.value: one for one in Role}
_STANDINGS = {one.value: one for one in Standing}
_MAX_TEXT = 100


@dataclass(frozen=True, slots=True)
class Choice:
    """What the filter says, as told by the address; what makes no sense there counts as nothing told."""

    filter: Filter

    def told(self, page: int) -> dict[str, str]:
        """Return the same choice as an address tells it, at a page."""
        values = {
            "q": self.filter.text,
            "role": self.filter.role,
            "school_id": self.filter.school_id,
            "standing": self.filter.standing,
            "page": page if page > 1 else None,
        }
        return {name: str(value) for name, value in values.items() if value}


@web.get("/people")
def people() -> str:
    """Show the accounts, by name."""
    by = signed_in.by()
    require(by, Permission.MANAGE_PEOPLE)
    known = schools.visible(by)
    school_id = whole(request.args.get("school_id"))
    choice = Choice(
        Filter(
            text=request.args.get("q", "").strip()[:_MAX_TEXT],
            role=_ROLES.get(request.args.get("role", "")),
            school_id=school_id if school_id in known else None,
            standing=_STANDINGS.get(request.args.get("standing", "")),
        )
    )
    found = queries.matching(choice.filter, by=by)
    pages = page_count(len(found))
    page = min(whole(request.args.get("page")) or 1, pages)
    return show(
        "people",
        count=len(found),
        accounts=queries.accounts(found[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]),
        choice=choice,
        schools=known,
        all_roles=list(Role),
        standings=list(Standing),
        page=page,
        pages=pages,
    )


@web.get("/people/roles")
def people_roles() -> str:
    """Show what each role may."""
    require(signed_in.by(), Permission.MANAGE_PEOPLE)
    return render_template("people_roles.html", all_roles=list(Role), permissions=list(Permission))
