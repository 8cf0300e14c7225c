"""Where to go next: only to pages of our own, whatever an address asks for."""

from urllib.parse import parse_qsl, urlencode, urlsplit

from flask import current_app, request, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect
from werkzeug.urls import iri_to_uri

from fleet.access import Role
from fleet.devices import queries as devices
from fleet.people.models import Account
from fleet.schools import first_run
from fleet.web.blueprint import web

_NOT_PLACES = frozenset({f"{web.name}.static_file", f"{web.name}.sign_in"})


def start_page(account: Account) -> str:
    """Return the address of the page that an account starts with: a teacher's lessons, else Today, or the first run."""
    if any(grant.role is Role.MUNICIPAL_ADMIN for grant in account.grants) and is_empty():
        return url_for("web.setup")
    is_teacher = any(grant.role is Role.TEACHER for grant in account.grants)
    return url_for("web.lessons" if is_teacher else "web.overview")


def is_empty() -> bool:
    """Whether the server is yet to have its first tablet, and nobody has ended the first run."""
    return not first_run.is_over() and not devices.any_known()


def own_page(told: str | None) -> str:
    """Return the address of the page that ``told`` names, built anew from our own routes; the overview for all else.

    Args:
        told: path and query as a form or address told; never trusted to be ours.
    """
    overview = url_for("web.overview")
    try:
        parts = urlsplit(told or "")
    except ValueError:
        return overview
    if parts.scheme or parts.netloc or not parts.path.startswith("/"):
        return overview
    try:
        endpoint, values = current_app.create_url_adapter(request).match(parts.path, method="GET")  # type: ignore[union-attr]
    except (HTTPException, RequestRedirect):
        return overview
    if not endpoint.startswith(f"{web.name}.") or endpoint in _NOT_PLACES:
        return overview
    query = urlencode([pair for pair in parse_qsl(parts.query) if pair[0] not in values])
    path = current_app.url_for(endpoint, **values)
    return iri_to_uri(f"{path}?{query}" if query else path)
