"""What the makers give for a year, and our own device CA: how each stands, for whoever has to renew it."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from fleet.checkup.checks import Check, ending, fault, ok
from fleet.crypto import UnsealError
from fleet.mdm import authority, running_out
from fleet.mdm.licence_token import LicenceToken, LicenceTokenKeeper
from fleet.mdm.push_certificate import PushCertificate
from fleet.mdm.push_keeper import PushKeeper
from fleet.mdm.server_token import ServerToken
from fleet.mdm.token_keeper import TokenKeeper

Given = PushCertificate | ServerToken | LicenceToken

_NEAR = timedelta(days=running_out.WARNING_DAYS[0])
_MISSING = MappingProxyType(
    {
        "push-certificate": "none, so iPads can neither be enrolled nor woken",
        "server-token": "none, so iPads do not come by Apple School Manager",
        "licence-token": "none, so licences of apps are not given out",
    }
)
_RENEWED = MappingProxyType(
    {
        "push-certificate": "renew it with the same Apple account; scripts/fleet apple push-request begins",
        "server-token": "fetch a new one from Apple School Manager; scripts/fleet apple status says how it stands",
        "licence-token": "fetch a new one from Apple School Manager; scripts/fleet apple status says how it stands",
    }
)
_ANOTHER_KEY = "bring back the vault key and the file from one and the same backup"


def keepers(secrets_dir: Path, vault_key: bytes) -> Mapping[str, Callable[[], Given | None]]:
    """Return what gives each of the things that end, by what it is called where people are told of its end."""
    return {
        "push-certificate": PushKeeper(secrets_dir, vault_key).current,
        "server-token": TokenKeeper(secrets_dir, vault_key).current,
        "licence-token": LicenceTokenKeeper(secrets_dir, vault_key).current,
    }


def examine(secrets_dir: Path, vault_key: bytes, *, now: datetime) -> list[Check]:
    """Return how each of them stands.

    Args:
        secrets_dir: where they are kept.
        vault_key: opens them.
        now: the instant.
    """
    kept = [_given(name, current, now) for name, current in keepers(secrets_dir, vault_key).items()]
    return [*kept, _device_ca(secrets_dir, vault_key, now)]


def _given(name: str, current: Callable[[], Given | None], now: datetime) -> Check:
    try:
        found = current()
    except (UnsealError, OSError):
        return fault(name, "cannot be opened with this vault key", _ANOTHER_KEY)
    if found is None:
        return ok(name, _MISSING[name])
    return ending(name, found.expires_at, now=now, near=_NEAR, advice=_RENEWED[name])


def _device_ca(secrets_dir: Path, vault_key: bytes, now: datetime) -> Check:
    name = "device-ca"
    if not any((secrets_dir / "device-ca").glob("*.json")):
        return ok(name, "made at the first start")
    try:
        found = authority.load(secrets_dir, vault_key, now=now)
    except (UnsealError, OSError, ValueError):
        return fault(name, "cannot be opened with this vault key", _ANOTHER_KEY)
    own = found.current.certificate.not_valid_after_utc
    near = own - found.rotate_by  # from then on what it issues lives shorter than it should
    return ending(name, own, now=now, near=near, advice="make a new one: scripts/fleet apple ca-rotate, then restart")
