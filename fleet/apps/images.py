"""Images that profiles name: wallpapers, and the signs of web shortcuts.

Invariants: an image is a PNG or JPEG that its own bytes show to be one, never by what its sender calls it; it is kept
in the database, so that every server has it. Who writes profiles keeps what they name. One that a profile shows is
removed by nobody: that is asked above (:mod:`fleet.assignments.named`).
"""

import difflib
import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import select

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.apps import picture
from fleet.apps.models import Image
from fleet.apps.picture import ImageError
from fleet.db import among_texts, changed, db, take_turn
from fleet.errors import ConflictError, NotFoundError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def add(name: str, content: bytes, *, by: Principal, now: datetime) -> Image:
    """Take an image up.

    Raises:
        ForbiddenError: ``by`` may not edit profiles.
        ImageError: its name is not sound, or it is no picture, or too large.
        ConflictError: there is one of this name.
    """
    require(by, Permission.EDIT_PROFILES)
    name = name.strip()
    if not _NAME.fullmatch(name):
        raise ImageError(reason="name", found=name[:64])
    take_turn("images")
    if known(name) is not None:
        raise ConflictError(kind="image", name=name)
    made = Image(name=name, created_at=now)
    _fill(made, content, now)
    db.session.add(made)
    db.session.flush()
    _record(by, "images.added", made, now)
    changed("image", [made.id], now=now)
    return made


def replace(image: Image, content: bytes, *, by: Principal, now: datetime) -> None:
    """Put another picture in an image's place, under its name; the same again changes nothing.

    Raises:
        ForbiddenError: ``by`` may not edit profiles.
        ImageError: it is no picture, or too large.
    """
    require(by, Permission.EDIT_PROFILES)
    take_turn("images")
    db.session.refresh(image, ["digest"])
    if hashlib.sha256(content).hexdigest() == image.digest:
        return
    _fill(image, content, now)
    db.session.flush()
    _record(by, "images.replaced", image, now)
    changed("image", [image.id], now=now)


def remove(image: Image, *, by: Principal, now: datetime) -> None:
    """Take an image out; doors call :func:`fleet.assignments.named.remove_image`, which asks first.

    Raises:
        ForbiddenError: ``by`` may not edit profiles.
    """
    require(by, Permission.EDIT_PROFILES)
    take_turn("images")
    _record(by, "images.removed", image, now)
    db.session.delete(image)
    db.session.flush()


def known(name: str) -> Image | None:
    """Return the image of this name, None where there is none; without its bytes until they are asked for."""
    return db.session.scalars(select(Image).where(Image.name == name)).first()


def find(name: str) -> Image:
    """Return the image of this name.

    Raises:
        NotFoundError: there is none; data has the nearest names.
    """
    found = known(name.strip())
    if found is None:
        all_names = db.session.scalars(select(Image.name)).all()
        raise NotFoundError(kind="image", name=name[:64], nearest=difflib.get_close_matches(name, all_names, n=3))
    return found


def listed() -> Sequence[Image]:
    """Return all images by name, without their bytes; one statement."""
    return sorted(db.session.scalars(select(Image)).all(), key=lambda one: (one.name.casefold(), one.name))


def bodies(names: Collection[str]) -> Mapping[str, bytes]:
    """Return images' bytes by name, none for those that are not there; at most one statement."""
    if not names:
        return {}
    query = select(Image.name, Image.content).where(among_texts(Image.name, names))
    return {row.name: row.content for row in db.session.execute(query)}


def digests(names: Collection[str]) -> Mapping[str, str]:
    """Return images' SHA-256 in lower-case hex by name, none for those that are not there; at most one statement."""
    if not names:
        return {}
    query = select(Image.name, Image.digest).where(among_texts(Image.name, names))
    return {row.name: row.digest for row in db.session.execute(query)}


def by_digest(digest: str) -> tuple[str, bytes] | None:
    """Return of which kind an image is and its bytes, by their SHA-256; None where there is none. One statement."""
    row = db.session.execute(select(Image.media_type, Image.content).where(Image.digest == digest).limit(1)).first()
    return (row.media_type, row.content) if row is not None else None


def _fill(image: Image, content: bytes, now: datetime) -> None:
    found = picture.read(content)
    image.media_type, image.width, image.height = found.media_type, found.width, found.height
    image.content, image.size_bytes, image.digest = content, len(content), hashlib.sha256(content).hexdigest()
    image.changed_at = now


def _record(by: Principal, action: str, image: Image, now: datetime) -> None:
    audit.record(by, action, subject=f"image:{image.id}", now=now, name=image.name, digest=image.digest)
