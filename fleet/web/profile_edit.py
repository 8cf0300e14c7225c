"""The editor: settings found in plain words, each with a field that fits; and the same as TOML.

Adding, taking out and searching send the whole form, so that nothing typed is lost and no script is needed. Saving
makes a draft; nothing reaches a tablet before it is published.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from fleet import clock
from fleet.access import Permission, require
from fleet.apps import images
from fleet.assignments import publishing
from fleet.db import transaction
from fleet.errors import FleetError
from fleet.web import app_names, notices, refusals_profiles, setting_fields, signed_in, words, words_profiles
from fleet.web.blueprint import takes, web
from fleet.web.profile import Found, find
from fleet.web.setting_fields import Faults, Raw
from fleet.web.texts import translated as _
from profiles import profile as library
from profiles.known_as import is_called
from profiles.profile import Profile, ProfileError
from profiles.vocabulary import VOCABULARY

_MOST_BYTES = 1024 * 1024
_MOST_FOUND = 12
_MAX_TITLE = 120
_MAX_TEXT = 100


@dataclass(frozen=True, slots=True)
class Match:
    """A setting that a search found, or that stands under a theme."""

    key: str
    title: str
    about: str
    platforms: list[str]


def search(text: str, without: Mapping[str, Any]) -> list[Match]:
    """Return settings by what they are called and do, in the reader's words, others' or by name; the best first."""
    wanted = text.casefold().split()
    found = []
    for key in VOCABULARY.values() if wanted else ():
        if key.name in without:
            continue
        title, about = words.setting(key).casefold(), words_profiles.about(key).casefold()
        if is_called(key, wanted, title, about):
            found.append((not title.startswith(wanted[0]), wanted[0] not in title, title, _match(key.name)))
    return [one[-1] for one in sorted(found, key=lambda one: one[:3])][:_MOST_FOUND]


def _match(name: str) -> Match:
    key = VOCABULARY[name]
    return Match(name, words.setting(key), words_profiles.about(key), words_profiles.platforms(key))


def _others(without: Mapping[str, Any]) -> list[tuple[str, list[Match]]]:
    """Return all settings that are not in the profile, by theme."""
    found: dict[str, list[Match]] = {name: [] for name in words_profiles.THEMES}
    for name in VOCABULARY:
        if name not in without:
            found[words_profiles.theme_of(name)].append(_match(name))
    return [(words_profiles.theme(name), rows) for name, rows in found.items() if rows]


@web.get("/profiles/<name>/edit")
def profile_edit(name: str) -> str:
    """Show the editor; the script asks here for what a search finds too."""
    require(signed_in.by(), Permission.EDIT_PROFILES)
    text = request.args.get("q", "")[:_MAX_TEXT]
    if signed_in.is_refresh():
        there = dict.fromkeys(request.args.getlist("keys"))
        return render_template(
            "profile_search.html", q=text, matches=search(text, there), others=_others(there), editing_something=True
        )
    found = find(name)
    typed = setting_fields.typed_of(found.versions[0].settings)
    return _page(found, typed, {}, text=text, title=found.versions[0].called)


@web.post("/profiles/<name>/edit")
@takes(_MOST_BYTES)
def profile_save(name: str) -> Response | tuple[str, int] | str:
    """Add, take out, search or save, as the button says that was pressed."""
    require(signed_in.by(), Permission.EDIT_PROFILES)
    found, form = find(name), request.form
    typed, title = setting_fields.typed_in(form), form.get("title", "").strip()
    deed, _colon, key = form.get("do", "").partition(":")
    if deed == "add" and key in VOCABULARY:
        typed.setdefault(key, setting_fields.blank(key))
    elif deed == "drop":
        typed.pop(key, None)
    elif deed == "row" and isinstance(typed.get(key), list):
        typed[key].append({})
    if deed not in {"save", "publish", "overwrite"}:
        return _page(found, typed, {}, text=form.get("q", "")[:_MAX_TEXT], title=title, focus=key)
    settings, faults = setting_fields.read(typed, found.versions[0].settings)
    if not 1 <= len(title) <= _MAX_TITLE or not title.isprintable():
        faults["title"] = _("Write a title of at most %(number)s characters.", number=_MAX_TITLE)
    if faults:
        return _page(found, typed, faults, title=title), 400
    try:
        has_draft = _save(
            found, Profile(name, title, settings), based_on=None if deed == "overwrite" else form.get("based_on")
        )
    except FleetError as error:
        problem = refusals_profiles.told(error)
        if problem is None:
            raise
        return _page(found, typed, {"": problem}, title=title, is_late=True), refusals_profiles.status(error)
    return _onwards(name, has_draft=has_draft, publishes=deed == "publish")


def _save(found: Found, given: Profile, *, based_on: str | None) -> bool:
    """Store a draft, or none where it would say what is published; returns whether there is one now."""
    by, now = signed_in.by(), clock.now()
    with transaction():
        if found.published is None or dict(found.published.settings) != dict(given.settings):
            publishing.save_draft(given, based_on=based_on, by=by, now=now)
            return True
        profile = publishing.find(given.name)
        if found.draft is not None:
            publishing.discard_draft(profile, based_on=based_on, by=by, now=now)
        if profile.title != given.title:
            publishing.rename(profile, given.title, by=by, now=now)
        return False


def _onwards(name: str, *, has_draft: bool, publishes: bool) -> Response:
    if not has_draft:
        notices.tell(_("Saved. It says what is published, so there is no draft."))
        return redirect(url_for("web.profile", name=name), 303)
    if publishes:
        return redirect(url_for("web.profile_publish", name=name), 303)
    notices.tell(_("The draft is saved. Tablets get it when you publish it."))
    return redirect(url_for("web.profile", name=name), 303)


def _page(
    found: Found,
    typed: Mapping[str, Raw],
    faults: Faults,
    *,
    title: str,
    text: str = "",
    focus: str = "",
    is_late: bool = False,
) -> str:
    shown: dict[str, list[setting_fields.Setting]] = {name: [] for name in words_profiles.THEMES}
    for name, raw in typed.items():
        shown[words_profiles.theme_of(name)].append(setting_fields.setting(name, raw, faults))
    return render_template(
        "profile_edit.html",
        found=found,
        title=title,
        themes=[(words_profiles.theme(name), rows) for name, rows in shown.items() if rows],
        faults=faults,
        q=text,
        matches=search(text, typed),
        others=_others(typed),
        focus=focus,
        is_late=is_late,
        based_on=request.form.get("based_on") or found.state,
        known_apps=sorted(app_names.known().items(), key=lambda one: one[1].casefold()),
        known_images=[one.name for one in images.listed()],
    )


@web.get("/profiles/<name>/toml")
def profile_toml(name: str) -> str:
    """Show the draft, or the newest version, as a text that can be changed."""
    require(signed_in.by(), Permission.EDIT_PROFILES)
    found = find(name)
    shown = setting_fields.without_secrets(found.versions[0].settings)
    text = library.dump_toml(Profile(name, found.versions[0].called, shown))
    return render_template("profile_toml.html", found=found, text=text, faults=[], based_on=found.state)


@web.post("/profiles/<name>/toml")
@takes(_MOST_BYTES)
def profile_toml_save(name: str) -> Response | tuple[str, int]:
    """Save the text as a draft."""
    require(signed_in.by(), Permission.EDIT_PROFILES)
    found, text = find(name), request.form.get("text", "").replace("\r\n", "\n")
    based_on = request.form.get("based_on", "")

    def again(faults: list[str], status: int) -> tuple[str, int]:
        return render_template("profile_toml.html", found=found, text=text, faults=faults, based_on=based_on), status

    try:
        given = library.parse(text)
    except ProfileError as error:
        return again([refusals_profiles.of_text(one) for one in error.faults], 400)
    if given.name != name:
        return again([_("name: it has to stay %(name)s.", name=name)], 400)
    settings = setting_fields.with_secrets(given.settings, found.versions[0].settings)
    try:
        has_draft = _save(found, Profile(name, given.title, settings), based_on=based_on)
    except FleetError as error:
        problem = refusals_profiles.told(error)
        if problem is None:
            raise
        return again([problem], refusals_profiles.status(error))
    return _onwards(name, has_draft=has_draft, publishes=False)
