"""How an Android tablet is told that it is ours before it knows us: the text of a QR code, a file, adb commands. Pure.

Invariants: what is told names a ticket, never a tablet; every tablet is known by its serial number; nothing is told of
a network that asks for a person's name. Who has the text can use the ticket, and knows the network's password.

Source: the extras of ``android.app.extra.PROVISIONING_…`` (Android's DevicePolicyManager), and those of the agent, all
of which begin with ``com.hmdm.``.
"""

import base64
import enum
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fleet.android import addresses
from profiles.unmet import can_be_joined

RECEIVER = f"{addresses.AGENT_APP}/{addresses.AGENT_APP}.AdminReceiver"
INIT_FILE = "init.json"
FOLDER = f"/sdcard/Android/data/{addresses.AGENT_APP}/files"  # on the tablet; the agent's own, and no other app's
_EXTRA = "android.app.extra.PROVISIONING_"
# Source: PROVISIONING_WIFI_SECURITY_TYPE: NONE, WPA, WEP or EAP; a tablet that has WPA3 joins it by WPA as well.
_SECURITY: Mapping[str, str] = {"open": "NONE", "wpa2": "WPA", "wpa3": "WPA"}


@dataclass(frozen=True, slots=True)
class Agent:
    """The agent's package, as tablets fetch it.

    Args:
        version: as people know it.
        url: where it is.
        digest: SHA-256 of the file, lower-case hex.
        signer: SHA-256 of its signer's certificate, lower-case hex; None where it is not known.
    """

    version: str
    url: str
    digest: str
    signer: str | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """A Wi-Fi network that a tablet joins before anything else.

    Args:
        ssid: its name.
        security: ``open``, ``wpa2`` or ``wpa3``, as profiles have it.
        password: None where it is open.
        is_hidden: whether it does not tell its name.
    """

    ssid: str
    security: str
    password: str | None = field(repr=False)
    is_hidden: bool = False


class Obstacle(enum.StrEnum):
    """Why tablets may not reach the address that they are told."""

    LOCAL = "local"  # it leads nowhere but to the server's own machine
    PLAIN = "plain"  # without TLS: whoever is between can read and change what is said
    OWN_CA = "own-ca"  # its certificate is of a CA that no new tablet trusts


def obstacles(public_url: str, *, is_local_only: bool, has_own_ca: bool) -> Sequence[Obstacle]:
    """Return why tablets may not reach an address, the worst first.

    Args:
        public_url: of the server.
        is_local_only: whether it leads to this machine only.
        has_own_ca: whether its certificate is of a CA of one's own.
    """
    is_plain = not public_url.startswith("https://")
    told = ((Obstacle.LOCAL, is_local_only), (Obstacle.OWN_CA, has_own_ca and not is_plain), (Obstacle.PLAIN, is_plain))
    return [one for one, stands in told if stands]


def networks(settings: Mapping[str, Any]) -> Sequence[Network]:
    """Return the networks of a profile that a tablet can join by itself: none that asks for a person's name.

    Args:
        settings: effective ones.
    """
    return [
        Network(
            one["ssid"],
            one["security"],
            None if one["security"] == "open" else one["password"],
            is_hidden=one.get("hidden", False),
        )
        for one in settings.get("wifi.networks") or ()
        if one["security"] in _SECURITY and can_be_joined(one) and (one["security"] == "open" or "password" in one)
    ]


def bundle(public_url: str, code: str) -> dict[str, str]:
    """Return what the agent itself is told: where we are, by which ticket it comes, and what its tablet is known by.

    Args:
        public_url: of the server, without a slash at the end.
        code: the ticket's.

    Raises:
        TicketCodeError: none can have this code.
    """
    return {
        "com.hmdm.BASE_URL": public_url,
        "com.hmdm.SERVER_PROJECT": addresses.enrolment_project(code),
        "com.hmdm.DEVICE_ID_USE": "serial",
    }


def extras(agent: Agent, public_url: str, code: str, network: Network | None = None) -> dict[str, Any]:
    """Return what the tablet's set-up is told: which app shall own it, where that is, and how to get there.

    Args:
        agent: the package.
        public_url: of the server, without a slash at the end.
        code: the ticket's.
        network: to join before; None: somebody chooses one on the tablet.

    Raises:
        TicketCodeError: none can have this code.
    """
    return {
        f"{_EXTRA}DEVICE_ADMIN_COMPONENT_NAME": RECEIVER,
        f"{_EXTRA}DEVICE_ADMIN_PACKAGE_DOWNLOAD_LOCATION": agent.url,
        f"{_EXTRA}DEVICE_ADMIN_PACKAGE_CHECKSUM": checksum(agent.digest),
        f"{_EXTRA}LEAVE_ALL_SYSTEM_APPS_ENABLED": True,
        **(_joining(network) if network is not None else {}),
        f"{_EXTRA}ADMIN_EXTRAS_BUNDLE": bundle(public_url, code),
    }


def checksum(digest: str) -> str:
    """Return a SHA-256 as Android's set-up compares it.

    Source: PROVISIONING_DEVICE_ADMIN_PACKAGE_CHECKSUM: base 64 for URLs (RFC 4648 section 5), without padding.

    Args:
        digest: lower-case hex.
    """
    return base64.urlsafe_b64encode(bytes.fromhex(digest)).decode().rstrip("=")


def _joining(network: Network) -> dict[str, Any]:
    told: dict[str, Any] = {
        f"{_EXTRA}WIFI_SSID": network.ssid,
        f"{_EXTRA}WIFI_SECURITY_TYPE": _SECURITY[network.security],
    }
    if network.password is not None:
        told[f"{_EXTRA}WIFI_PASSWORD"] = network.password
    return told | ({f"{_EXTRA}WIFI_HIDDEN": True} if network.is_hidden else {})


def text(told: Mapping[str, Any]) -> str:
    """Return what a QR code says, as short as it can be said: the shorter it is, the larger are its squares."""
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def init_json(public_url: str, code: str) -> str:
    """Return the file that tells the agent the same where no QR code does.

    Args:
        public_url: of the server, without a slash at the end.
        code: the ticket's.

    Raises:
        TicketCodeError: none can have this code.
    """
    return json.dumps(bundle(public_url, code), indent=2) + "\n"


@dataclass(frozen=True, slots=True)
class Command:
    """One command typed on a computer that the tablet is connected to.

    Args:
        name: what it does: ``install``, ``folder``, ``init``, ``own`` or ``start``.
        words: the command and its arguments.
    """

    name: str
    words: tuple[str, ...]


def adb_commands(package: str) -> Sequence[Command]:
    """Return how a tablet comes in by cable, in this order: the agent reads the file when it starts the first time.

    Args:
        package: what the agent's package is called on the computer.
    """
    shell = ("adb", "shell")
    return (
        Command("install", ("adb", "install", package)),
        Command("folder", (*shell, "mkdir", "-p", FOLDER)),
        Command("init", ("adb", "push", INIT_FILE, f"{FOLDER}/{INIT_FILE}")),
        Command("own", (*shell, "dpm", "set-device-owner", f"{addresses.AGENT_APP}/.AdminReceiver")),
        Command("start", (*shell, "am", "start", "-n", f"{addresses.AGENT_APP}/.ui.MainActivity")),
    )
