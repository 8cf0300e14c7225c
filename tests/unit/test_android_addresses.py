"""The words in the addresses of Android tablets: there and back, and nothing that the agent would change."""

import pytest

from fleet.android import addresses
from fleet.devices import codes
from fleet.devices.codes import TicketCodeError


def test_a_tickets_code_goes_into_an_address_and_comes_back_without_capitals() -> None:
    code = codes.make()
    project = addresses.enrolment_project(codes.shown(code))
    assert project == project.lower()
    assert "/" not in project
    assert codes.normalise(addresses.ticket_code(project) or "") == code
    assert addresses.tablet_token(project) is None


def test_a_mistyped_code_makes_no_address() -> None:
    with pytest.raises(TicketCodeError):
        addresses.enrolment_project("ABCD")


def test_a_tablets_token_goes_into_an_address_and_comes_back() -> None:
    project = addresses.tablet_project("ab12")
    assert addresses.tablet_token(project) == "ab12"
    assert addresses.ticket_code(project) is None


def test_each_package_has_a_name_of_its_own_and_no_query() -> None:
    names = {addresses.file_name("no.a.b", digest * 32, "apk") for digest in ("ab", "cd")}
    assert len(names) == 2
    url = addresses.package_url("https://x.example", "t0ken", min(names))
    assert url.startswith(f"https://x.example{addresses.PREFIX}files/t0ken/no.a.b-")
    assert "?" not in url
    assert addresses.image_url("https://x.example", "00") == "https://x.example/hw-images/00"
