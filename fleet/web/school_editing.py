"""Schools and classes made, named and ended by hand, where no roster has them; what a roster names is named there."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from flask import redirect, request, url_for
from flask_babel import ngettext
from werkzeug.wrappers import Response

from fleet import clock
from fleet.access import Permission, Principal, require
from fleet.db import transaction
from fleet.devices import queries as devices
from fleet.devices.queries import Filter
from fleet.errors import ConflictError, FleetError, InvalidError
from fleet.schools import editing
from fleet.schools import finding as places_of
from fleet.schools import queries as schools
from fleet.schools.models import ClassKind, School, SchoolClass
from fleet.web import notices, signed_in
from fleet.web.blueprint import web
from fleet.web.pages import show
from fleet.web.texts import translated as _

_MAX_TYPED = 2_000
_MAX_CLASSES = 60
_BY_ROSTER = "the roster names it"
_SCHOOL = "/schools/<int(max=2147483647):school_id>"
_CLASS = "/classes/<int(max=2147483647):class_id>"
_KINDS = {one.value: one for one in ClassKind}
Faults = Mapping[str, str]
Answer = Response | tuple[str, int]


def typed_titles(told: str) -> list[str]:
    """Return the titles of classes that somebody wrote with commas or lines between, each once.

    Raises:
        InvalidError: there are too many for one form.
    """
    parts = told[:_MAX_TYPED].replace("\n", ",").split(",")
    found = list(dict.fromkeys(" ".join(one.split()) for one in parts if one.strip()))
    if len(found) > _MAX_CLASSES:
        raise InvalidError(kind="class", reason="many")
    return found


def faults_of(error: FleetError) -> dict[str, str] | None:
    """Say at which field of a form a name is refused and why; None where it is about none."""
    data: Mapping[str, Any] = error.data
    if data.get("kind") == "school":
        return {"school": _of_school(error)}
    return {"classes": _of_class(error)} if data.get("kind") == "class" else None


def _of_school(error: FleetError) -> str:
    if not isinstance(error, ConflictError):
        return _("Write the school's name, with at most %(number)s characters.", number=editing.MAX_NAME)
    if error.data.get("reason") == _BY_ROSTER:
        return _("The roster names this school, so it is renamed there.")
    return _("There is a school of this name already.")


def _of_class(error: FleetError) -> str:
    if not isinstance(error, ConflictError):
        if error.data.get("reason") == "many":
            return _("At most %(number)s classes at a time.", number=_MAX_CLASSES)
        return _("Write the class's name, with at most %(number)s characters.", number=editing.MAX_NAME)
    if error.data.get("reason") == _BY_ROSTER:
        return _("The roster names this class, so it is renamed there.")
    return _("There is a class called “%(title)s” already.", title=error.data.get("name", ""))


@web.get("/schools/new")
def school_new() -> str:
    """Show the form for a new school."""
    require(signed_in.by(), Permission.EDIT_MUNICIPALITY)
    return _new({})


def _new(faults: Faults) -> str:
    typed = {name: request.form.get(name, "")[:_MAX_TYPED] for name in ("school", "classes")}
    return show("school_new", typed=typed, faults=faults)


@web.post("/schools/new")
def school_make() -> Answer:
    """Make a school, with its first classes."""
    by, now = signed_in.by(), clock.now()
    require(by, Permission.EDIT_MUNICIPALITY)
    try:
        with transaction():
            made = make_school(by, now)
            made_id, made_name = made.id, made.name
    except (InvalidError, ConflictError) as error:
        return _new(faults_of(error) or {}), 400
    notices.tell(_("%(school)s is made.", school=made_name))
    return redirect(url_for("web.school", school_id=made_id), 303)


def make_school(by: Principal, now: datetime) -> School:
    """Make the school that a form tells, with its first classes."""
    made = editing.create_school(request.form.get("school", "")[:_MAX_TYPED], by=by, now=now)
    for title in typed_titles(request.form.get("classes", "")):
        editing.create_class(made, title, by=by, now=now)
    return made


@web.get(f"{_SCHOOL}/edit")
def school_edit(school_id: int) -> str:
    """Show what can be changed about a school and its classes by hand."""
    return _edit(_school(school_id, signed_in.by()), {})


def _school(school_id: int, by: Principal) -> School:
    found = schools.visible_school(school_id, by=by)
    require(by, Permission.EDIT_SCHOOL, school_id=found.id)
    return found


def _edit(found: School, faults: Faults) -> str:
    by = signed_in.by()
    return show(
        "school_edit",
        school=found,
        may_rename=by.may(Permission.EDIT_MUNICIPALITY),
        typed={name: request.form.get(name, "")[:_MAX_TYPED] for name in ("school", "classes", "kind")},
        faults=faults,
    )


@web.post(f"{_SCHOOL}/name")
def school_rename(school_id: int) -> Answer:
    """Give a school another name."""
    name = request.form.get("school", "")[:_MAX_TYPED]

    def act(found: School, by: Principal, now: datetime) -> str:
        editing.rename_school(found, name, by=by, now=now)
        return _("The school is called %(name)s now.", name=found.name)

    return _at_school(school_id, act)


@web.post(f"{_SCHOOL}/classes")
def school_classes(school_id: int) -> Answer:
    """Make classes of a school."""
    kind = _KINDS.get(request.form.get("kind", ""), ClassKind.BASIC)

    def act(found: School, by: Principal, now: datetime) -> str:
        titles = typed_titles(request.form.get("classes", ""))
        if not titles:
            raise InvalidError(kind="class", reason="name")
        for title in titles:
            editing.create_class(found, title, kind=kind, by=by, now=now)
        return str(ngettext("%(num)d class is made.", "%(num)d classes are made.", len(titles)))

    return _at_school(school_id, act)


def _at_school(school_id: int, act: Callable[[School, Principal, datetime], str]) -> Answer:
    by, now = signed_in.by(), clock.now()
    try:
        with transaction():
            told = act(_school(school_id, by), by, now)
    except (InvalidError, ConflictError) as error:
        return _edit(_school(school_id, by), faults_of(error) or {}), 400
    notices.tell(told)
    return redirect(url_for("web.school", school_id=school_id), 303)


@web.get(f"{_CLASS}/edit")
def class_edit(class_id: int) -> str:
    """Show what can be changed about a class by hand."""
    return _edit_class(_class(class_id, signed_in.by()), {})


def _class(class_id: int, by: Principal) -> SchoolClass:
    found = places_of.seen_class(class_id, by=by)
    require(by, Permission.EDIT_SCHOOL, school_id=found.school_id)
    return found


def _edit_class(found: SchoolClass, faults: Faults) -> str:
    by = signed_in.by()
    return show(
        "class_edit",
        school_class=found,
        tablets=devices.count(Filter(class_id=found.id, with_retired=False), by=by),
        title=request.form.get("classes", found.title)[:_MAX_TYPED],
        faults=faults,
    )


@web.post(f"{_CLASS}/name")
def class_rename(class_id: int) -> Answer:
    """Give a class another title."""
    by, now = signed_in.by(), clock.now()
    try:
        with transaction():
            found = _class(class_id, by)
            editing.rename_class(found, request.form.get("classes", "")[:_MAX_TYPED], by=by, now=now)
            title = found.title
    except (InvalidError, ConflictError) as error:
        return _edit_class(_class(class_id, by), faults_of(error) or {}), 400
    notices.tell(_("The class is called %(name)s now.", name=title))
    return redirect(url_for("web.school_class", class_id=class_id), 303)


@web.post(f"{_CLASS}/end")
def class_end(class_id: int) -> Answer:
    """End a class, with a way back."""
    by, now = signed_in.by(), clock.now()
    try:
        with transaction():
            found = _class(class_id, by)
            editing.end_class(found, by=by, now=now)
            title, school_id = found.title, found.school_id
    except ConflictError:
        return _edit_class(_class(class_id, by), {"": _("The roster has this class, so it ends there.")}), 400
    notices.tell(_("Class %(name)s is ended.", name=title), undo=url_for("web.class_restore", class_id=class_id))
    return redirect(url_for("web.school", school_id=school_id), 303)


@web.post(f"{_CLASS}/restore")
def class_restore(class_id: int) -> Response:
    """Take up a class again that was ended."""
    by, now = signed_in.by(), clock.now()
    try:
        with transaction():
            found = editing.restore_class(class_id, by=by, now=now)
            title = found.title
    except ConflictError as error:
        taken = str(error.data.get("name", ""))
        notices.warn(_("The class is not taken up again: another one is called %(name)s by now.", name=taken))
        return redirect(url_for("web.schools"), 303)
    notices.tell(_("Class %(name)s is there again.", name=title))
    return redirect(url_for("web.school_class", class_id=class_id), 303)
