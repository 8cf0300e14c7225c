"""What ends when an account's password or standing changes: its sessions, and links nobody has used yet.

Callers change the account's row and flush first. A sign-in holds that row while it works, so whichever of the two
comes second sees the other, and no session that rests on the old state outlives the change.
"""

from sqlalchemy import ColumnElement, delete

from fleet.crypto import token_digest
from fleet.db import carry_out
from fleet.people.models import PasswordLink, SignInSession


def end_sessions(account_id: int, *, keep: str | None = None) -> int:
    """End an account's sessions, except the one of the token ``keep``; returns how many ended."""
    which: list[ColumnElement[bool]] = [SignInSession.account_id == account_id]
    if keep is not None:
        which.append(SignInSession.token_digest != token_digest(keep))
    return carry_out(delete(SignInSession).where(*which))


def end_links(account_id: int | None) -> int:
    """End the unused links of an account, or (None) of the first administrator; returns how many ended."""
    return carry_out(delete(PasswordLink).where(PasswordLink.account_id == account_id, PasswordLink.used_at.is_(None)))
