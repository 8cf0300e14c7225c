"""One tablet: how it stands in words, what was found, what its home screen looks like, whose it is, and notes.

Its other tabs are modules of their own: why it has what it has, what happened, its orders, and correcting it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import request, url_for

from fleet import clock
from fleet.access import Permission, Principal
from fleet.android import admin_password
from fleet.assignments import bodies
from fleet.compliance import incidents
from fleet.compliance import queries as compliance
from fleet.devices import holders, notes
from fleet.devices import queries as devices
from fleet.devices.life import STEPS
from fleet.devices.models import Device, DeviceLife
from fleet.lessons import finding
from fleet.orders import preview as previews
from fleet.people import names
from fleet.web import app_names, finding_answers, signed_in, words, words_tablets
from fleet.web.blueprint import web
from fleet.web.home_screen import home
from fleet.web.pages import show
from fleet.web.refusals_tablets import Faults
from fleet.web.texts import translated as _
from fleet.web.words_tablets import MOVE
from profiles.vocabulary import VOCABULARY

# As one reads them: what is gentle, then where it belongs, and last what one may regret.
_ORDER = (
    "message", "ring", "lock-message", "report-now", "restart", "open-url", "shut-down", "update-system", "locate",
    MOVE, "found", "reinstate", "lost", "retire", "clear-passcode", "wipe",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tab:
    """One of a tablet's pages."""

    words: str
    address: str
    is_here: bool


def tabs(device: Device) -> list[Tab]:
    """Return a tablet's pages, with the one that is asked for marked."""
    told = (
        ("tablet", _("Overview")),
        ("tablet_why", _("Why it has what it has")),
        ("tablet_silence", _("Contact")),
        ("tablet_timeline", _("Timeline")),
        ("tablet_orders", _("Orders")),
    )
    here = (request.endpoint or "").rpartition(".")[2]
    return [Tab(words, url_for(f"web.{name}", serial=device.serial), here == name) for name, words in told]


def actions(device: Device, by: Principal) -> list[str]:
    """Return what can be done with a tablet as it stands, the gentlest first; one statement."""
    found = {one.value for one in previews.offered(device, by=by)}
    if by.may(Permission.MANAGE_DEVICES, school_id=device.school_id):
        found |= {name for name, (allowed, _to) in STEPS.items() if device.life in allowed}
        found |= {MOVE} if device.life is not DeviceLife.RETIRED else set()
    return [name for name in _ORDER if name in found]


def head(device: Device) -> dict[str, Any]:
    """Return what the head of each of a tablet's pages needs; two statements."""
    by = signed_in.by()
    told = [(name, words_tablets.action(name)) for name in actions(device, by)]
    return {
        "device": device,
        "place": _place(device, by),
        "tabs": tabs(device),
        "gentle": [one for one in told if one[0] not in words_tablets.DESTRUCTIVE],
        "hard": [one for one in told if one[0] in words_tablets.DESTRUCTIVE],
        "may_manage": by.may(Permission.MANAGE_DEVICES, school_id=device.school_id),
        "is_it": by.may(Permission.SEE_SCHOOL, school_id=device.school_id),
    }


@web.get("/tablets/<serial>")
def tablet(serial: str) -> str:
    """Show a tablet, by serial or asset tag."""
    return page(devices.find_device(serial, by=signed_in.by()))


def page(device: Device, *, typed: str = "", faults: Faults | None = None) -> str:
    """Show a tablet's first page, with the note that somebody was writing where it was refused."""
    by, now = signed_in.by(), clock.now()
    written, settings = notes.listed(device, by=by), _settings(device)
    found = compliance.open_findings(compliance.Filter(device_id=device.id), by=by)
    may_answer = by.may(Permission.ANSWER_FINDINGS, school_id=device.school_id)
    return show(
        "tablet",
        **head(device),
        facts=device.state.facts or {},
        findings=found,
        muted=compliance.muted(device.id),
        may_answer=may_answer,
        answer=finding_answers.first(device.school_id, now) if may_answer and found else finding_answers.Typed(),
        failures=device.state.failures or [],
        not_here=_not_here(device, settings or {}),
        lesson=finding.of_tablet(device.id, by=by, now=now),
        incident=incidents.of_tablet(device.id),
        home=home(settings, app_names.known()) if settings is not None else None,
        holders=holders.listed(device, by=by),
        has_admin_password=admin_password.may_be_shown(device, by=by),
        notes=written,
        writers=names.of({one.written_by for one in written}),
        typed=typed,
        faults=faults or {},
    )


def _place(device: Device, by: Principal) -> str:
    """Return the class or cart that a tablet stands in, else its pupil's basic classes."""
    if device.school_class is not None:
        return device.school_class.title
    return device.cart or ", ".join(devices.class_titles([device], on=by.today).get(device.id, ()))


def _settings(device: Device) -> dict[str, Any] | None:
    """Return the settings that a tablet shall have; None where it shall have none."""
    digest = device.state.desired_digest
    body = bodies.load([digest]).get(digest) if digest is not None else None
    return json.loads(body) if body is not None else None


def _not_here(device: Device, settings: Mapping[str, Any]) -> list[str]:
    """Return the names of settings that are meant for other kinds of tablets; of one not yet in use none."""
    channel = next((one.channel for one in devices.enrolments(device)), None)
    if channel is None:
        return []
    return sorted(words.setting(VOCABULARY[key]) for key in settings if not VOCABULARY[key].is_for(channel))
