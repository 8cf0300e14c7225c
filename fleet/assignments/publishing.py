"""Profiles and their versions: drafts that may change, published versions that never do.

Whoever changes a profile takes the turn ``profiles`` first: a draft that is published while somebody replaces it would
else change after it was published.
"""

import difflib
from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.assignments.models import Profile, ProfileVersion
from fleet.db import db, id_set, take_turn
from fleet.errors import ConflictError, InvalidFileError, NotFoundError, Problem
from profiles import profile as library
from profiles.digest import digest


def read(path: Path) -> library.Profile:
    """Read a profile from a TOML or (by its ending) JSON file.

    Raises:
        InvalidFileError: with every fault of the file.
        OSError: it cannot be read.
    """
    if path.stat().st_size > library.MAX_BYTES:
        raise InvalidFileError(
            [Problem(path.name, None, None, "too-large", None, f"at most {library.MAX_BYTES} bytes")]
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
        return library.parse(text, form="json" if path.suffix.lower() == ".json" else "toml")
    except UnicodeDecodeError:
        raise InvalidFileError([Problem(path.name, None, None, "not-utf8", None, "text in UTF-8")]) from None
    except library.ProfileError as error:
        raise InvalidFileError(
            [Problem(path.name, f.line, f.key, f.code, f.found, f.expected) for f in error.faults]
        ) from None


def find(name: str) -> Profile:
    """Return the profile of this name.

    Raises:
        NotFoundError: there is none; data has the nearest names.
    """
    found = db.session.scalars(select(Profile).where(Profile.name == name)).first()
    if found is None:
        known = db.session.scalars(select(Profile.name)).all()
        nearest = difflib.get_close_matches(name.strip().casefold(), known, n=3, cutoff=0.5)
        raise NotFoundError(kind="profile", name=name, nearest=nearest)
    return found


def versions(profile: Profile) -> Sequence[ProfileVersion]:
    """Return a profile's versions, newest first; a draft has the highest number."""
    query = select(ProfileVersion).where(ProfileVersion.profile_id == profile.id)
    # Read anew: who waited for the turn may have seen the draft that was published meanwhile.
    query = query.order_by(ProfileVersion.number.desc()).execution_options(populate_existing=True)
    return db.session.scalars(query).all()


def published(profile: Profile, number: int | None = None) -> ProfileVersion:
    """Return a published version: the newest, or the one of this number.

    Raises:
        NotFoundError: there is none; data has ``profile``, ``number`` and the numbers ``published``.
    """
    known = [version for version in versions(profile) if version.published_at is not None]
    for version in known:
        if number in {None, version.number}:
            return version
    raise NotFoundError(
        kind="published version", profile=profile.name, number=number, published=[one.number for one in known]
    )


def newest(profile_ids: Collection[int]) -> dict[int, ProfileVersion]:
    """Return the newest published version of each of these profiles that has one; one statement."""
    last = select(func.max(ProfileVersion.id)).where(  # versions are made one after the other
        ProfileVersion.profile_id.in_(id_set(profile_ids)), ProfileVersion.published_at.is_not(None)
    )
    query = select(ProfileVersion).where(ProfileVersion.id.in_(last.group_by(ProfileVersion.profile_id)))
    return {one.profile_id: one for one in db.session.scalars(query)}


def draft_of(profile: Profile) -> ProfileVersion:
    """Return a profile's draft.

    Raises:
        NotFoundError: there is none.
    """
    newest = next(iter(versions(profile)), None)
    if newest is None or newest.published_at is not None:
        raise NotFoundError(kind="draft", name=profile.name)
    return newest


def numbered(profile: Profile, number: int) -> ProfileVersion:
    """Return the version of this number, published or the draft.

    Raises:
        NotFoundError: there is none; data has ``profile``, ``number`` and the numbers ``known``.
    """
    known = versions(profile)
    for version in known:
        if version.number == number:
            return version
    raise NotFoundError(kind="version", profile=profile.name, number=number, known=[one.number for one in known])


class DraftChangedError(ConflictError):
    """Somebody else has changed the profile since one looked at it. Data: ``profile``, ``version``."""

    code = "draft-changed"


NOTHING = "nothing"  # the state of a profile that there is not


def state_of(known: Sequence[ProfileVersion]) -> str:
    """Return a word for how a profile stands, of its versions: another word once anybody has saved or published."""
    if not known:
        return NOTHING
    newest = known[0]
    return f"{newest.number}:{'draft' if newest.published_at is None else 'published'}:{newest.digest}"


def _require_state(profile: Profile, known: Sequence[ProfileVersion], expected: str | None) -> None:
    if expected is not None and state_of(known) != expected:
        raise DraftChangedError(profile=profile.name, version=known[0].number if known else None)


def save_draft(given: library.Profile, *, based_on: str | None = None, by: Principal, now: datetime) -> ProfileVersion:
    """Store a profile as its draft, in place of the one there was.

    Args:
        given: the profile.
        based_on: how it stood when one began (:func:`state_of`); None replaces whatever there is.
        by: who writes.
        now: the instant.

    Raises:
        ForbiddenError: ``by`` may not edit profiles.
        DraftChangedError: it stands otherwise by now.
    """
    require(by, Permission.EDIT_PROFILES)
    take_turn("profiles")
    profile = db.session.scalars(select(Profile).where(Profile.name == given.name)).first()
    if profile is None:
        profile = Profile(name=given.name, title=given.title, created_at=now)
        db.session.add(profile)
        db.session.flush()
    known = versions(profile)
    _require_state(profile, known, based_on)
    if not any(one.published_at for one in known):  # else its title is what people know it by, until it is published
        profile.title = given.title
    settings = dict(given.settings)
    if known and known[0].published_at is None:
        draft = known[0]
        draft.settings, draft.digest, draft.created_at = settings, digest(settings), now
        draft.title = given.title
    else:
        number = known[0].number + 1 if known else 1
        draft = ProfileVersion(
            profile_id=profile.id, number=number, settings=settings, digest=digest(settings), title=given.title,
            created_at=now,
        )  # fmt: skip
        db.session.add(draft)
    db.session.flush()
    return draft


def rename(profile: Profile, title: str, *, by: Principal, now: datetime) -> None:
    """Give a profile another title; its settings and versions stay.

    Raises:
        ForbiddenError: ``by`` may not edit profiles.
    """
    require(by, Permission.EDIT_PROFILES)
    take_turn("profiles")
    _rename(profile, title, by, now)


def _rename(profile: Profile, title: str, by: Principal, now: datetime) -> None:
    before, profile.title = profile.title, title
    audit.record(
        by, "profiles.renamed", subject=f"profile:{profile.id}", now=now,
        profile=profile.name, from_name=before, name=title,
    )  # fmt: skip


def discard_draft(profile: Profile, *, based_on: str | None = None, by: Principal, now: datetime) -> None:
    """Throw a profile's draft away, and the profile with it where it has nothing else.

    Raises:
        ForbiddenError: ``by`` may not edit profiles.
        NotFoundError: there is no draft.
        DraftChangedError: the profile stands otherwise than ``based_on`` by now.
    """
    require(by, Permission.EDIT_PROFILES)
    take_turn("profiles")
    draft = draft_of(profile)
    _require_state(profile, versions(profile), based_on)
    audit.record(
        by, "profiles.draft-discarded", subject=f"profile:{profile.id}", now=now,
        profile=profile.name, version=draft.number, digest=draft.digest,
    )  # fmt: skip
    db.session.delete(draft)
    db.session.flush()
    if draft.number == 1:  # what was never published, nobody can have
        db.session.delete(profile)
        db.session.flush()


def publish(
    profile: Profile, *, note: str | None = None, based_on: str | None = None, by: Principal, now: datetime
) -> ProfileVersion:
    """Publish a profile's draft: from now on it never changes, and the profile is called as it says.

    Args:
        profile: whose draft.
        note: what changed and why, in the publisher's words.
        based_on: how the profile stood when one looked (:func:`state_of`); None publishes whatever there is.
        by: who publishes.
        now: the instant.

    Raises:
        ForbiddenError: ``by`` may not edit profiles.
        ConflictError: there is no draft, or it says what the published version says already.
        DraftChangedError: the profile stands otherwise than one has seen.
    """
    require(by, Permission.EDIT_PROFILES)
    take_turn("profiles")
    known = versions(profile)
    _require_state(profile, known, based_on)
    if not known or known[0].published_at is not None:
        raise ConflictError(kind="profile", name=profile.name, reason="there is no draft to publish")
    is_renamed = known[0].called != profile.title
    if len(known) > 1 and known[0].digest == known[1].digest and not is_renamed:
        raise ConflictError(
            kind="profile", name=profile.name, reason=f"the draft says what version {known[1].number} says"
        )
    if is_renamed:
        _rename(profile, known[0].called, by, now)
    known[0].published_at, known[0].published_by = now, by.name
    known[0].note = note
    audit.record(
        by, "profiles.published", subject=f"profile:{profile.id}", now=now,
        profile=profile.name, version=known[0].number, digest=known[0].digest,
    )  # fmt: skip
    db.session.flush()
    return known[0]


def listed() -> list[dict[str, Any]]:
    """Return the profiles with their newest published version and whether there is a draft, by name."""
    newest = (
        select(
            ProfileVersion.profile_id,
            func.max(ProfileVersion.number).filter(ProfileVersion.published_at.is_not(None)).label("published"),
            func.max(ProfileVersion.number).filter(ProfileVersion.published_at.is_(None)).label("draft"),
        )
        .group_by(ProfileVersion.profile_id)
        .subquery()
    )
    query = select(Profile, newest.c.published, newest.c.draft).join(newest, newest.c.profile_id == Profile.id)
    return [
        {"name": profile.name, "title": profile.title, "published": number, "draft": draft}
        for profile, number, draft in db.session.execute(query.order_by(Profile.name))
    ]
