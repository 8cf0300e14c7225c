"""What a ticket's Android tablets are told that is in the database: the agent's package, and the place's networks."""

from collections.abc import Sequence
from datetime import datetime

from fleet.access import Permission, Principal
from fleet.android import addresses, provisioning
from fleet.android.provisioning import Agent, Network
from fleet.apps import catalogue
from fleet.apps.facts import APK
from fleet.assignments import materialise
from fleet.assignments.materialise import Applicable
from fleet.assignments.models import Scope
from fleet.devices.models import Ticket
from profiles import layering

_USUAL_CPU = "arm64-v8a"  # of tablets that schools buy


def agent(public_url: str) -> Agent | None:
    """Return the agent's package as new tablets fetch it; None where nobody has brought it. One statement.

    What a new tablet runs on nobody knows, so it gets what most run on. An .xapk no tablet's set-up can install.

    Args:
        public_url: of the server, without a slash at the end.
    """
    found = catalogue.android_packages([addresses.AGENT_APP]).get(addresses.AGENT_APP, ())
    package = catalogue.for_cpu([one for one in found if one.kind == APK], _USUAL_CPU)
    if package is None:
        return None
    url = addresses.address_of(public_url, addresses.AGENT_APP, package)
    return Agent(package.version, url, package.digest, package.certificate)


def printed(code: str, public_url: str) -> str | None:
    """Return what a printed code says: nothing of a network, as paper gets about; None where there is no agent yet.

    Args:
        code: the ticket's.
        public_url: of the server, without a slash at the end.

    Raises:
        TicketCodeError: none can have this code.
    """
    found = agent(public_url)
    return provisioning.text(provisioning.extras(found, public_url, code)) if found is not None else None


def may_see_networks(by: Principal) -> bool:
    """Whether one may see the networks' passwords: who writes profiles has told them."""
    return by.may(Permission.EDIT_PROFILES)


def networks(ticket: Ticket, *, by: Principal, now: datetime) -> Sequence[Network]:
    """Return the networks that tablets of a ticket's place have, as their profiles stand; two statements at most.

    None for who may not see their passwords.
    """
    if not may_see_networks(by):
        return []
    standing = [one for one in materialise.standing(now) if one.timed.applies_at(now)]
    layers = [one.timed.layer for one in standing if _is_there(one, ticket)]
    return provisioning.networks(layering.effective(layers).settings)


def _is_there(one: Applicable, ticket: Ticket) -> bool:
    """Whether an assignment is for every tablet of a ticket's place."""
    if one.scope is Scope.CLASS:
        return ticket.class_id == one.class_id
    if one.scope is Scope.SCHOOL:
        return ticket.school_id == one.school_id
    return one.scope is Scope.MUNICIPALITY
