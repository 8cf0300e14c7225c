"""Payloads for Wi-Fi networks and for the proxy that all web traffic goes through.

Source: mdm/profiles/com.apple.wifi.managed.yaml and com.apple.proxy.http.global.yaml of Apple's device-management
schema (iOS 18.1).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fleet.channels.apple.contents import Piece, Settings, place_of

# Source: EncryptionType: since iOS 16, WPA2 joins WPA2 and WPA3 networks, WPA3 only the latter.
_ENCRYPTION: Mapping[str, str] = MappingProxyType(
    {"open": "None", "wpa2": "WPA2", "wpa3": "WPA3", "enterprise": "WPA2"}
)
# Source: AcceptEAPTypes: PEAP and TTLS, the two that ask for a name and a password.
_ASKING_FOR_NAME = (25, 21)
_PORTS = range(1, 65_536)
_LONGEST_SSID_BYTES = 32  # Source: IEEE 802.11-2020, 9.4.2.2
_SHORTEST_PASSWORD = 8  # Source: IEEE 802.11-2020, J.4.1: a passphrase has 8 to 63 characters


def wifi(settings: Settings) -> list[Piece]:
    """Return a payload for each network, so that changing one leaves the others joined.

    A network that cannot be is left out, as an iPad refuses a profile as a whole; :func:`unusable` names it.
    """
    return [
        Piece("com.apple.wifi.managed", place_of("wifi", network["ssid"]), _network(network))
        for network in settings.get("wifi.networks") or ()
        if _is_usable(network)
    ]


def unusable(settings: Settings) -> list[str]:
    """Return the names of networks that no iPad can join: a name or a password that none can have."""
    return [network["ssid"] for network in settings.get("wifi.networks") or () if not _is_usable(network)]


def _is_usable(network: Mapping[str, Any]) -> bool:
    has_passphrase = network["security"] in {"wpa2", "wpa3"} and "password" in network
    is_short = has_passphrase and len(network["password"]) < _SHORTEST_PASSWORD
    return not is_short and len(network["ssid"].encode()) <= _LONGEST_SSID_BYTES


def _network(network: Mapping[str, Any]) -> dict[str, Any]:
    security, password = network["security"], network.get("password")
    body: dict[str, Any] = {
        "SSID_STR": network["ssid"],
        "EncryptionType": _ENCRYPTION[security],
        "AutoJoin": network.get("auto_join", True),
        "HIDDEN_NETWORK": network.get("hidden", False),
    }
    if security == "enterprise":  # the iPad asks for the name, and for the password where there is none
        known = {"UserPassword": password} if password is not None else {}
        return body | {"EAPClientConfiguration": {"AcceptEAPTypes": list(_ASKING_FOR_NAME), **known}}
    return body | ({"Password": password} if password is not None and security != "open" else {})


def proxy(settings: Settings) -> list[Piece]:
    """Return the proxy; nothing where the setting names no port, of which :func:`is_unmet` tells."""
    address = _address(settings.get("proxy.server", ""))
    if address is None:
        return []
    host, port = address
    body = {"ProxyType": "Manual", "ProxyServer": host, "ProxyServerPort": port}
    return [Piece("com.apple.proxy.http.global", "proxy", body)]


def is_unmet(settings: Settings) -> bool:
    """Whether a proxy is set that an iPad cannot be told of."""
    return "proxy.server" in settings and _address(settings["proxy.server"]) is None


def _address(told: str) -> tuple[str, int] | None:
    host, _, port = told.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) not in _PORTS:
        return None
    return host.removeprefix("[").removesuffix("]"), int(port)
