"""Whether an address is of a school's networks."""

import pytest

from fleet.errors import InvalidError
from fleet.schools import networks

RANGES = networks.read(["10.20.0.0/16", " 192.0.2.7 ", "2001:db8:20::/48"])


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("10.20.0.0", True),
        ("10.20.255.255", True),
        ("10.21.0.0", False),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("2001:db8:20:ffff::1", True),
        ("2001:db8:21::1", False),
        ("::ffff:10.20.3.4", True),
        ("::ffff:10.21.3.4", False),
        ("::ffff:a14:304", True),
        ("::10.20.3.4", False),
        ("fe80::1%eth0", False),
        (None, None),
        ("", None),
        ("unix:", None),
        ("10.20.3.4:443", None),
        ("10.020.3.4", None),
    ],
)
def test_an_address_is_inside_outside_or_cannot_be_said_to_be_either(address: str | None, inside: bool | None) -> None:
    assert networks.is_inside(address, RANGES) is inside


def test_where_no_ranges_are_told_nobody_is_inside_or_outside() -> None:
    assert networks.is_inside("10.20.3.4", ()) is None


def test_the_two_families_do_not_meet_even_where_a_range_is_everything() -> None:
    assert networks.is_inside("2001:db8::1", networks.read(["0.0.0.0/0"])) is False
    assert networks.is_inside("10.0.0.1", networks.read(["::/0"])) is False
    assert networks.is_inside("::ffff:10.0.0.1", networks.read(["0.0.0.0/0"])) is True


@pytest.mark.parametrize("told", ["", "10.20.0.1/16", "10.20.0.0/33", "10.20.0.0-10.20.0.9", "school", "10.20.*"])
def test_what_is_no_range_is_refused_by_name(told: str) -> None:
    with pytest.raises(InvalidError) as caught:
        networks.read(["10.0.0.0/8", told])
    assert (caught.value.data["kind"], caught.value.data["found"]) == ("network", told)
