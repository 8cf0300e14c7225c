"""Effective profiles' bodies, for who hands out many small ones: immutable under their digest, so kept once read."""

from collections.abc import Collection

from sqlalchemy import select

from fleet.assignments.models import EffectiveProfile
from fleet.db import db

_KEPT = 512
_known: dict[str, str] = {}


def load(digests: Collection[str]) -> dict[str, str]:
    """Return bodies by digest, none where there is none; at most one statement, none for what was read before."""
    found = {digest: body for digest in digests if (body := _known.get(digest)) is not None}
    missing = set(digests) - found.keys()
    if missing:
        query = select(EffectiveProfile.digest, EffectiveProfile.body).where(EffectiveProfile.digest.in_(missing))
        read = {row.digest: row.body for row in db.session.execute(query)}
        if len(_known) + len(read) > _KEPT:
            _known.clear()  # threads share it: what is needed here is in ``found``
        _known.update(read)
        found |= read
    return found
