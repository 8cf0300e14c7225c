"""What a ticket's Android tablets are told: the agent's package as it stands, and the place's networks to who may see."""

from datetime import timedelta

import pytest
from flask import Flask

from fleet.access import Grant, Principal, Role
from fleet.android import coming
from fleet.android.provisioning import Agent
from fleet.assignments.assigning import Place
from fleet.db import transaction
from fleet.devices import tickets
from fleet.devices.models import Ticket
from fleet.schools.models import School, SchoolClass
from tests import factories as make
from tests.android import DIGEST, SIGNER, agent_package
from tests.conftest import NOW

CLI = Principal.command_line()
URL = "https://nettbrett.example"


@pytest.fixture
def school(app: Flask) -> School:
    with transaction():
        return make.school()


def ticket(school: School, of: SchoolClass | None = None) -> Ticket:
    with transaction():
        ends = NOW + timedelta(days=7)
        return tickets.create(tickets.Place(school, of), expires_at=ends, max_enrolments=1, by=CLI, now=NOW)[0]


def network(name: str, security: str = "wpa2") -> dict[str, object]:
    return {"wifi.networks": [{"ssid": name, "security": security, "password": f"hemmelig {name}"}]}


def test_the_agents_package_is_the_one_that_is_in_use(app: Flask) -> None:
    assert coming.agent(URL) is None
    with transaction():
        agent_package()
    url = f"{URL}/hw-files/agent-token/com.hmdm.launcher-{DIGEST[:16]}.apk"
    assert coming.agent(URL) == Agent("6.36", url, DIGEST, SIGNER)


@pytest.mark.parametrize(
    ("cpus", "kind", "token"),
    [
        (("", "arm64-v8a"), "apk", "agent-token1"),
        (("", "x86_64"), "apk", "agent-token"),
        (("armeabi-v7a", "x86_64"), "apk", "agent-token"),
        (("x86_64",), "apk", None),
        (("",), "xapk", None),
    ],
)
def test_a_new_tablet_gets_the_package_for_usual_tablets_and_never_an_xapk(
    app: Flask, cpus: tuple[str, ...], kind: str, token: str | None
) -> None:
    with transaction():
        agent_package(kind=kind, cpus=cpus)
    found = coming.agent(URL)
    assert (found.url.split("/")[-2] if found is not None else None) == token


def test_networks_are_those_of_every_tablet_at_the_place_as_its_profiles_stand(school: School) -> None:
    with transaction():
        own, other = make.school_class(school), make.school_class(make.school("Der"), "9A")
        make.assign(make.published("kommune", **network("kommune")), Place.municipality())
        make.assign(make.published("skole", **network("skole")), Place.school(school))
        make.assign(make.published("klasse", **network("klasse")), Place.school_class(own))
        make.assign(make.published("der", **network("der")), Place.school_class(other))
        make.assign(make.published("ansatt", **network("ansatt", "enterprise")), Place.school(school))
        make.assign(
            make.published("senere", **network("senere")), Place.school(school), starts_at=NOW + timedelta(days=2)
        )
        make.assign(make.published("en", **network("en")), Place.device(make.device(school)))
    of_class, of_school = ticket(school, own), ticket(school)
    assert {one.ssid for one in coming.networks(of_class, by=CLI, now=NOW)} == {"kommune", "skole", "klasse"}
    assert {one.ssid for one in coming.networks(of_school, by=CLI, now=NOW)} == {"kommune", "skole"}


def test_only_who_writes_profiles_is_given_the_networks_passwords(school: School) -> None:
    with transaction():
        make.assign(make.published("skole", **network("skole")), Place.school(school))
    made = ticket(school)
    it = Principal("account", "1", (Grant(Role.SCHOOL_IT, school.id),))
    admin = Principal("account", "2", (Grant(Role.MUNICIPAL_ADMIN, None),))
    assert not coming.networks(made, by=it, now=NOW)
    assert [one.password for one in coming.networks(made, by=admin, now=NOW)] == ["hemmelig skole"]
