"""The token with which licences of apps are assigned: one file in the data directory, sealed.

It stands for one location of the municipality's in Apple School Manager, whose licences one service may manage at a
time. Whoever takes them over from another says so (:meth:`LicenceTokenKeeper.claim`); the claim stands beside the token
until it is made.

Source: https://developer.apple.com/documentation/devicemanagement/getting-started-with-the-management-api.
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.errors import InvalidError, NotFoundError
from fleet.mdm import running_out
from fleet.mdm.sealed_file import SealedFile

_PURPOSE = "licence-token"
_MAX_UPLOAD_BYTES = 16 * 1024  # a token has about half a kilobyte
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)  # what stands here was judged when it came


class LicenceTokenError(InvalidError):
    """An uploaded token that must not be used. Data: ``reason``, and what the reason needs.

    ``reason`` is one of: ``unreadable``; ``expired``; ``organisation`` (``current``, ``new``: it is another one's).
    """

    code = "licence-token"


@dataclass(frozen=True, slots=True)
class LicenceToken:
    """A token.

    Args:
        raw: as it goes to Apple: the whole file.
        organisation: whose.
        expires_at: from then on Apple refuses it.
        claims: whether licences are to be taken over from another service.
    """

    raw: str = field(repr=False)
    organisation: str
    expires_at: datetime
    claims: bool = False

    def days_left(self, now: datetime) -> int:
        """Return how many whole days it can still be used; negative once it has run out."""
        return running_out.days_left(self.expires_at, now)

    def warning_step(self, now: datetime) -> int | None:
        """Return which warning has begun, see :func:`~fleet.mdm.running_out.warning_step`."""
        return running_out.warning_step(self.expires_at, now)


class _Told(msgspec.Struct):
    token: str
    exp_date: str = msgspec.field(name="expDate")
    org_name: str = msgspec.field(name="orgName")


class _Kept(msgspec.Struct):
    raw: str
    claims: bool


def read(uploaded: bytes, *, now: datetime, claims: bool = False) -> LicenceToken:
    """Return the token in a file as Apple School Manager gives it: base 64 of an object in JSON.

    Args:
        uploaded: the file as it came.
        now: to tell one that has run out.
        claims: see :class:`LicenceToken`.

    Raises:
        LicenceTokenError: it is none, or has run out.
    """
    try:
        raw = "".join(uploaded[:_MAX_UPLOAD_BYTES].decode("ascii").split())
        told = msgspec.json.decode(base64.b64decode(raw, validate=True), type=_Told)
        expires_at = datetime.fromisoformat(told.exp_date)
    except (ValueError, binascii.Error, msgspec.MsgspecError) as error:
        raise LicenceTokenError(reason="unreadable") from error
    if not told.token or expires_at.tzinfo is None:
        raise LicenceTokenError(reason="unreadable")
    if now >= expires_at:
        raise LicenceTokenError(reason="expired", expired_at=expires_at)
    return LicenceToken(raw, told.org_name, expires_at.astimezone(UTC), claims)


class LicenceTokenKeeper:
    """Keeps the token.

    Args:
        secrets_dir: where secrets live.
        vault_key: seals it.
    """

    def __init__(self, secrets_dir: Path, vault_key: bytes) -> None:
        path = secrets_dir / "licence-token.sealed"
        self._token = SealedFile(path, vault_key, purpose=_PURPOSE, read=_kept)
        self._vault_key = vault_key

    @property
    def our_id(self) -> str:
        """Return what this server calls itself at Apple, the same for as long as it has its vault key."""
        return hmac.new(self._vault_key, b"licences", hashlib.sha256).hexdigest()[:32]

    def current(self) -> LicenceToken | None:
        """Return the token, also one that has run out; None where none was uploaded."""
        return self._token.current()

    def take(self, uploaded: bytes, *, other_organisation: bool, by: Principal, now: datetime) -> LicenceToken:
        """Use a token that was downloaded from now on, in the place of the present one.

        Args:
            uploaded: the file.
            other_organisation: whether it may be another organisation's than the present one.
            by: who brings it.
            now: the instant.

        Raises:
            ForbiddenError: ``by`` does not run the server.
            LicenceTokenError: it is none, has run out, or is another organisation's.
        """
        require(by, Permission.EDIT_MUNICIPALITY)
        new, present = read(uploaded, now=now), self.current()
        is_other = present is not None and present.organisation != new.organisation
        if present is not None and is_other and not other_organisation:
            raise LicenceTokenError(reason="organisation", current=present.organisation, new=new.organisation)
        self._keep(new.raw, claims=False)
        ends_at = new.expires_at.isoformat()
        audit.record(by, "mdm.licence-token-set", subject="licence-token", now=now, ends_at=ends_at)
        return new

    def claim(self, *, by: Principal, now: datetime) -> None:
        """Have licences taken over from the service that manages them now.

        Raises:
            ForbiddenError: ``by`` does not run the server.
            NotFoundError: there is no token.
        """
        require(by, Permission.EDIT_MUNICIPALITY)
        present = self.current()
        if present is None:
            raise NotFoundError(kind="licence-token", name="")
        self._keep(present.raw, claims=True)
        audit.record(by, "mdm.licences-claimed", subject="licence-token", now=now)

    def claimed(self, token: LicenceToken) -> None:
        """Note that this claim was made; nothing happens where another token was taken meanwhile."""
        present = self.current()
        if present is not None and present.raw == token.raw:
            self._keep(present.raw, claims=False)

    def _keep(self, raw: str, *, claims: bool) -> None:
        self._token.keep(msgspec.json.encode(_Kept(raw, claims)))


def _kept(told: bytes) -> LicenceToken:
    kept = msgspec.json.decode(told, type=_Kept)
    return read(kept.raw.encode(), now=_LONG_AGO, claims=kept.claims)
