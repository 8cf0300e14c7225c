"""Addresses: of people, which begin no other header, and of webhooks, which lead to no machine of the inside."""

import pytest

from fleet.alerts import addresses
from fleet.errors import InvalidError
from fleet.people import mail_addresses


@pytest.mark.parametrize(
    "told",
    [
        "a@b.no\r\nBcc: c@d.no", "a@b.no, c@d.no", "<a@b.no>", "Kari <a@b.no>", "a b@c.no", "a@", "@b.no", "kari", "a@b..no",
        "a@-b.no", "ø@b.no", '"a\\"@b.no', "a@b.no\n", ".a@b.no", "a" * 65 + "@b.no", "a@" + "b" * 64 + ".no", "",
    ],
)  # fmt: skip
def test_what_is_no_single_address_gets_no_mail(told: str) -> None:
    assert not mail_addresses.is_address(told)


def test_an_address_is_kept_with_its_domain_in_ascii() -> None:
    assert mail_addresses.read(" Kari.Prøve@x ".replace("Prøve", "P")) == "Kari.P@x"
    assert mail_addresses.read("kari@Øygarden.Kommune.no") == "kari@xn--ygarden-p1a.kommune.no"
    for told in ("kari", "kari@a b", "kari@" + "ø" * 70 + ".no", "kari@b.no\r\nBcc: x@y.no"):
        with pytest.raises(InvalidError):
            mail_addresses.read(told)


PRIVATE = [
    "http://example.no/", "https://127.0.0.1/", "https://127.1/", "https://2130706433/", "https://0x7f000001/",
    "https://0x7f.1/", "https://0177.0.0.1/", "https://017700000001/", "https://10.0.0.1/", "https://172.16.0.1/",
    "https://192.168.1.1/", "https://169.254.169.254/latest/", "https://100.64.0.1/", "https://0.0.0.0/", "https://224.0.0.1/",
    "https://255.255.255.255/", "https://240.0.0.1/", "https://198.18.0.1/", "https://192.0.2.1/", "https://[::1]/", "https://[::]/",
    "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[::127.0.0.1]/", "https://[fe80::1]/", "https://[fc00::1]/",
    "https://[fd12:3456::1]/", "https://[ff02::1]/", "https://[2002:7f00:1::]/", "https://[2002:a00:1::1]/",
    "https://[64:ff9b::7f00:1]/", "https://[64:ff9b::10.0.0.1]/", "https://[64:ff9b:1::1]/", "https://[2001:db8::1]/",
    "https://[fec0::1]/", "https://[3fff::1]/", "https://[2a00:1:2:3:0:5efe:10.0.0.1]/", "https://[2a00:1:2:3:200:5efe:7f00:1]/",
    "https://localhost/", "https://LOCALHOST./", "https://a.localhost/", "https://printer.local/", "https://db.internal/",
    "https://router.lan/", "https://x.home.arpa/", "https://127.0.0.1./",
]  # fmt: skip
NONE = [
    "ftp://example.no/", "file:///etc/passwd", "https://", "https:///x", "https://user:pw@example.no/", "https://example.no@10.0.0.1/",
    "https://exa mple.no/", "https://example.no\\@10.0.0.1/", "https://example.no/\r\nHost: x", "https://example.no:0/",
    "https://example.no:99999/", "https://example.no/#x", "https://øy.no/", "https://[fe80::1%25eth0]/", "https://[::1", "gopher://x/",
    "https://-a.no/", "https://" + "a" * 500 + ".no/", "javascript:alert(1)", "//example.no/", "https://a..no/",
]  # fmt: skip


@pytest.mark.parametrize("told", PRIVATE)
def test_an_address_of_the_inside_is_refused_however_it_is_written(told: str) -> None:
    with pytest.raises(InvalidError) as refused:
        addresses.read(told, is_private_allowed=False)
    assert refused.value.data["reason"] in {"private", "tls"}


@pytest.mark.parametrize("told", NONE)
@pytest.mark.parametrize("is_private_allowed", [False, True])
def test_what_is_no_address_of_the_web_is_refused_always(told: str, is_private_allowed: bool) -> None:
    with pytest.raises(InvalidError):
        addresses.read(told, is_private_allowed=is_private_allowed)


def test_a_sound_address_is_read_in_its_parts() -> None:
    told = addresses.read("https://Help.Example.no:8443/in?a=1&b=2", is_private_allowed=False)
    assert told == addresses.Target(True, "help.example.no", 8443, "/in?a=1&b=2")
    assert told.authority == "help.example.no:8443"
    assert addresses.read("https://93.184.216.34", is_private_allowed=False).path == "/"
    assert addresses.read("https://[2606:2800:220:1::1]/", is_private_allowed=False).authority == "[2606:2800:220:1::1]"
    assert addresses.read("http://10.0.0.5:8080/x", is_private_allowed=True).authority == "10.0.0.5:8080"


@pytest.mark.parametrize(
    ("machines", "is_private_allowed", "are_fit"),
    [
        (["93.184.216.34"], False, True),
        (["93.184.216.34", "2606:2800:220:1::1"], False, True),
        (["93.184.216.34", "127.0.0.1"], False, False),
        (["93.184.216.34", "::ffff:10.0.0.1"], False, False),
        (["64:ff9b::5db8:d822"], False, True),
        (["64:ff9b::a00:1"], False, False),
        (["2001:0:4136:e378:8000:63bf:f5ff:fffe"], False, False),  # Teredo of 10.0.0.1
        (["fe80::1%eth0"], False, False),
        ([], False, False),
        ([], True, False),
        (["no address"], True, False),
        (["10.0.0.1", "127.0.0.1", "fd00::1"], True, True),
        (["169.254.169.254"], True, False),
        (["::ffff:169.254.169.254"], True, False),
        (["fe80::1"], True, False),
        (["168.63.129.16"], False, False),
        (["168.63.129.16"], True, False),
        (["::ffff:168.63.129.16"], True, False),
        (["100.100.100.200"], True, False),
        (["fd00:ec2::254"], True, False),
        (["192.0.0.192"], True, False),
        (["192.0.0.8"], False, False),
        (["192.88.99.1"], False, False),
        (["224.0.0.1"], True, False),
        (["0.0.0.0"], True, False),  # noqa: S104 (nobody listens there)
        (["255.255.255.255"], True, False),
    ],
)
def test_a_name_is_as_fit_as_the_least_fit_machine_it_leads_to(
    machines: list[str], is_private_allowed: bool, are_fit: bool
) -> None:
    assert addresses.are_fit(machines, is_private_allowed=is_private_allowed) is are_fit
