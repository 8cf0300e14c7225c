"""How fast passwords may be guessed: counted in the database, so that all servers count together.

Per account's name: ten failures in a quarter of an hour, with a wait that grows from the third on. Per address fifty:
a whole school comes from one address, so that limit is generous, and no success resets it. An attempt that is turned
away is not counted, so nobody is kept out for longer than a quarter of an hour by somebody else's stubbornness.
Only digests are stored, and an IPv6 address counts as its /64, as one machine has all of that.
Source: OWASP ASVS 5.0, 6.3.1; NIST SP 800-63B-4, section 3.2.2 (rate limiting).
"""

import ipaddress
import math
from datetime import datetime, timedelta

from sqlalchemy import delete, select

from fleet.crypto import token_digest
from fleet.db import db, take_turn
from fleet.errors import FleetError
from fleet.people.models import SignInFailure

WINDOW = timedelta(minutes=15)
MAX_PER_NAME, MAX_PER_ADDRESS = 10, 50
_FREE_FAILURES = 2  # slips of the finger cost no wait; then 1, 2, 4 … seconds


class TooManyFailuresError(FleetError):
    """Too many failed attempts of late. Data: ``retry_after_s``, whole seconds."""

    code = "too-many-failures"


def name_subject(username: str) -> str:
    """Return what is counted for an account's name, whether or not there is such an account."""
    return token_digest(f"name:{username}")


def address_subject(address: str) -> str:
    """Return what is counted for an address: the address, of IPv6 its /64."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return token_digest(f"address:{address}")
    if found.version == 6:
        mapped = found.ipv4_mapped
        whole = str(mapped) if mapped is not None else str(ipaddress.ip_network((int(found), 64), strict=False))
        return token_digest(f"address:{whole}")
    return token_digest(f"address:{found}")


def check(*, name: str, address: str | None, now: datetime) -> None:
    """Refuse an attempt that comes too early; attempts on one name stand in line, so that none slips by uncounted.

    Args:
        name: from :func:`name_subject`.
        address: from :func:`address_subject`; None where no address counts.
        now: the instant.

    Raises:
        TooManyFailuresError: one has to wait first.
    """
    take_turn(f"sign-in:{name}")
    look(name=name, address=address, now=now)


def look(*, name: str, address: str | None, now: datetime) -> None:
    """Refuse an attempt that comes too early, without standing in line: others may be about to fail meanwhile.

    Args:
        name: from :func:`name_subject`.
        address: from :func:`address_subject`; None where no address counts.
        now: the instant.

    Raises:
        TooManyFailuresError: one has to wait first.
    """
    failures: dict[str, list[datetime]] = {name: [], address or "": []}
    query = (
        select(SignInFailure.subject, SignInFailure.at)
        .where(SignInFailure.subject.in_([subject for subject in failures if subject]), SignInFailure.at > now - WINDOW)
        .order_by(SignInFailure.at.desc(), SignInFailure.id.desc())
    )
    for subject, at in db.session.execute(query):
        failures[subject].append(at)
    until = max(_name_free_at(failures[name], now), _address_free_at(failures[address or ""], now))
    if until > now:
        raise TooManyFailuresError(retry_after_s=max(1, math.ceil((until - now).total_seconds())))


def _name_free_at(newest_first: list[datetime], now: datetime) -> datetime:
    count = len(newest_first)
    if count >= MAX_PER_NAME:
        return newest_first[MAX_PER_NAME - 1] + WINDOW
    if count <= _FREE_FAILURES:
        return now
    return newest_first[0] + timedelta(seconds=2 ** (count - _FREE_FAILURES - 1))


def _address_free_at(newest_first: list[datetime], now: datetime) -> datetime:
    return newest_first[MAX_PER_ADDRESS - 1] + WINDOW if len(newest_first) >= MAX_PER_ADDRESS else now


def note_failure(*subjects: str, now: datetime) -> None:
    """Count a failed attempt for each of ``subjects``."""
    db.session.add_all(SignInFailure(subject=subject, at=now) for subject in subjects)
    db.session.flush()


def forgive(username: str) -> None:
    """Forget the failures of an account's name: its owner has proven to be the owner."""
    db.session.execute(
        delete(SignInFailure)
        .where(SignInFailure.subject == name_subject(username))
        .execution_options(synchronize_session=False)
    )
