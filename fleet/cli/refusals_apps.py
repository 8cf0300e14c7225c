"""What is refused of apps, as sentences; see :mod:`fleet.cli.refusals`."""

from collections.abc import Mapping
from types import MappingProxyType

from fleet.cli.wording import Data, Words, always, see


def _bad_app(data: Data) -> str:
    told = {
        "app-id": f"{data.get('found')!r} is no app id: it is one such as no.example.app",
        "name": "an app's name has 1 to 120 characters",
        "store-id": f"{data.get('found')!r} is no number in the App Store: give the number, or the address of the "
        "app's page there, of apps for iPads only",
    }
    return told.get(str(data.get("reason")), "this is not sound for an app")


def _no_app(data: Data) -> str:
    near = data.get("nearest")
    help_ = f"; nearest: {', '.join(near)}" if near else f": {see('apps list')} lists them"
    return f"the catalogue has no app {data.get('name')}{help_}"


def _app_required(data: Data) -> str:
    return f"{data.get('name')} is required by {', '.join(data.get('profiles') or ())}: take it out of there first"


def _licence_token(data: Data) -> str:
    told = {
        "expired": "this token has run out: download a new one at Apple School Manager",
        "organisation": f"this token is of {data.get('new')}, the present one of {data.get('current')}: "
        "say --yes if that is meant",
    }
    return told.get(str(data.get("reason")), "this is no token for Apps and Books that can be read")


BY_CODE: Mapping[str, Words] = MappingProxyType(
    {"app": _bad_app, "app-required": _app_required, "licence-token": _licence_token}
)

BY_KIND: Mapping[tuple[str, str], Words] = MappingProxyType(
    {
        ("not-found", "app"): _no_app,
        ("not-found", "licence-token"): always(f"there is no token: take one with {see('apple licences-token FILE')}"),
        ("conflict", "app"): lambda data: f"{data.get('name')} is in the catalogue already: {see('apps show ID')}",
    }
)
