"""Addresses for mail: what one may look like. Pure.

Narrower than what mail servers take among themselves: one address, no name beside it, nothing that could begin another
header or another address. Letters beyond ASCII are fine in the domain, which is kept in its ASCII form.

Source: RFC 5321 sections 4.1.2 and 4.5.3.1, RFC 5891 (domains of other letters).
"""

import re

from fleet.errors import InvalidError

MAX_LENGTH = 254
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")


def is_address(told: str) -> bool:
    """Whether a letter could be sent there as it stands."""
    local, _, domain = told.rpartition("@")
    return (
        len(told) <= MAX_LENGTH
        and len(local) <= 64
        and _LOCAL.fullmatch(local) is not None
        and _DOMAIN.fullmatch(domain) is not None
    )


def read(told: str) -> str:
    """Return an address as it is kept: without space around, the domain in ASCII and lower case.

    Raises:
        InvalidError: it is none.
    """
    local, _, domain = told.strip().rpartition("@")
    try:
        found = f"{local}@{domain.encode('idna').decode().lower()}"
    except UnicodeError:
        found = ""
    if not is_address(found):
        raise InvalidError(kind="account", reason="email", expected="one address, such as kari@example.no")
    return found
