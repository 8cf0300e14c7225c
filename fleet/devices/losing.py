"""What being reported lost means where a tablet can be reached all the same, and what it then says to who finds it.

Not here: the steps themselves (``life``), and how a channel closes a tablet and opens it again.
"""

import re

from fleet.errors import InvalidError

# Channels on which a lost tablet keeps its enrolment: they can close it, tell where it is, and open it again,
# which they can only while it may speak. On the others a lost tablet's key is worth nothing from that moment on, as
# nothing would keep whoever has it from using what the tablet may fetch.
# Source: https://developer.apple.com/documentation/devicemanagement/enable-lost-mode-command (apple). native and
# headwind have no such mode, see fleet.orders.kinds.
KEPT_WHEN_LOST = frozenset({"apple"})
MAX_MESSAGE, MAX_PHONE = 255, 40
_PHONE = re.compile(r"\+?[0-9](?: ?[0-9]){2,}")


def require_sound(message: str | None, phone: str | None) -> None:
    """Refuse what cannot stand on the screen of a lost tablet; None is always sound.

    Raises:
        InvalidError: it is empty, too long, or not printable; or no telephone number. Data: ``field``, ``expected``.
    """
    if message is not None and not (message.strip() and len(message) <= MAX_MESSAGE and message.isprintable()):
        expected = f"a text of 1 to {MAX_MESSAGE} printable characters on one line"
        raise InvalidError(kind="lost tablet", field="message", expected=expected)
    if phone is not None and not (len(phone) <= MAX_PHONE and _PHONE.fullmatch(phone)):
        expected = f"a telephone number such as +47 22 33 44 55, at most {MAX_PHONE} characters"
        raise InvalidError(kind="lost tablet", field="phone", expected=expected)
