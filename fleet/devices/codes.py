"""Ticket codes: 27 random characters of Crockford's base 32 (135 bits) and one that checks them, in groups of four.

The check character tells a slip of the finger from a ticket that does not exist, before anything is asked of the
database. Letters that are easily mistaken are read as what was meant.
"""

import hashlib

from fleet.crypto import CODE_ALPHABET, random_code
from fleet.errors import InvalidError

LENGTH = 27
_GROUP = 4
_MATCH_LENGTH = 8  # 40 bits
_MEANT = str.maketrans("OIL", "011")
# A prime above the alphabet's size, so that any one wrong character and any swap of neighbours changes the sum.
_MODULUS = 37
_CHECK_ALPHABET = CODE_ALPHABET + "*~$=U"  # Source: https://www.crockford.com/base32.html, check symbols


class TicketCodeError(InvalidError):
    """A code that was mistyped: wrong length, a character that no code has, or a check that does not fit."""

    code = "ticket-mistyped"


def _check(body: str) -> str:
    number = 0
    for character in body:
        number = (number * 32 + CODE_ALPHABET.index(character)) % _MODULUS
    return _CHECK_ALPHABET[number]


def make() -> str:
    """Return a new code, 28 characters without separators."""
    while True:
        body = random_code(LENGTH)
        if (check := _check(body)) in CODE_ALPHABET:  # so that people meet letters and digits only
            return body + check


def shown(code: str) -> str:
    """Return a code as people see it, in groups of four."""
    return "-".join(code[place : place + _GROUP] for place in range(0, len(code), _GROUP))


def match_code(thumbprint: str) -> str:
    """Return the eight characters by which a person sees that two screens speak of one key: ``K7M4-QX2P``.

    Source: agent_protocol/README.md, section 4 (the tablet shows the same).

    Args:
        thumbprint: the key's, as on the wire.
    """
    number = int.from_bytes(hashlib.sha256(thumbprint.encode()).digest()[: _MATCH_LENGTH * 5 // 8], "big")
    return shown("".join(CODE_ALPHABET[number >> 5 * place & 31] for place in reversed(range(_MATCH_LENGTH))))


def normalise(typed: str) -> str:
    """Return the code that was meant by what somebody typed.

    Raises:
        TicketCodeError: it cannot be one.
    """
    code = "".join(typed.split()).replace("-", "").upper().translate(_MEANT)
    if len(code) != LENGTH + 1:
        raise TicketCodeError(reason="length", expected=f"{LENGTH + 1} characters in groups of {_GROUP}")
    if any(character not in CODE_ALPHABET for character in code) or _check(code[:-1]) != code[-1]:
        raise TicketCodeError(reason="check", expected="the code as it stands on the sheet")
    return code
