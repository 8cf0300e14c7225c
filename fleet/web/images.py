"""Images that profiles name: seen, added, replaced and removed."""

from collections.abc import Mapping

from flask import Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from fleet import clock
from fleet.access import Permission, require
from fleet.apps import images as kept
from fleet.apps import picture
from fleet.assignments import library, named
from fleet.db import transaction
from fleet.errors import FleetError
from fleet.web import notices, refusals_apps, signed_in
from fleet.web.blueprint import takes, web
from fleet.web.texts import translated as _

_FRAME_BYTES = 16 * 1024  # what a form has around its file
_LASTING = "private, max-age=86400"


@web.get("/images")
def images() -> str:
    """Show the images."""
    return _page({})


@web.get("/images/<name>/picture")
def image_picture(name: str) -> Response:
    """Give an image's own bytes, for the page to show."""
    library.require_reader(signed_in.by())
    found = kept.find(name)
    response = Response(found.content, mimetype=found.media_type)
    response.headers["Cache-Control"] = _LASTING  # the page names it with its digest
    return response


@web.post("/images")
@takes(picture.MAX_BYTES + _FRAME_BYTES)
def image_add() -> AnyResponse | tuple[str, int]:
    """Take an image up, under the name that was typed or the file's own."""
    by = signed_in.by()
    require(by, Permission.EDIT_PROFILES)
    sent = request.files.get("file")
    content = sent.read() if sent is not None else b""
    if sent is None or not content:
        return _page({"file": _("Choose a file that is not empty.")}), 400
    name = request.form.get("name", "").strip() or (sent.filename or "").replace("\\", "/").rpartition("/")[2]
    try:
        with transaction():
            kept.add(name, content, by=by, now=clock.now())
    except FleetError as error:
        return _refused(error)
    notices.tell(_("The image “%(name)s” is kept.", name=name))
    return redirect(url_for("web.images"), 303)


@web.post("/images/<name>/replace")
@takes(picture.MAX_BYTES + _FRAME_BYTES)
def image_replace(name: str) -> AnyResponse | tuple[str, int]:
    """Put another picture in an image's place."""
    by = signed_in.by()
    require(by, Permission.EDIT_PROFILES)
    kept.find(name)
    sent = request.files.get("picture")
    content = sent.read() if sent is not None else b""
    if not content:
        notices.warn(_("Choose a file that is not empty."))
        return redirect(url_for("web.images"), 303)
    try:
        with transaction():
            kept.replace(kept.find(name), content, by=by, now=clock.now())
    except FleetError as error:
        faults = refusals_apps.told(error)
        if faults is None:
            raise
        notices.warn(" ".join(faults.values()))
        return redirect(url_for("web.images"), 303)
    notices.tell(_("The image “%(name)s” is replaced.", name=name))
    return redirect(url_for("web.images"), 303)


@web.post("/images/<name>/remove")
def image_remove(name: str) -> AnyResponse:
    """Take an image out; one that a profile shows stays."""
    by = signed_in.by()
    require(by, Permission.EDIT_PROFILES)
    try:
        with transaction():
            named.remove_image(kept.find(name), by=by, now=clock.now())
    except named.ImageShownError as error:
        notices.warn((refusals_apps.told(error) or {})[""])
    else:
        notices.tell(_("The image “%(name)s” is removed.", name=name))
    return redirect(url_for("web.images"), 303)


def _refused(error: FleetError) -> tuple[str, int]:
    """Show the page again with what is wrong.

    Raises:
        FleetError: it is about no field.
    """
    faults = refusals_apps.told(error)
    if faults is None:
        raise error
    return _page(faults), 409 if error.code == "conflict" else 400


def _page(faults: Mapping[str, str]) -> str:
    by = signed_in.by()
    library.require_reader(by)
    return render_template(
        "images.html",
        rows=kept.listed(),
        shown_by=named.naming(named.images_of, now=clock.now()),
        name=request.form.get("name", "")[:64] if faults else "",
        faults=faults,
        may_edit=by.may(Permission.EDIT_PROFILES),
    )
