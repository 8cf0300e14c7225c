"""The way around: which pages the navigation offers to whom. An offer only: each page asks the domain for itself."""

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Flask, request, url_for

from fleet.access import Permission, Principal, Role
from fleet.schools import first_run
from fleet.web import signed_in
from fleet.web.texts import translated as _


@dataclass(frozen=True, slots=True)
class Item:
    """One page that is offered: its words, its address, its icon's name, and whether one is on it or beneath it."""

    words: str
    address: str
    icon: str
    is_here: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Pages that belong together; the first group has no title."""

    title: str
    items: Sequence[Item]


def install(app: Flask) -> None:
    """Give templates the navigation of whoever is signed in."""
    app.context_processor(lambda: {"navigation": groups() if signed_in.account() is not None else []})


def groups() -> list[Group]:
    """Return what is offered to the one who is signed in."""
    by = signed_in.by()
    told = [
        (
            "",
            [
                ("overview", _("Today"), "today", True),
                ("lessons", _("Lessons"), "lesson", True),
                ("setup", _("Getting started"), "check", is_in_first_run(by)),
            ],
        ),
        (
            _("Fleet"),
            [
                ("tablets", _("Tablets"), "tablet", bool(by.grants)),
                ("schools", _("Schools"), "school", bool(by.grants)),
                ("findings", _("Findings"), "finding", bool(by.grants)),
                ("silence", _("Silence"), "silent", _anywhere(by, Permission.SEE_SCHOOL)),
                ("reports", _("Reports"), "report", bool(by.grants)),
                ("orders", _("Orders"), "order", _anywhere(by, Permission.ORDER_GENTLE)),
                ("enrolment", _("Enrolment"), "qr", _anywhere(by, Permission.MANAGE_TICKETS)),
            ],
        ),
        (
            _("What tablets have"),
            [
                ("profiles", _("Profiles"), "profile", _anywhere(by, Permission.ASSIGN_SCHOOL)),
                ("assignments", _("Assignments"), "matrix", _anywhere(by, Permission.ASSIGN_SCHOOL)),
                ("apps", _("Apps"), "app", _anywhere(by, Permission.ASSIGN_SCHOOL)),
                ("images", _("Images"), "image", _anywhere(by, Permission.ASSIGN_SCHOOL)),
                ("rules", _("Rules"), "rule", _anywhere(by, Permission.ANSWER_FINDINGS)),
            ],
        ),
        (
            _("Operation"),
            [
                ("imports", _("Imports"), "import", _anywhere(by, Permission.IMPORT_DEVICES)),
                ("people", _("People"), "people", _anywhere(by, Permission.MANAGE_PEOPLE)),
                ("settings", _("Settings"), "settings", _anywhere(by, Permission.EDIT_CALENDAR)),
                ("jobs", _("Jobs"), "job", _anywhere(by, Permission.RUN_JOBS)),
                ("audit", _("Audit log"), "audit", _anywhere(by, Permission.READ_AUDIT)),
            ],
        ),
    ]
    if is_teacher_only(by):
        told[0] = ("", told[0][1][::-1])
    made = [Group(title, [_item(*row[:3]) for row in rows if row[3]]) for title, rows in told]
    return [group for group in made if group.items]


def is_teacher_only(by: Principal) -> bool:
    """Whether somebody is a teacher and nothing else: what one needs then fits above the page."""
    return all(grant.role is Role.TEACHER for grant in by.grants)


def is_in_first_run(by: Principal) -> bool:
    """Whether somebody is still asked about the first run of the server."""
    return by.may(Permission.EDIT_MUNICIPALITY) and not first_run.is_over()


def _anywhere(by: Principal, permission: Permission) -> bool:
    return by.school_ids(permission) != frozenset()


def _item(endpoint: str, words: str, icon: str) -> Item:
    address = url_for(f"web.{endpoint}")
    path = request.path
    is_here = path == address or (address != "/" and path.startswith(f"{address}/"))
    return Item(words, address, icon, is_here)
