"""A package of our own, sent by the page of apps: on the disk before the page hears of it (:mod:`fleet.apps.sent`)."""

from collections.abc import Mapping

from flask import Flask, Response, current_app, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from fleet import clock
from fleet.access import Permission, require
from fleet.apps import packages, sent
from fleet.apps.files import PackageFiles
from fleet.apps.packages import Received
from fleet.apps.sent import Sent
from fleet.config import Config
from fleet.db import is_unavailable, transaction
from fleet.errors import FleetError
from fleet.web import apps, notices, refusals_apps, signed_in
from fleet.web.blueprint import web
from fleet.web.formats import number
from fleet.web.texts import translated as _

_STATUS = {"size": 413, "full": 507, "busy": 503, "slow": 408, "disk": 500}
_BY_SCRIPT = "X-Progress"  # what our own script sends with the form, as it shows how far it is


def may_send(app: Flask, headers: Mapping[str, str]) -> bool:
    """Whether whoever sends these headers is signed in and may send packages; asks the database.

    Args:
        app: the application.
        headers: of the request, by lower-case name.
    """
    told = {"Cookie": headers.get("cookie", "")}
    try:
        with app.test_request_context(sent.PATH, method="POST", headers=told):
            return signed_in.account() is not None and signed_in.by().may(Permission.EDIT_PROFILES)
    except Exception as error:
        if not is_unavailable(error):
            raise
        return False  # the form goes the way of any other, where that is answered


def refuse_unread() -> tuple[str, int] | None:
    """Say why a package was not taken, before the forgery check, as nothing of the form was read."""
    found = _sent()
    if found is None or not found.refusal or signed_in.account() is None:
        return None
    return apps.page({"file": _words(found.refusal)}), _STATUS.get(found.refusal, 400)


@web.post(sent.PATH)
def app_upload() -> AnyResponse | tuple[str, int]:
    """Have tablets get an app from a package of our own; takes the app up where the catalogue does not have it."""
    by = signed_in.by()
    require(by, Permission.EDIT_PROFILES)
    found = _sent()
    if found is None or found.draft is None:
        return apps.page({"file": _("Choose a file that is not empty.")}), 400
    config: Config = current_app.extensions["fleet_config"]
    try:
        received = packages.receive_sent(found.draft, found.file_name, PackageFiles(config.packages_dir), by=by)
        number_of_app = _taken(received)
    except OSError as error:
        refusal = sent.refusal_of(error)
        return apps.page({"file": _words(refusal)}), _STATUS[refusal]
    except FleetError as error:
        faults = refusals_apps.told(error)
        if faults is None:
            raise
        return apps.page(faults), 409 if error.code.startswith("app-package-") else 400
    address = url_for("web.app_edit", number=number_of_app)
    if request.headers.get(_BY_SCRIPT):  # which goes there itself, so that the notice is seen
        return Response(status=204, headers={"Location": address})
    return redirect(address, 303)


def _taken(received: Received) -> int:
    with transaction():
        app = packages.take(received, by=signed_in.by(), now=clock.now())
        name, number_of_app = app.name, app.id
    notices.tell(_("“%(name)s” has version %(version)s now.", name=name, version=received.facts.version))
    return number_of_app


def _sent() -> Sent | None:
    """Return what the server hands over beside the request; None where it read the form itself."""
    found = request.environ.get("asgi.scope", {}).get(sent.KEY)
    return found if isinstance(found, Sent) else None


def _words(refusal: str) -> str:
    most = number(sent.MOST_BYTES // 2**30)
    return {
        "size": _("The file is too large: at most %(number)s GB.", number=most),
        "full": _("The server has no room for this file. Nothing was kept. Ask whoever runs the server."),
        "busy": _("Others are sending files just now. Wait a little and try again."),
        "slow": _("The file came too slowly, and nothing was kept. Try again on a better network."),
        "disk": _("The server could not keep the file. Try again, and ask whoever runs the server if it fails again."),
    }.get(refusal) or _("The file did not arrive whole, and nothing was kept. Try again.")
