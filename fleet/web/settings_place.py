"""Where settings hold: one school, or the whole municipality; both have the same pages."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import url_for

from fleet.access import Permission, Principal, require
from fleet.schools import queries as schools
from fleet.schools.models import School
from fleet.web import signed_in
from fleet.web.blueprint import web
from fleet.web.texts import translated as _

_View = TypeVar("_View", bound=Callable[..., Any])
_MUNICIPALITY = "/settings/calendar"
_SCHOOL = "/settings/schools/<int(max=2147483647):school_id>"


@dataclass(frozen=True, slots=True)
class Place:
    """A school, or (None) the municipality."""

    school: School | None

    @property
    def school_id(self) -> int | None:
        """The school's number."""
        return self.school.id if self.school is not None else None

    @property
    def title(self) -> str:
        """What the place is called on the page."""
        return self.school.name if self.school is not None else _("The municipality")

    def address(self, endpoint: str, **values: Any) -> str:
        """Return the address of one of the place's pages."""
        return url_for(f"web.{endpoint}", school_id=self.school_id, **values)


def at_places(method: str, below: str = "") -> Callable[[_View], _View]:
    """Have a view serve an address below each school's settings and below the municipality's (school_id None)."""

    def register(view: _View) -> _View:
        web.add_url_rule(f"{_SCHOOL}{below}", view_func=view, methods=[method])
        web.add_url_rule(f"{_MUNICIPALITY}{below}", view_func=view, methods=[method], defaults={"school_id": None})
        return view

    return register


def place(school_id: int | None, permission: Permission = Permission.EDIT_CALENDAR) -> Place:
    """Return the place whose settings are meant.

    Raises:
        NotFoundError: there is no such school, or not for the one who is signed in.
        ForbiddenError: one may not decide there.
    """
    by: Principal = signed_in.by()
    found = schools.visible_school(school_id, by=by) if school_id is not None else None
    require(by, permission, school_id=school_id)
    return Place(found)
