"""The catalogue of apps: what profiles name, where tablets get it, and who requires it."""

from collections.abc import Mapping

from flask import Response as PlainResponse
from flask import abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from fleet import clock
from fleet.access import Permission, require
from fleet.apps import catalogue, icons, licences, packages
from fleet.apps.archives import MAX_BYTES
from fleet.apps.catalogue import Told
from fleet.apps.models import App
from fleet.assignments import library, named
from fleet.db import transaction
from fleet.devices.models import Platform
from fleet.errors import FleetError, NotFoundError
from fleet.web import notices, refusals_apps, signed_in, words
from fleet.web.blueprint import web
from fleet.web.texts import translated as _

_MAX_TYPED = 400
_LASTING = "private, max-age=86400"
Faults = Mapping[str, str]


@web.get("/apps")
def apps() -> str:
    """Show the catalogue."""
    return page({})


def page(faults: Faults) -> str:
    """Return the catalogue, with what is wrong with a package that was sent.

    Raises:
        ForbiddenError: whoever looks may not read profiles.
    """
    by = signed_in.by()
    library.require_reader(by)
    required_by = named.naming(named.apps_of, now=clock.now())
    rows = catalogue.listed()
    ids = {one.app_id for one in rows}
    return render_template(
        "apps.html",
        rows=rows,
        required_by=required_by,
        licences={one.store_id: one for one in licences.figures()},
        unknown={one: titles for one, titles in sorted(required_by.items()) if one not in ids},
        may_edit=by.may(Permission.EDIT_PROFILES),
        faults=faults,
        upload=url_for("web.app_upload"),
        most_bytes=MAX_BYTES,
    )


@web.get("/apps/<int(max=2147483647):number>/icon")
def app_icon(number: int) -> PlainResponse:
    """Give an app's own sign, for the pages to show."""
    library.require_reader(signed_in.by())
    icon = catalogue.numbered(number).icon
    if icon is None:
        abort(404)
    response = PlainResponse(icon, mimetype=icons.media_type(icon))
    response.headers["Cache-Control"] = _LASTING  # the page names it with its digest
    return response


@web.get("/apps/_new")
def app_new() -> str:
    """Show the form for an app."""
    require(signed_in.by(), Permission.EDIT_PROFILES)
    app_id = request.args.get("app_id", "")[:_MAX_TYPED]
    return _form(None, {"app_id": app_id, "platform": Platform.IPADOS.value}, {})


@web.post("/apps/_new")
def app_create() -> Response | tuple[str, int]:
    """Take an app up."""
    by = signed_in.by()
    require(by, Permission.EDIT_PROFILES)
    try:
        platform = Platform(request.form.get("platform", Platform.IPADOS.value))
    except ValueError:
        platform = Platform.IPADOS
    app_id = request.form.get("app_id", "")[:_MAX_TYPED]
    try:
        with transaction():
            made = catalogue.add(app_id, platform, _told(), by=by, now=clock.now())
            name = made.name
    except FleetError as error:
        return _refused(None, error)
    notices.tell(_("“%(name)s” is in the catalogue.", name=name))
    return redirect(url_for("web.apps"), 303)


@web.get("/apps/<int(max=2147483647):number>")
def app_edit(number: int) -> str:
    """Show an app, to be changed or removed."""
    require(signed_in.by(), Permission.EDIT_PROFILES)
    app = catalogue.numbered(number)
    store = "" if app.store_id is None else str(app.store_id)
    return _form(app, {"name": app.name, "store": store, "licensed": "yes" if app.is_licensed else ""}, {})


@web.post("/apps/<int(max=2147483647):number>")
def app_change(number: int) -> Response | tuple[str, int]:
    """Tell otherwise of an app."""
    by = signed_in.by()
    require(by, Permission.EDIT_PROFILES)
    app = catalogue.numbered(number)
    try:
        with transaction():
            app = catalogue.numbered(number)
            catalogue.change(app, _told(), by=by, now=clock.now())
            name = app.name
    except FleetError as error:
        return _refused(catalogue.numbered(number), error)
    notices.tell(_("“%(name)s” is saved.", name=name))
    return redirect(url_for("web.apps"), 303)


@web.post("/apps/<int(max=2147483647):number>/remove")
def app_remove(number: int) -> Response:
    """Take an app out; one that a profile requires stays."""
    by = signed_in.by()
    require(by, Permission.EDIT_PROFILES)
    try:
        with transaction():
            app = catalogue.numbered(number)
            name = app.name
            named.remove_app(app, by=by, now=clock.now())
    except named.AppRequiredError as error:
        notices.warn((refusals_apps.told(error) or {})[""])
        return redirect(url_for("web.app_edit", number=number), 303)
    notices.tell(_("“%(name)s” is taken out of the catalogue.", name=name))
    return redirect(url_for("web.apps"), 303)


@web.post("/apps/<int(max=2147483647):number>/package/withdraw")
def app_package_withdraw(number: int) -> Response:
    """Do without a package: tablets get the app from the store again, or from a package for other processors."""
    by = signed_in.by()
    require(by, Permission.EDIT_PROFILES)
    catalogue.numbered(number)
    try:
        with transaction():
            app = catalogue.numbered(number)
            packages.withdraw(app, by=by, now=clock.now(), cpu=request.form.get("cpu"))
            name, has_more = app.name, bool(app.packages)
    except NotFoundError:
        notices.warn(_("The app has no package of our own any more."))
    else:
        withdrawn = _("The package of “%(name)s” is withdrawn.", name=name)
        notices.tell(withdrawn if has_more else _("“%(name)s” has no package of our own any more.", name=name))
    return redirect(url_for("web.app_edit", number=number), 303)


def _told() -> Told:
    form = request.form
    return Told(
        form.get("name", "")[:_MAX_TYPED], form.get("store", "")[:_MAX_TYPED], is_licensed=form.get("licensed") == "yes"
    )


def _refused(app: App | None, error: FleetError) -> tuple[str, int]:
    """Show the form again with what is wrong.

    Raises:
        FleetError: it is about no field.
    """
    faults = refusals_apps.told(error)
    if faults is None:
        raise error
    names = ("app_id", "platform", "name", "store", "licensed")
    typed = {name: request.form.get(name, "")[:_MAX_TYPED] for name in names}
    return _form(app, typed, faults), 409 if "app_id" in faults and error.code == "conflict" else 400


def _form(app: App | None, typed: Mapping[str, str], faults: Faults) -> str:
    required_by = named.naming(named.apps_of, now=clock.now()).get(app.app_id, []) if app is not None else []
    blank = dict.fromkeys(("app_id", "platform", "name", "store", "licensed"), "")
    return render_template(
        "app_edit.html", app=app, typed={**blank, **typed}, faults=faults, required_by=required_by,
        platforms=[(one.value, words.platform(one)) for one in Platform],
    )  # fmt: skip
