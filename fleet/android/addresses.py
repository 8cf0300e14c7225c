"""Where an Android tablet's agent speaks to us: the words in its addresses are all that it is known by. Pure.

Source: the agent calls ``BASE_URL/SERVER_PROJECT/rest/…``, where ``SERVER_PROJECT`` is one segment; it compares
addresses without regard to capitals, so what we make has none.
"""

from fleet.apps.catalogue import AndroidPackage
from fleet.devices import codes

PREFIX = "/hw-"  # of all that the agent, or its tablet, asks for
CHANNEL = "headwind"
AGENT_APP = "com.hmdm.launcher"  # the agent itself, as an app
_ENROLMENT, _TABLET = "hw-e", "hw-t"


def enrolment_project(code: str) -> str:
    """Return the project of an address at which tablets come in with a ticket.

    Args:
        code: the ticket's, as a person typed it or as it was made.

    Raises:
        TicketCodeError: none can have this code.
    """
    return f"{_ENROLMENT}{codes.normalise(code).lower()}"


def ticket_code(project: str) -> str | None:
    """Return the ticket's code in such a project, in small letters; None where the project is another."""
    return project.removeprefix(_ENROLMENT) if project.startswith(_ENROLMENT) else None


def tablet_project(token: str) -> str:
    """Return the project under which one tablet is known, by its token."""
    return f"{_TABLET}{token}"


def tablet_token(project: str) -> str | None:
    """Return the token in such a project; None where the project is another."""
    return project.removeprefix(_TABLET) if project.startswith(_TABLET) else None


def file_name(app_id: str, digest: str, kind: str) -> str:
    """Return what a package is called in its address.

    The agent remembers a failed installation by this name and does not try it again; so each package has its own.

    Args:
        app_id: its package name.
        digest: SHA-256 of the file, lower-case hex.
        kind: what the name ends in: ``apk``, or ``xapk``, by which the agent tells the two apart.
    """
    return f"{app_id}-{digest[:16]}.{kind}"


def package_url(public_url: str, token: str, name: str) -> str:
    """Return where a package is.

    Args:
        public_url: of the server, without a slash at the end.
        token: of the package.
        name: as :func:`file_name` has it.
    """
    return f"{public_url}{PREFIX}files/{token}/{name}"


def address_of(public_url: str, app_id: str, package: AndroidPackage) -> str:
    """Return where a package of an app is, under a name of its own.

    Args:
        public_url: of the server, without a slash at the end.
        app_id: the app's package name.
        package: the package.
    """
    return package_url(public_url, package.token, file_name(app_id, package.digest, package.kind))


def image_url(public_url: str, digest: str) -> str:
    """Return where a picture is, by the SHA-256 of its bytes (lower-case hex)."""
    return f"{public_url}{PREFIX}images/{digest}"
