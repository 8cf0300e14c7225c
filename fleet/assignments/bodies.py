"""Effective profiles' bodies, for who hands out many small ones: immutable under their digest, so kept once read."""

from collections.abc import Collection, Mapping

from sqlalchemy import select

from fleet.assignments.kept import Kept
from fleet.assignments.models import EffectiveProfile
from fleet.db import db

_known: Kept[str] = Kept(512)


def load(digests: Collection[str]) -> dict[str, str]:
    """Return bodies by digest, none where there is none; at most one statement, none for what was read before."""
    return _known.load(digests, _read)


def _read(digests: Collection[str]) -> Mapping[str, str]:
    query = select(EffectiveProfile.digest, EffectiveProfile.body).where(EffectiveProfile.digest.in_(digests))
    return {row.digest: row.body for row in db.session.execute(query)}
