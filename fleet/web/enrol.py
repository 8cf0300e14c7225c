"""What a ticket sheet's code leads to when a camera scans it: an iPad's way in, and for others what to do.

The ticket's code stands behind the hash sign, which browsers do not send: the server learns it only from whoever then
asks for an iPad's profile.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from flask import current_app, render_template, request

from fleet.config import Config
from fleet.web.blueprint import public, web
from fleet.web.texts import translated as _

# Why a profile was refused, by the refusal's code.
_REFUSALS: Mapping[str, Callable[[], str]] = MappingProxyType(
    {
        "ticket-unknown": lambda: _("No ticket has this code. Compare it with the sheet."),
        "ticket-expired": lambda: _("The ticket has expired. Ask school IT for a new one."),
        "ticket-exhausted": lambda: _("The ticket is used up. Ask school IT for a new one."),
        "too-many": lambda: _("Too many attempts") + ". " + _("Wait a little and try again."),
        "ticket-revoked": lambda: _("The ticket was revoked. Ask school IT for a new one."),
    }
)


@web.get("/enrol")
@public
def enrol() -> str:
    """Say what the code is for, what to do with it, and whom to ask; an iPad gets its profile from here."""
    config: Config = current_app.extensions["fleet_config"]
    refusal = _REFUSALS.get(request.args.get("refused", ""))
    return render_template(
        "enrol.html", public_url=config.public_url, refusal=refusal() if refusal is not None else None
    )
