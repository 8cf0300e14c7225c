"""The library: all profiles with their tablets; and how a new one comes to be."""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import PurePath

from flask import redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from fleet import clock
from fleet.access import Permission, require
from fleet.assignments import library as shelves
from fleet.assignments import publishing
from fleet.db import transaction
from fleet.errors import FleetError, NotFoundError
from fleet.web import notices, refusals_profiles, signed_in
from fleet.web.blueprint import takes, web
from fleet.web.texts import translated as _
from profiles import catalogue
from profiles import profile as library
from profiles.profile import Profile, ProfileError

_MOST_BYTES = library.MAX_BYTES + 16 * 1024
_LETTERS = str.maketrans({"æ": "ae", "ø": "o", "å": "a"})
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_MAX_NAME, _MAX_TITLE = 64, 120
Faults = dict[str, str]


@web.get("/profiles")
def profiles() -> str:
    """Show the library."""
    by = signed_in.by()
    rows = shelves.shelf(by=by, now=clock.now())
    return render_template("profiles.html", rows=rows, may_edit=by.may(Permission.EDIT_PROFILES))


@web.get("/profiles/_new")
def profile_new() -> str:
    """Show the ways to a new profile."""
    require(signed_in.by(), Permission.EDIT_PROFILES)
    return _page({}, request.args.get("copy", ""))


@web.post("/profiles/_new")
def profile_create() -> Response | tuple[str, int]:
    """Make a draft: from nothing, or from what another profile says."""
    by, now = signed_in.by(), clock.now()
    require(by, Permission.EDIT_PROFILES)
    title = request.form.get("title", "").strip()
    name = request.form.get("name", "").strip() or slug(title)
    faults: Faults = {}
    if not 1 <= len(title) <= _MAX_TITLE or not title.isprintable():
        faults["title"] = _("Write a title of at most %(number)s characters.", number=_MAX_TITLE)
    elif len(name) > _MAX_NAME or not _NAME.fullmatch(name):
        faults["name"] = _("Lower-case letters, digits and hyphens, such as barneskole.")
    if faults:
        return _page(faults, request.form.get("copy", "")), 400
    try:
        with transaction():
            settings = _copied(request.form.get("copy", ""))
            given = Profile(name, title, settings)
            publishing.save_draft(given, based_on=publishing.NOTHING, by=by, now=now)
    except publishing.DraftChangedError:
        faults["name"] = _("There is a profile called %(name)s already. Write another short name.", name=name)
        return _page(faults, request.form.get("copy", "")), 409
    return redirect(url_for("web.profile_edit", name=name), 303)


def slug(title: str) -> str:
    """Return a short name made from a title."""
    plain = unicodedata.normalize("NFKD", title.casefold().translate(_LETTERS)).encode("ascii", "ignore").decode()
    return "-".join(re.findall(r"[a-z0-9]+", plain))[:_MAX_NAME].strip("-")


def _copied(source: str) -> dict[str, object]:
    """Return the settings that a new profile begins with.

    Raises:
        NotFoundError: there is no such profile.
    """
    kind, _colon, name = source.partition(":")
    if kind == "ready":
        found = next((one for one in catalogue.load() if one.name == name), None)
        if found is None:
            raise NotFoundError(kind="profile", name=name)
        return dict(found.settings)
    return dict(publishing.versions(publishing.find(name))[0].settings) if kind == "own" else {}


@web.post("/profiles/_import")
@takes(_MOST_BYTES)
def profile_import() -> Response | tuple[str, int]:
    """Take a file in as a draft."""
    require(signed_in.by(), Permission.EDIT_PROFILES)
    sent = request.files.get("file")
    content = sent.read() if sent is not None else b""
    if sent is None or not content:
        return _page({"file": _("Choose a file first.")}), 400
    try:
        is_json = PurePath(sent.filename or "").suffix.lower() == ".json"
        given = library.parse(content.decode("utf-8-sig"), form="json" if is_json else "toml")
    except UnicodeDecodeError:
        return _page({"file": _("The file is not a text in UTF-8.")}), 400
    except ProfileError as error:
        return _page({}, lines=[refusals_profiles.of_text(one) for one in error.faults]), 400
    problem = _take_in([given], by_name=True)
    if problem is not None:
        return _page({"file": problem}), 409
    notices.tell(_("“%(title)s” is taken in as a draft.", title=given.title))
    return redirect(url_for("web.profile", name=given.name), 303)


@web.post("/profiles/_ready-made")
def profile_ready_made() -> Response | tuple[str, int]:
    """Take ready-made profiles in as drafts."""
    require(signed_in.by(), Permission.EDIT_PROFILES)
    chosen = frozenset(request.form.getlist("ready"))
    wanted = [one for one in catalogue.load() if one.name in chosen]
    if not wanted:
        return _page({"ready": _("Choose at least one.")}), 400
    problem = _take_in(wanted)
    if problem is not None:
        return _page({"ready": problem}), 409
    notices.tell(_("Taken in as drafts: %(titles)s.", titles=", ".join(one.title for one in wanted)))
    return redirect(url_for("web.profiles"), 303)


def _take_in(given: list[Profile], *, by_name: bool = False) -> str | None:
    """Store profiles as drafts; returns why not, where one has a draft or (ready-made ones) is there already."""
    by, now = signed_in.by(), clock.now()
    try:
        with transaction():
            known = {row["name"]: row for row in publishing.listed()}
            for one in given:
                row = known.get(one.name)
                if row is not None and (row["draft"] is not None or not by_name):
                    return _("“%(title)s” is there already, or has a draft.", title=row["title"])
                publishing.save_draft(one, by=by, now=now)
    except FleetError as error:
        problem = refusals_profiles.told(error)
        if problem is None:
            raise
        return problem
    return None


def _page(faults: Faults, copy: str = "", *, lines: Sequence[str] = ()) -> str:
    rows = shelves.shelf(by=signed_in.by(), now=clock.now())
    known = {one.name for one in rows}
    return render_template(
        "profile_new.html",
        faults=faults,
        copy=copy,
        lines=lines,
        rows=rows,
        ready=[one for one in catalogue.load() if one.name not in known],
    )
