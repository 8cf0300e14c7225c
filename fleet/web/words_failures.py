"""Why a mail or a message to a webhook did not get through, in words with what to do.

The reasons are those of ``app.mailing`` and ``app.posting``; one that is not known here is shown as it is told.
"""

import re

from fleet.web.texts import translated as _

_NUMBERED = re.compile(r"(?P<what>.*?) ?\(?(?P<number>\d{3})\)?")


def failure(told: str | None) -> str:
    """Say why something did not get through; empty where nobody has told."""
    found = _NUMBERED.fullmatch(told or "")
    if found is None:
        return _known().get(told or "", told or "")
    words = _numbered().get(found["what"])
    return _("%(words)s (It answered %(number)s.)", words=words, number=found["number"]) if words else str(told)


def _known() -> dict[str, str]:
    return {
        "unreachable": _("It cannot be reached. Check name and port, and whether a firewall stands between."),
        "certificate not trusted": _("Its certificate is too old, for another name, or of an unknown authority."),
        "no TLS": _("It does not speak TLS there. Check port and encryption."),
        "offers no STARTTLS or no sign-in": _("It offers no encryption or no sign-in there. Try another port."),
        "too slow": _("It did not answer in time."),
        "hung up at the sender": _("It hung up when it heard the sender's address."),
        "hung up at the reader": _("It hung up when it heard the reader's address."),
        "hung up at the letter": _("It hung up in the middle of the mail; perhaps it has taken it."),
        "no such name": _("There is no machine of this name."),
        "private address": _("Its name leads into a private network. An administrator can allow that."),
        "leads elsewhere": _("It leads on to another address, which is never followed. Write the right one."),
        "hung up, or no HTTP": _("It hung up, or does not speak HTTP."),
        "hung up, or no TLS": _("It hung up, or does not speak TLS."),
        "address refused (address)": _("Its address cannot be used any more. Write another one."),
        "address refused (tls)": _("The address has to begin with https://, or others could read what is sent."),
        "address refused (private)": _("It leads into a private network. An administrator can allow that."),
        "no address": _("There is no mail address to send it to."),
        "password cannot be opened": _("Its password was kept with another key. Type it again."),
        "secret cannot be opened": _("The secret was kept with another key. Make a new one."),
        "webhook removed": _("The webhook was removed before it was sent."),
    }  # fmt: skip


def _numbered() -> dict[str, str]:
    """Return what goes before a number that the other side answered."""
    return {
        "sign-in refused": _("User name or password are wrong, or may not send."),
        "sender refused": _("It does not send for the sender's address."),
        "reader refused": _("It does not know the reader's address."),
        "reader not now": _("It does not take mail for the reader just now."),
        "letter refused": _("It refuses the mail."),
        "letter not now": _("It does not take the mail just now."),
        "letter": _("It does not take the mail just now."),
        "refused": _("It does not want to talk to this server."),
        "not now": _("It has no time just now."),
        "answered": _("The program there did not take the message."),
    }
