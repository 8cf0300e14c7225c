"""One profile: what it says in plain words, where it is, its versions, and what differs between any two."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from fleet import clock
from fleet.access import Permission
from fleet.assignments import assigning, effect, library, places, publishing, releasing
from fleet.assignments.models import Profile, ProfileVersion, Scope
from fleet.db import transaction
from fleet.errors import FleetError, NotFoundError
from fleet.people import names
from fleet.web import notices, refusals_profiles, signed_in, words, words_profiles
from fleet.web.blueprint import web
from fleet.web.texts import translated as _
from fleet.web.values import whole
from profiles import profile as vocabulary_profile
from profiles.vocabulary import VOCABULARY

_PLACES_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Found:
    """A profile with its versions, newest first."""

    profile: Profile
    versions: Sequence[ProfileVersion]

    @property
    def draft(self) -> ProfileVersion | None:
        """Its draft, None where there is none."""
        return next((one for one in self.versions[:1] if one.published_at is None), None)

    @property
    def published(self) -> ProfileVersion | None:
        """Its newest published version, None where it has only a draft."""
        return next((one for one in self.versions if one.published_at is not None), None)

    @property
    def state(self) -> str:
        """A word for how it stands, that another's change changes."""
        return publishing.state_of(self.versions)

    def numbered(self, told: str | None) -> ProfileVersion:
        """Return the version of this number.

        Raises:
            NotFoundError: there is none.
        """
        number = whole(told)
        for one in self.versions:
            if one.number == number:
                return one
        raise NotFoundError(kind="version", name=self.profile.name)


def find(name: str) -> Found:
    """Return a profile; two statements.

    Raises:
        ForbiddenError: whoever is signed in may not read profiles.
        NotFoundError: there is none.
    """
    library.require_reader(signed_in.by())
    profile = publishing.find(name)
    return Found(profile, publishing.versions(profile))


@dataclass(frozen=True, slots=True)
class Row:
    """A setting in words, and where versions are compared what it was and which way it goes."""

    key: str
    title: str
    about: str
    value: str
    platforms: list[str]
    old: str = ""
    direction: words.Told | None = None


def by_theme(settings: Mapping[str, Any]) -> list[tuple[str, list[Row]]]:
    """Return what settings say, by theme."""
    found: dict[str, list[Row]] = {name: [] for name in words_profiles.THEMES}
    for name, told in settings.items():
        key = VOCABULARY[name]
        row = Row(
            name,
            words.setting(key),
            words_profiles.about(key),
            words_profiles.value(key, told),
            words_profiles.platforms(key),
        )
        found[words_profiles.theme_of(name)].append(row)
    return [(words_profiles.theme(name), rows) for name, rows in found.items() if rows]


def compared(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Row]:
    """Return what differs, in words; that a secret is another one is said without saying it."""
    rows = []
    for one in vocabulary_profile.diff(old, new):
        key = VOCABULARY[one.key]
        before, after = words_profiles.value(key, one.old), words_profiles.value(key, one.new)
        if before == after:
            after = _("%(value)s, something not shown is another", value=after)
        rows.append(
            Row(
                one.key, words.setting(key), "", after, words_profiles.platforms(key), before,
                words_profiles.direction(one.direction if effect.has_strictness(one.key) else "changed"),
            )
        )  # fmt: skip
    return rows


@web.get("/profiles/<name>")
def profile(name: str) -> str:
    """Show a profile."""
    by, now, found = signed_in.by(), clock.now(), find(name)
    shown = found.published or found.versions[0]
    listed = [one for one in assigning.listed(by=by, now=now) if one.profile_version.profile_id == found.profile.id]
    standing = [one for one in listed if one.scope is not Scope.DEVICE] or listed
    named = places.named(listed[:_PLACES_SHOWN])
    return render_template(
        "profile.html",
        found=found,
        shown=shown,
        says=by_theme(shown.settings),
        changes=compared(found.published.settings, found.draft.settings) if found.draft and found.published else [],
        listed=[(one, words_profiles.place(one.scope, named[one.id])) for one in listed[:_PLACES_SHOWN]],
        more=max(0, len(listed) - _PLACES_SHOWN),
        behind=sum(1 for one in standing if found.published and one.profile_version.number < found.published.number),
        publishers=names.of([one.published_by for one in found.versions]),
        may_edit=by.may(Permission.EDIT_PROFILES),
        may_everywhere=by.may(Permission.ASSIGN_MUNICIPALITY),
        now=now,
    )


@web.get("/profiles/<name>/compare")
def profile_compare(name: str) -> str:
    """Show what differs between two versions."""
    found = find(name)
    new = found.numbered(request.args.get("new")) if request.args.get("new") else found.versions[0]
    earlier = next((one for one in found.versions if one.number < new.number), new)
    old = found.numbered(request.args.get("old")) if request.args.get("old") else earlier
    return render_template(
        "profile_compare.html", found=found, old=old, new=new, changes=compared(old.settings, new.settings)
    )


@web.post("/profiles/<name>/restore")
def profile_restore(name: str) -> Response:
    """Make a draft that says what an older version said, and lead to what publishing it would do."""
    number = whole(request.args.get("version") or request.form.get("version")) or 0

    def act(by: Any, now: datetime) -> None:
        releasing.restore(publishing.find(name), number, by=by, now=now)

    words_of_it = _("Version %(number)s is back as a draft. It does not apply yet: publish the draft.", number=number)
    return done(name, act, words_of_it, onwards="web.profile_publish", is_done=False)


@web.post("/profiles/<name>/discard")
def profile_discard(name: str) -> Response:
    """Throw the draft away."""
    based_on = request.form.get("based_on")
    only = find(name).published is None

    def act(by: Any, now: datetime) -> None:
        publishing.discard_draft(publishing.find(name), based_on=based_on, by=by, now=now)

    return done(name, act, _("The draft is discarded."), onwards="web.profiles" if only else "web.profile")


def done(name: str, act: Any, words_of_it: str, *, onwards: str, is_done: bool = True) -> Response:
    """Do something with a profile and lead on; where it is refused, back to the profile, which says why.

    Args:
        name: of the profile.
        act: what is done.
        words_of_it: what is said of it.
        onwards: the page that comes then.
        is_done: whether that was all; what is not in force yet is said as a warning.
    """
    library.require_reader(signed_in.by())
    try:
        with transaction():
            act(signed_in.by(), clock.now())
    except FleetError as error:
        problem = refusals_profiles.told(error)
        if problem is None:
            raise
        notices.warn(problem)
        return redirect(url_for("web.profile", name=name), 303)
    (notices.tell if is_done else notices.caution)(words_of_it)
    return redirect(url_for(onwards) if onwards == "web.profiles" else url_for(onwards, name=name), 303)
