"""The admin password of an Android tablet: shown to few, for a reason, and never without a line in the audit."""

from flask import current_app, render_template, request

from fleet import clock
from fleet.android import admin_password
from fleet.config import Config
from fleet.db import transaction
from fleet.devices import queries as devices
from fleet.devices.models import Device
from fleet.errors import InvalidError, NotFoundError
from fleet.web import refusals_tablets, signed_in
from fleet.web.blueprint import web
from fleet.web.refusals_tablets import Faults

_MAX_TYPED = 600
_ADDRESS = "/tablets/<serial>/admin-password"


@web.get(_ADDRESS)
def tablet_password(serial: str) -> str:
    """Ask why the password is needed."""
    return _page(_having(serial))


@web.post(_ADDRESS)
def tablet_password_show(serial: str) -> str | tuple[str, int]:
    """Show the password. Posted, as it leaves a line in the audit each time."""
    config: Config = current_app.extensions["fleet_config"]
    device, typed = _having(serial), request.form.get("reason", "")[:_MAX_TYPED]
    key = admin_password.secret(config.secrets_dir)
    try:
        with transaction():
            password = admin_password.shown(device, key, reason=typed, by=signed_in.by(), now=clock.now())
    except InvalidError as error:
        faults = refusals_tablets.faults(error)
        if faults is None:
            raise
        return _page(device, typed=typed, faults=faults), 400
    return _page(device, password=password)


def _having(serial: str) -> Device:
    """Return the tablet, by serial or asset tag.

    Raises:
        NotFoundError: there is none, or it has no password that whoever asks may see.
    """
    by = signed_in.by()
    device = devices.find_device(serial, by=by)
    if not admin_password.may_be_shown(device, by=by):
        raise NotFoundError(kind="admin password", name=serial)
    return device


def _page(device: Device, *, password: str = "", typed: str = "", faults: Faults | None = None) -> str:
    return render_template("tablet_password.html", device=device, password=password, typed=typed, faults=faults or {})
