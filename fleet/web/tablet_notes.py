"""Writing about a tablet, and correcting what it is called and whose it is."""

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from fleet import clock
from fleet.access import Permission, require
from fleet.db import transaction
from fleet.devices import editing, life, notes
from fleet.devices import queries as devices
from fleet.devices.models import Device, DeviceLife
from fleet.errors import FleetError, InvalidError, NotFoundError
from fleet.schools import finding as places_of
from fleet.schools import queries as schools
from fleet.web import notices, refusals_tablets, signed_in, tablet
from fleet.web.blueprint import web
from fleet.web.pages import show
from fleet.web.refusals_tablets import Faults
from fleet.web.texts import translated as _
from fleet.web.values import whole

_MAX_TYPED = 2_500
_ADDRESS = "/tablets/<serial>"


@web.post(f"{_ADDRESS}/notes")
def tablet_note(serial: str) -> Response | tuple[str, int]:
    """Write a note."""
    by, typed = signed_in.by(), request.form.get("text", "")[:_MAX_TYPED]
    try:
        with transaction():
            notes.add(devices.find_device(serial, by=by), typed, by=by, now=clock.now())
    except FleetError as error:
        faults = refusals_tablets.faults(error)
        if faults is None:
            raise
        device = devices.find_device(serial, by=by)
        return tablet.page(device, typed=typed, faults=faults), refusals_tablets.status(error)
    return _to(serial, _anchor="notes-title")


@web.post(f"{_ADDRESS}/notes/<int(max=2147483647):note_id>/remove")
def tablet_note_remove(serial: str, note_id: int) -> Response:
    """Remove a note."""
    by = signed_in.by()
    with transaction():
        notes.remove(devices.find_device(serial, by=by), note_id, by=by, now=clock.now())
    notices.tell(_("The note is removed."))
    return _to(serial)


@web.get(f"{_ADDRESS}/edit")
def tablet_edit(serial: str) -> str:
    """Show what can be corrected of a tablet: its asset tag, and whose own it is."""
    return _edit_page(_managed(serial))


@web.post(f"{_ADDRESS}/tag")
def tablet_tag(serial: str) -> Response | tuple[str, int]:
    """Give a tablet another asset tag."""
    by, typed = signed_in.by(), request.form.get("asset_tag", "")[:_MAX_TYPED]
    try:
        with transaction():
            editing.set_asset_tag(devices.find_device(serial, by=by), typed, by=by, now=clock.now())
    except FleetError as error:
        faults = refusals_tablets.faults(error)
        if faults is None:
            raise
        return _edit_page(_managed(serial), tag=typed, faults=faults), refusals_tablets.status(error)
    notices.tell(_("The asset tag is saved."))
    return _to(serial)


@web.post(f"{_ADDRESS}/pupil")
def tablet_pupil(serial: str) -> Response | tuple[str, int]:
    """Give a tablet to a pupil as the own, or take it back to the school, whichever the form names."""
    by, deed, number = signed_in.by(), request.form.get("act"), whole(request.form.get("person"))
    try:
        with transaction():
            device = _managed(serial)
            if deed not in {"give", "take"}:
                raise InvalidError(kind="form", field="act")
            if deed == "give" and number is None:
                raise InvalidError(kind="pupil", field="person")
            if device.school is None:
                raise NotFoundError(kind="school", name="")
            pupil = places_of.pupil(number, by=by) if deed == "give" and number is not None else None
            life.move(device, school=device.school, person=pupil, by=by, now=clock.now())
    except FleetError as error:
        faults = refusals_tablets.faults(error)
        if faults is None:
            raise
        return _edit_page(_managed(serial), faults=faults), refusals_tablets.status(error)
    notices.tell(_("The tablet is the pupil's own now.") if deed == "give" else _("The tablet is no pupil's own now."))
    return _to(serial)


def _managed(serial: str) -> Device:
    by = signed_in.by()
    device = devices.find_device(serial, by=by)
    require(by, Permission.MANAGE_DEVICES, school_id=device.school_id)
    return device


def _edit_page(device: Device, *, tag: str | None = None, faults: Faults | None = None) -> str:
    by = signed_in.by()
    class_id = whole(request.values.get("class"))
    of_class = places_of.seen_class(class_id, by=by) if class_id is not None else None
    members = schools.members(by, of_class) if of_class is not None else []
    pupils = [row for row in members if row["role"] == "pupil"]
    return show(
        "tablet_edit",
        **tablet.head(device),
        tag=tag if tag is not None else device.asset_tag or "",
        classes=places_of.basic_classes(by, Permission.MANAGE_DEVICES, school_id=device.school_id),
        of_class=of_class,
        pupils=pupils,
        has_one=devices.own_tablets([row["id"] for row in pupils], by=by),
        is_retired=device.life is DeviceLife.RETIRED,
        faults=faults or {},
    )


def _to(serial: str, *, _anchor: str | None = None) -> Response:
    return redirect(url_for("web.tablet", serial=serial, _anchor=_anchor), 303)
