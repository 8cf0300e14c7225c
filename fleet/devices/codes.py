"""Ticket codes: 27 random characters of Crockford's base 32 (135 bits) and one that checks them, in groups of four.

The check character tells a slip of the finger from a ticket that does not exist, before anything is asked of the
database. Letters that are easily mistaken are read as what was meant.
"""

from fleet.crypto import CODE_ALPHABET, random_code
from fleet.errors import InvalidError

LENGTH = 27
_GROUP = 4
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
