"""What is no longer needed of clients is removed, some at once."""

from datetime import datetime, timedelta

from sqlalchemy import and_, delete, exists, or_, select

from fleet.db import carry_out, db
from fleet.devices.models import DeviceState
from fleet.mdm.models import Client, Command, Declared, Enclosure, Identity, Invitation

# After a certificate's end, or after its issue where no tablet has come in with it.
IDENTITY_FOR = timedelta(days=30)


def forget(*, older_than: timedelta, now: datetime, at_most: int) -> int:
    """Remove invitations, commands and declarations that were over so long ago, and certificates; returns how many.

    Certificates have a time of their own (:data:`IDENTITY_FOR`).

    Args:
        older_than: how long ago.
        now: the instant.
        at_most: of each kind at once.
    """
    before = now - older_than
    is_told = exists().where(Client.declared_token == Declared.token)
    invitations = select(Invitation.id).where(or_(Invitation.expires_at < before, Invitation.used_at < before))
    commands = select(Command.id).where(Command.ended_at < before)
    declared = select(Declared.token).where(Declared.made_at < before, ~is_told)
    queries = (
        delete(Invitation).where(Invitation.id.in_(invitations.limit(at_most))),
        delete(Command).where(Command.id.in_(commands.limit(at_most))),
        delete(Declared).where(Declared.token.in_(declared.limit(at_most))),
    )
    removed = _identities(now - IDENTITY_FOR, at_most)
    for query in queries:
        removed += carry_out(query)
    return removed + _files(before, at_most)


def _identities(before: datetime, at_most: int) -> int:
    """Remove certificates that ran out before then, or that no tablet had come in with; not one that names a tablet."""
    is_named = exists().where(DeviceState.key_thumbprint == Identity.thumbprint)
    is_past = or_(Identity.expires_at < before, and_(Identity.device_id.is_(None), Identity.issued_at < before))
    query = delete(Identity).where(
        Identity.thumbprint.in_(select(Identity.thumbprint).where(is_past, ~is_named).limit(at_most))
    )
    return carry_out(query)


def _files(before: datetime, at_most: int) -> int:
    """Remove files that nothing names any more: neither what a client was told of, nor its lesson."""
    old = set(db.session.scalars(select(Enclosure.digest).where(Enclosure.made_at < before).limit(at_most)))
    if not old:
        return 0
    named: set[str] = set()
    for files in db.session.scalars(select(Declared.files)):
        named.update(files)
    named.update(one for one in db.session.scalars(select(Client.lesson_file).distinct()) if one is not None)
    unused = old - named
    if unused:
        query = delete(Enclosure).where(Enclosure.digest.in_(unused))
        db.session.execute(query.execution_options(synchronize_session=False))
    return len(unused)
